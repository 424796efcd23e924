"""Desired state on a real machine: brought about once, changed only where it differs, taken back wholly."""

from __future__ import annotations

import base64
import threading
import time
from pathlib import Path

import pytest

from freehold.errors import BadInput, CommandRejected, HostKeyMismatch, ReadBackDiffers, SecretMissing
from freehold.models.server import Directory, File, ServerIntent, Unit, User, secret_token
from tests.devices.servers.conftest import Bench
from tests.devices.servers.intents import MARKER, SECRET, VALUE, WHOLE, with_file, with_setup

pytestmark = pytest.mark.lab


@pytest.fixture(autouse=True)
def _secret(bench: Bench) -> None:
    bench.secrets.put(SECRET, VALUE)


def test_every_kind_is_brought_about_once_and_taken_back(bench: Bench) -> None:
    with bench.session() as server:
        preview = server.preview(WHOLE)
        assert server.snapshot() == bench.before
        applied = server.apply(WHOLE)
        again = server.apply(WHOLE)
    assert applied.changed and applied.diff == preview.diff
    assert not again.changed and again.diff == ""
    assert bench.shell("stat -c '%U:%G %a' /srv/objects /srv/objects/deep/er /etc/objects/main.conf").splitlines() == [
        "objects:objects 750",
        "objects:objects 700",
        "root:objects 640",
    ]
    assert bench.shell("cat /etc/objects/main.conf") == f"password = {VALUE}"
    assert bench.shell("base64 /etc/objects/ring") == "AAEC/w=="
    assert bench.shell("findmnt -no SOURCE,FSTYPE,LABEL /srv/objects").split() == ["/dev/vdb", "ext4", "objects"]
    assert bench.shell("id -nG objects") == "objects adm"
    assert bench.shell("systemctl is-enabled objects memcached").split() == ["enabled", "enabled"]
    assert bench.shell(f"ls {MARKER} /var/lib/late /var/log/objects/log").split()[-1] == "/var/log/objects/log"
    with bench.session() as server:
        removed = server.remove(WHOLE)
        assert removed.changed and "~ file /etc/memcached.conf: original restored" in removed.diff
        assert not server.remove(WHOLE).changed


def test_units_restart_only_when_what_they_read_has_changed(bench: Bench) -> None:
    bench.apply(WHOLE)
    first = {unit: bench.main_pid(unit) for unit in ("memcached", "objects")}

    bench.apply(with_file(WHOLE, "/etc/objects/ring", base64.b64encode(b"other").decode()))
    assert {unit: bench.main_pid(unit) for unit in first} == first

    changed = with_file(WHOLE, "/etc/objects/reloaded.conf", "two\n")
    assert bench.apply(changed).splitlines()[-1] == "~ unit objects.service: reload"
    assert {unit: bench.main_pid(unit) for unit in first} == first
    assert bench.shell("cat /var/log/objects/log").split() == ["started", "reloaded"]

    bench.secrets.put(SECRET, "another-value-of-the-secret")
    diff = bench.apply(changed)
    assert VALUE not in diff and "another-value" not in diff and diff.endswith("~ unit objects.service: restart")
    assert bench.main_pid("memcached") == first["memcached"]
    assert bench.main_pid("objects") != first["objects"]
    assert bench.shell("cat /etc/objects/main.conf") == "password = another-value-of-the-secret"


def test_what_drifts_is_put_right(bench: Bench) -> None:
    bench.apply(WHOLE)
    bench.shell(
        "systemctl stop objects; SYSTEMCTL_SKIP_SYSV=1 systemctl disable memcached;"
        "chmod 777 /srv/objects; umount /srv/objects; gpasswd -d objects adm; echo x >>/etc/memcached.conf"
    )
    diff = bench.apply(WHOLE)
    for line in ("~ user objects in adm", "at /srv/objects: mount", "-x", "~ unit objects.service: start"):
        assert line in diff
    assert "~ unit memcached.service: enable, restart" in diff
    assert bench.apply(WHOLE) == ""


