"""Kills, cuts and eavesdroppers: the same end state, nothing half, nothing heard."""

from __future__ import annotations

import io
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog

from freehold.devices.base import Server
from freehold.devices.servers.driver import SshServer
from freehold.errors import CommandRejected, DeviceUnreachable
from freehold.logs import configure_logs
from freehold.settings import LogLevel
from tests.devices.servers.conftest import Bench
from tests.devices.servers.intents import SECRET, VALUE, WHOLE, with_file, with_setup

pytestmark = pytest.mark.lab

KILL_AGENT = "kill -9 $PPID"


@pytest.fixture(autouse=True)
def _secret(bench: Bench) -> None:
    bench.secrets.put(SECRET, VALUE)


def test_a_restart_is_not_lost_when_we_are_killed_before_it(bench: Bench) -> None:
    bench.apply(WHOLE)
    pids = {unit: bench.main_pid(unit) for unit in ("memcached", "objects")}
    changed = with_file(WHOLE, "/etc/memcached.conf", "-m 48\n-p 11211\n-u memcache\n-l 127.0.0.1\n")
    with pytest.raises(DeviceUnreachable):
        bench.apply(with_setup(changed, KILL_AGENT))  # setups run between files and units
    assert "-m 48" in bench.shell("cat /etc/memcached.conf")
    assert bench.main_pid("memcached") == pids["memcached"]

    assert bench.apply(changed) == "~ unit memcached.service: restart"
    assert bench.main_pid("memcached") != pids["memcached"]
    assert bench.main_pid("objects") == pids["objects"]
    assert bench.apply(changed) == ""


@pytest.mark.parametrize("late", [False, True], ids=["before the units", "after the units"])
def test_a_killed_apply_can_be_completed_or_taken_back(bench: Bench, late: bool) -> None:
    for _ in range(2):
        with pytest.raises(DeviceUnreachable):
            bench.apply(with_setup(WHOLE, KILL_AGENT, late=late))
    with bench.session() as server:
        assert server.remove(WHOLE).changed
        server.erase("vdb")
        assert server.snapshot() == bench.before
    with pytest.raises(DeviceUnreachable):
        bench.apply(with_setup(WHOLE, KILL_AGENT, late=late))
    bench.apply(WHOLE)
    assert bench.apply(WHOLE) == ""


BEATS = ("filesystem", "file /etc/objects/main.conf", "setup marker", "unit memcached")


@pytest.mark.parametrize("where", BEATS)
def test_a_cut_connection_anywhere(bench: Bench, where: str) -> None:
    with pytest.raises(DeviceUnreachable), bench.session() as server:
        cut = _cutter(server)
        server.apply(WHOLE, lambda words: cut() if words.startswith(where) else None)
    if BEATS.index(where) % 2:
        bench.apply(WHOLE)
        assert bench.apply(WHOLE) == ""
    else:
        with bench.session() as server:
            server.remove(WHOLE)
            assert server.snapshot().files == bench.before.files


@pytest.mark.parametrize("after_s", [0.1, 0.4])
def test_a_cut_connection_during_the_undo(bench: Bench, after_s: float) -> None:
    bench.apply(WHOLE)
    with pytest.raises(DeviceUnreachable), bench.session() as server:
        threading.Timer(after_s, _cutter(server)).start()
        server.remove(WHOLE)
        time.sleep(after_s)  # when it was quicker than the cut
        server.facts()
    with bench.session() as server:
        server.remove(WHOLE)
        server.erase("vdb")
        assert server.snapshot() == bench.before


def _cutter(server: Server) -> Callable[[], None]:
    """What cuts this session's connection below SSH."""
    assert isinstance(server, SshServer)
    transport = server._agent._client.get_transport()
    assert transport is not None
    return transport.sock.close


@contextmanager
def _watching(words: list[str]) -> Iterator[list[str]]:
    """Look for words in all command lines and environments of this computer, the machines' included, all the time."""
    found: list[str] = []
    stop = threading.Event()
    looks = 0

    def watch() -> None:
        nonlocal looks
        while not stop.is_set():
            looks += 1
            for process in Path("/proc").glob("[0-9]*"):
                for name in ("cmdline", "environ"):
                    try:
                        text = (process / name).read_bytes().decode(errors="replace")
                    except OSError:
                        continue
                    found.extend(f"{process.name} {name}" for word in words if word in text)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join(30)
        assert looks > 3


@pytest.fixture
def everything_logged() -> Iterator[io.StringIO]:
    log = io.StringIO()
    configure_logs(LogLevel.debug, stream=log, as_json=True)
    yield log
    structlog.reset_defaults()
    logging.basicConfig(force=True)


def test_secrets_show_neither_in_processes_nor_in_words(bench: Bench, everything_logged: io.StringIO) -> None:
    log = everything_logged
    beats: list[str] = []
    tells = with_setup(WHOLE, "cat /etc/objects/main.conf >&2; sleep 0.5; exit 1", late=True)
    canary = "canary-in-the-command-line"
    with _watching([VALUE]) as found, _watching([canary]) as seen, bench.session() as server:
        with pytest.raises(CommandRejected, match=r"password = @@secret:") as caught:
            server.apply(tells, beats.append)
        diff = server.preview(WHOLE).diff + server.apply(WHOLE, beats.append).diff
        server.run("import json, time; time.sleep(0.5); print(json.dumps({}))", {"p": f"@@secret:{SECRET}@@"})
        bench.shell(f": {canary}; sleep 1; :")
    assert seen, "the watch does not see what stands in a command line"
    assert found == []
    for text in (str(caught.value), repr(caught.value), diff, "\n".join(beats), log.getvalue()):
        assert VALUE not in text
    assert log.getvalue()
    assert bench.shell(f"grep -rl {VALUE[:12]} /var/lib/freehold /run /tmp /var/log 2>/dev/null || true") == ""
