"""`freehold up | down | status | logs` with the real Temporal server and the real Prometheus."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import psutil
import pytest

from freehold.models.names import Name
from freehold.stack import prometheus
from freehold.stack.binaries import find_prometheus, find_promtool, find_temporal
from freehold.stack.client import connect
from freehold.stack.targets import TargetGroup, remove_targets, write_targets
from freehold.stack.temporal import SEARCH_ATTRIBUTES
from tests.conftest import TemporalServer, free_ports
from tests.stack.conftest import Stack, eventually, guarded
from tests.stack.small_worker import Greet, Wait
from tests.stack.test_temporal import retention

PROGRAMS = ["temporal", "prometheus", "workers", "login", "web"]
pytestmark = pytest.mark.slow


def scraped(stack: Stack, query: str) -> list[Any]:
    """What Prometheus answers; an empty list as long as it knows nothing."""
    answer = httpx.get(f"{stack.settings.prometheus_url}/api/v1/query", params={"query": query}, timeout=5)
    found: list[Any] = answer.json()["data"]["result"]
    return found


def test_status_names_all(running: Stack) -> None:
    found = running.status()
    assert [each["name"] for each in found["programs"]] == PROGRAMS
    assert all(each["state"] == "ready" for each in found["programs"])
    assert found["ui"] == f"http://127.0.0.1:{running.settings.temporal_ui_port}"
    assert httpx.get(found["ui"], timeout=5).status_code == 200
    assert "workers" in running.run("status").stdout


def test_second_up_leaves_all_running(running: Stack) -> None:
    before = running.pids()
    assert "Already running" in running.run("up").stderr
    assert running.pids() == before


def test_only_the_loopback_listens(running: Stack) -> None:
    listening = [
        found.laddr.ip
        for process in running.processes()
        for found in process.net_connections("tcp")
        if found.status == psutil.CONN_LISTEN
    ]
    assert len(listening) >= 6
    assert set(listening) == {"127.0.0.1"}


async def test_retention_and_attributes_as_promised(running: Stack) -> None:
    client = await connect(running.settings)
    assert await retention(client) == timedelta(days=30)
    for name in SEARCH_ATTRIBUTES:
        assert (await client.count_workflows(f"{name} = 'x'")).count == 0


async def test_a_procedure_runs(running: Stack) -> None:
    client = await connect(running.settings)
    assert await client.execute_workflow(Greet.run, "x", id="one", task_queue="freehold") == "Hello x"


def test_prometheus_scrapes_stack(running: Stack) -> None:
    up = eventually(lambda: len(found := scraped(running, "up == 1")) >= 3 and found)
    assert {each["metric"]["job"] for each in up} == {"prometheus", "temporal", "workers"}


def test_prometheus_scrapes_an_instance(running: Stack) -> None:
    instance: Name = "acme-1"

    class Metrics(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"objects_stored 42\n")

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Metrics) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        groups = [TargetGroup(targets=(f"127.0.0.1:{server.server_port}",), labels={"role": "web"})]
        assert write_targets(running.settings, instance, groups).changed
        assert not write_targets(running.settings, instance, groups).changed
        query = 'objects_stored{freehold_instance="acme-1", role="web"}'
        [found] = eventually(lambda: scraped(running, query))
        assert found["value"][1] == "42"
        assert remove_targets(running.settings, instance).changed
        assert not remove_targets(running.settings, instance).changed
        eventually(lambda: not scraped(running, query))
        server.shutdown()


def test_new_configuration_reaches_prometheus(stack: Stack) -> None:
    stack.run("up")
    stack.settings = stack.settings.model_copy(update={"scrape_interval_s": 7})
    assert "new configuration" in stack.run("up").stderr
    url = f"{stack.settings.prometheus_url}/api/v1/status/config"
    eventually(lambda: "scrape_interval: 7s" in httpx.get(url, timeout=5).json()["data"]["yaml"])


def test_promtool_accepts_configuration(stack: Stack) -> None:
    prometheus.write_config(stack.settings)
    promtool = find_promtool(stack.settings, print)
    subprocess.run([promtool, "check", "config", prometheus.config_file(stack.settings)], check=True, timeout=20)


@pytest.mark.parametrize("name", PROGRAMS)
def test_killed_program_comes_back(running: Stack, name: str) -> None:
    before = running.status()
    pid = running.pids()[name]
    restarts = next(each["restarts"] for each in before["programs"] if each["name"] == name)
    os.kill(pid, signal.SIGKILL)

    def back() -> bool:
        found = next(each for each in running.status_now()["programs"] if each["name"] == name)
        return bool(found["state"] == "ready" and found["pid"] != pid and found["restarts"] == restarts + 1)

    eventually(back)


def test_killed_supervisor_takes_all_along_and_up_recovers(running: Stack) -> None:
    before = running.pids()
    os.kill(before["supervisor"], signal.SIGKILL)
    eventually(lambda: not running.processes(), 5)
    assert running.status(code=1)["programs"] == []
    running.run("up")
    assert not set(before.values()) & set(running.pids().values())


def test_what_outlived_its_supervisor_is_found(stack: Stack) -> None:
    stack.settings.home.mkdir()
    marked = {**os.environ, "FREEHOLD_STACK": str(stack.settings.home)}
    orphan = subprocess.Popen(["sleep", "60"], env=marked, start_new_session=True)
    try:
        eventually(lambda: "FREEHOLD_STACK" in psutil.Process(orphan.pid).environ())
        assert "nothing is left" in stack.run("down").stdout
        assert orphan.wait(5) == -signal.SIGTERM
    finally:
        orphan.kill()


async def test_down_leaves_nothing_and_up_finds_everything_again(stack: Stack) -> None:
    stack.run("up")
    client = await connect(stack.settings)
    await client.execute_workflow(Greet.run, "x", id="kept", task_queue="freehold")
    assert len(stack.processes()) == len(PROGRAMS) + 1
    began = time.monotonic()
    assert "nothing is left" in stack.run("down").stdout
    assert time.monotonic() - began < 20
    assert not stack.processes()
    for port in stack.settings.ports().values():
        socket.create_server(("127.0.0.1", port)).close()
    assert "Nothing was running" in stack.run("down").stdout
    stack.run("up")
    assert all(each["restarts"] == 0 for each in stack.status()["programs"])
    client = await connect(stack.settings)
    assert await client.get_workflow_handle_for(Greet.run, "kept").result() == "Hello x"


async def test_procedures_go_on_after_temporal_was_killed(running: Stack) -> None:
    client = await connect(running.settings)
    sleeper = await client.start_workflow(Wait.run, 8, id="waits", task_queue="freehold")
    os.kill(running.pids()["temporal"], signal.SIGKILL)
    os.kill(running.pids_now()["workers"], signal.SIGKILL)
    async with asyncio.timeout(40):
        assert await sleeper.result() == "awake"


def test_other_ports_are_not_taken_up_in_silence(running: Stack) -> None:
    other = running.settings.model_copy(update={"prometheus_port": free_ports(1)[0]})
    words = Stack(other).run("up", code=1).stderr
    assert f"prometheus at 127.0.0.1:{running.settings.prometheus_port}" in words
    assert "freehold down" in words


def test_two_ups_at_once_start_one_stack(stack: Stack) -> None:
    threads = [Thread(target=stack.run, args=("up",)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    assert len(stack.processes()) == len(PROGRAMS) + 1
    assert len([each for each in stack.processes() if "freehold.stack.supervisor" in each.cmdline()]) == 1


def test_a_taken_port_is_one_sentence(stack: Stack) -> None:
    with socket.create_server(("127.0.0.1", stack.settings.prometheus_port)):
        words = stack.run("up", code=1).stderr
    assert f"{stack.settings.prometheus_port} (prometheus_port) by " in words
    assert f"process {os.getpid()}" in words
    assert "Traceback" not in words
    assert not stack.processes()


def test_workers_that_cannot_run_say_why(stack: Stack) -> None:
    stack.environment = {"FREEHOLD_WORKER_MODULE": "tests.stack.broken_worker"}
    words = stack.run("up", code=1).stderr
    assert "workers is restarting (ended with exit code 1" in words
    assert "Its last words: RuntimeError: no hardware today" in words
    stack.run("down")
    assert not stack.processes()


def test_foreign_server_is_used_and_prepared(stack: Stack, temporal: TemporalServer) -> None:
    stack.environment = {"TEMPORAL_ADDRESS": temporal.address}
    assert f"Using the Temporal server at {temporal.address}" in stack.run("up").stderr
    found = stack.status()
    assert [each["name"] for each in found["programs"]] == ["prometheus", "workers", "web"]
    assert found["temporal"] == temporal.address
    stack.run("down")
    assert httpx.get(temporal.ui, timeout=5).status_code == 200


def test_logs_show_what_programs_say(running: Stack) -> None:
    assert "small worker polls" in running.run("logs", "workers").stdout
    assert "there are login, prometheus, supervisor, temporal, web, workers" in running.run("logs", "x", code=1).stderr
    following = subprocess.Popen(
        [*running.prefix, "-m", "freehold.cli.main", "logs", "workers", "--follow"],
        env=running.env(),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert following.stdout
        assert "small worker polls" in following.stdout.readline()
    finally:
        following.kill()
        following.wait(5)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_runs_as_an_ordinary_user(open_folder: Path, stack: Stack) -> None:
    python = shutil.which("python3", path="/usr/bin")
    if not python or not _same_version(python):
        pytest.skip("the system's Python is not the version that our packages were installed for")
    # Without what Debian's own packages add to that Python, which does not go with ours.
    subprocess.run([python, "-m", "venv", "--without-pip", open_folder / "venv"], check=True, timeout=60)
    binaries = {
        "TEMPORAL_CLI": find_temporal(stack.settings, print),
        "PROMETHEUS": find_prometheus(stack.settings, print),
    }
    environment = {name: str(shutil.copy(path, open_folder)) for name, path in binaries.items()}
    home = open_folder / "home"
    home.mkdir()
    shutil.chown(home, "nobody")
    user = Stack(
        stack.settings.model_copy(
            update={"home": home, "cache": home, "database_url": f"sqlite:///{home}/freehold.db"}
        ),
        prefix=(str(shutil.which("runuser")), "-u", "nobody", "--", str(open_folder / "venv/bin/python")),
        environment={**environment, "HOME": str(home), "PYTHONPATH": _python_path(), "PATH": "/usr/bin:/bin"},
    )
    with guarded(user):
        user.run("up")
        owners = {each.username() for each in user.processes() if each.name() != "runuser"}
        assert owners == {"nobody"}
        user.run("down")
        assert not [each for each in user.processes() if each.username() == "nobody"]


def _same_version(python: str) -> bool:
    code = "import sys; print(sys.version_info[:2])"
    asked = subprocess.run([python, "-c", code], capture_output=True, text=True, timeout=10, check=True)
    return asked.stdout.strip() == str(sys.version_info[:2])


def _python_path() -> str:
    return os.pathsep.join([str(Path(psutil.__file__).parents[1]), str(Path(__file__).parents[2])])