def test_what_was_there_before_comes_back(bench: Bench) -> None:
    bench.shell(
        "mkdir -m 711 /opt/kept; chown daemon:adm /opt/kept; echo mine >/opt/kept/own; ln -s /etc/hostname /opt/link;"
        "useradd --system kept"
    )
    with bench.session() as server:
        before = server.snapshot()
    masked = "dpkg-db-backup.timer"
    intent = ServerIntent(
        server="s1",
        users=(User(name="kept", groups=("adm",)),),
        directories=(Directory(path="/opt/kept", mode=0o700),),
        files=(
            File(path="/opt/link", content="a file now\n"),
            File(path="/etc/lldpd.d/more.conf", content="configure system description test\n"),
        ),
        units=(Unit(name="lldpd.service", restart_on=("/etc/lldpd.d",)), Unit(name=masked)),
        purge=("/opt/kept",),
    )
    pid = bench.main_pid("lldpd")
    bench.apply(intent)
    bench.shell("mkdir -p /opt/kept/new; touch /opt/kept/new/er")
    assert bench.main_pid("lldpd") != pid
    assert bench.shell(f"systemctl is-active {masked}") == "active"
    with bench.session() as server:
        server.remove(intent)
        after = server.snapshot()
    assert after == before
    assert bench.shell("readlink /opt/link; cat /opt/kept/own; id -nG kept").split() == [
        "/etc/hostname",
        "mine",
        "kept",
    ]
    bench.shell("rm -r /opt/kept /opt/link; userdel kept")


def test_the_undo_may_know_less_or_more_than_was_done(bench: Bench) -> None:
    first_stage = WHOLE.model_copy(update={"units": (), "setups": (), "files": WHOLE.files[:1], "purge": ()})
    bench.apply(first_stage)
    bench.apply(WHOLE)
    with bench.session() as server:
        assert server.remove(first_stage).changed
        assert server.snapshot().files == bench.before.files
        server.apply(first_stage)
        assert server.remove(WHOLE).changed
        assert server.snapshot().files == bench.before.files


def test_two_runs_on_one_server_wait_for_one_another(bench: Bench) -> None:
    slow = with_setup(WHOLE, "echo once >>/run/slept; sleep 1")
    slow = slow.model_copy(
        update={"setups": (slow.setups[-1].model_copy(update={"check": ("test", "-e", "/run/slept")}),)}
    )
    changed = []

    def run() -> None:
        with bench.session() as server:
            changed.append(server.apply(slow).changed)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert bench.shell("cat /run/slept; rm /run/slept") == "once"
    assert sorted(changed) == [False, True]


def test_a_change_that_does_not_stay_is_told(bench: Bench) -> None:
    unit = "[Service]\nExecStartPre=/bin/sh -c 'echo spoilt >/etc/spoilt.conf'\nExecStart=/usr/bin/sleep infinity\n"
    intent = ServerIntent(
        server="s1",
        files=(
            File(path="/etc/spoilt.conf", content="good\n"),
            File(path="/etc/systemd/system/spoiler.service", content=unit),
        ),
        units=(Unit(name="spoiler.service"),),
    )
    with pytest.raises(ReadBackDiffers, match=r"s1: after the change these still differ: --- /etc/spoilt.conf"):
        bench.apply(intent)


def test_a_unit_that_does_not_start_says_its_last_words(bench: Bench) -> None:
    unit = "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'cat /etc/objects/main.conf; exit 3'\n"
    intent = with_file(WHOLE, "/etc/systemd/system/objects.service", unit)
    with pytest.raises(CommandRejected, match=r"unit objects.service does not start.*password = @@secret:") as caught:
        bench.apply(intent)
    assert VALUE not in str(caught.value)


def test_an_unknown_unit_and_a_wrong_owner_are_told(bench: Bench) -> None:
    with pytest.raises(CommandRejected, match=r"unit nothing\.service does not exist"):
        bench.apply(ServerIntent(server="s1", units=(Unit(name="nothing.service"),)))
    with pytest.raises(CommandRejected, match="/etc/x: owner nobody-here:root"):
        bench.apply(ServerIntent(server="s1", files=(File(path="/etc/x", content="", owner="nobody-here"),)))
    with pytest.raises(CommandRejected, match="/etc/ssh should be a file and is a directory"):
        bench.apply(ServerIntent(server="s1", files=(File(path="/etc/ssh", content=""),)))


def test_an_intent_for_another_server_or_without_its_secret_changes_nothing(bench: Bench) -> None:
    with pytest.raises(BadInput, match="is for s2 and the session is with s1"):
        bench.apply(ServerIntent(server="s2"))
    with pytest.raises(SecretMissing, match="no/such"):
        bench.apply(
            ServerIntent(server="s1", files=(File(path="/etc/x", content=secret_token("no/such"), mode=0o600),))
        )


def test_another_host_key_is_refused(bench: Bench) -> None:
    own = Path(bench.lab.handover / "known_hosts").read_text().splitlines()
    others = bench.access.model_copy(update={"host_key": own[1].split(maxsplit=1)[1]})
    with pytest.raises(HostKeyMismatch, match="s1"), bench.devices.server(others) as server:
        server.facts()


def test_facts_and_neighbours(bench: Bench) -> None:
    with bench.session() as server:
        facts = server.facts()
        assert (facts.serial, facts.nics["eth1"]) == ("SRV-0001", "02:00:00:40:00:01")
        assert facts.disks == {"vdb": 1 << 30, "vdc": 1 << 30} and facts.cores > 0 and facts.memory_mib > 100
        assert facts.os.startswith("Debian GNU/Linux")
        end = time.monotonic() + 15
        while not (neighbours := server.neighbours()):
            assert time.monotonic() < end, "no neighbour in 15 s"
            time.sleep(0.5)
    assert [(n.local_port, n.system_name, n.port_id) for n in neighbours] == [("eth1", "s2", "eth1")]


def test_programs_answer_with_their_last_line(bench: Bench) -> None:
    echo = "import json, sys; g = json.load(sys.stdin); print('noise'); print(json.dumps({'n': len(g['p']), 'p': g}))"
    with bench.session() as server:
        assert server.run(echo, {"p": secret_token(SECRET)}) == {"n": len(VALUE), "p": {"p": secret_token(SECRET)}}
        with pytest.raises(CommandRejected, match="last line is no JSON object"):
            server.run("print('hello')", {})
        with pytest.raises(CommandRejected, match=r"ended with 1: .*@@secret:") as caught:
            server.run("import sys; raise ValueError(sys.stdin.read())", {"p": secret_token(SECRET)})
        assert VALUE not in str(caught.value)
        with pytest.raises(CommandRejected, match=r"no end after 0.5 s"):
            server.run("import time; time.sleep(60)", {}, timeout_s=0.5)
        assert server.run(echo, {"p": ""})["n"] == 0


def test_an_account_that_may_use_sudo_is_enough(bench: Bench) -> None:
    bench.shell(
        "useradd --create-home --shell /bin/bash op && cp -r /root/.ssh /home/op/ && chown -R op: /home/op/.ssh"
    )
    try:
        access = bench.access.model_copy(update={"user": "op"})
        with bench.devices.server(access) as server, pytest.raises(CommandRejected, match="cannot run there: sudo:"):
            server.facts()
        bench.shell("echo 'op ALL=(root) NOPASSWD: /usr/bin/python3' >/etc/sudoers.d/op")
        with bench.devices.server(access) as server:
            assert server.apply(WHOLE).changed
            assert server.facts().serial == "SRV-0001"
    finally:
        bench.shell("rm -f /etc/sudoers.d/op; pkill -9 -u op; userdel --remove op 2>/dev/null")
