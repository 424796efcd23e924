"""For all tests: one real Temporal server per session, and who does which tests when several processes share them."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import httpx
import pytest
from temporalio.client import Client
from temporalio.runtime import Runtime
from xdist.scheduler import LoadScopeScheduling

from freehold.errors import StackError
from freehold.settings import Settings, load_settings
from freehold.stack import temporal as server
from freehold.stack.binaries import find_temporal
from freehold.stack.client import connect, ui_url
from freehold.stack.ports import free_ports

# Temporal and Prometheus collect garbage less often: there is more memory than time.
os.environ.setdefault("GOGC", "400")


def pytest_collection() -> None:
    gc.disable()  # nothing of what is read now is garbage


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@dataclass(frozen=True)
class TemporalServer:
    """A development server of this test session. Share it: use task queues and workflow ids of your own."""

    settings: Settings
    pid: int

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.settings.temporal_port}"

    @property
    def ui(self) -> str:
        return f"http://127.0.0.1:{self.settings.temporal_ui_port}"

    async def client(self, identity: str = "test", *, runtime: Runtime | None = None) -> Client:
        return await connect(self.settings, identity, runtime=runtime)


@pytest.fixture(scope="session", autouse=True)
def _own_temporal_profile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No server of the person who runs the tests is touched."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("TEMPORAL_") and name != "TEMPORAL_CLI"]:
            patch.delenv(name)
        patch.setenv("TEMPORAL_CONFIG_FILE", str(tmp_path_factory.mktemp("profile") / "none.toml"))
        yield


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with a home and ports of their own."""
    return own_settings(tmp_path)


def own_settings(home: Path) -> Settings:
    temporal = ("temporal", "temporal_ui", "temporal_http", "temporal_metrics")
    names = (*temporal, "worker_metrics", "prometheus", "login", "web")
    ports = dict(zip((f"{name}_port" for name in names), free_ports(len(names)), strict=True))
    return load_settings(home=home, **ports)


@pytest.fixture(scope="session")
def temporal(_own_temporal_profile: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TemporalServer]:
    """One real server for the session."""
    with running_temporal(tmp_path_factory.mktemp("temporal")) as server:
        yield server


@contextmanager
def running_temporal(home: Path) -> Iterator[TemporalServer]:
    """A real server with ports and a database of its own; it dies with this process, however that ends."""
    settings = own_settings(home)
    home.mkdir(parents=True, exist_ok=True)
    command = server.server_command(settings, find_temporal(settings, print))
    log = settings.home / "temporal.log"
    # Asked to end it would wait ten seconds for clients that wait for it.
    with log.open("wb") as output, running(command, output, ends_with=signal.SIGKILL) as process:
        asyncio.run(_prepare(settings, process, log))
        yield TemporalServer(settings, process.pid)


@contextmanager
def running(
    command: Sequence[str], output: int | IO[bytes] = subprocess.DEVNULL, ends_with: signal.Signals = signal.SIGTERM
) -> Iterator[subprocess.Popen[bytes]]:
    """A program that dies with this context, and with this process, however that ends."""
    process = subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", "--", *command], stdin=subprocess.DEVNULL, stdout=output, stderr=output
    )
    try:
        yield process
    finally:
        process.send_signal(ends_with)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


async def _answers(http: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await http.get(url)).is_success
    except httpx.TransportError:
        return False


async def _prepare(settings: Settings, process: subprocess.Popen[bytes], log: Path) -> None:
    async with asyncio.timeout(60):
        while True:
            if process.poll() is not None:
                raise RuntimeError(f"Temporal ended with exit code {process.returncode}; see {log}")
            try:
                client = await connect(settings, "test")
                break
            except StackError:
                await asyncio.sleep(0.1)
        # The Web UI has a connection of its own, which rests for a while after a try that came too early.
        async with httpx.AsyncClient(trust_env=False) as http:
            while not await _answers(http, f"{ui_url(settings)}/api/v1/namespaces"):
                await asyncio.sleep(0.1)
    await server.ensure_search_attributes(client)


LABS = (
    "tests/e2e/scaling",
    "tests/e2e",
    "tests/lab",
    "tests/services/object_storage",
    "tests/lab/client",
    "tests/devices/servers",
    "tests/devices/switches",
)
"""Folders whose tests boot machines, the longest first."""
LONE = (
    "tests/workflows/test_leaving.py",
    "tests/workflows/test_watch.py",
    "tests/stack/test_missed_starts.py",
    "tests/workflows/test_forgotten.py",
    "tests/web/test_login_browser.py",
    "tests/ui/test_scaling_ui.py",
    "tests/workflows/test_three_weeks.py",
)
"""Files of few tests that take long. Others begin with the file that has most tests, so these would come last."""


class LabsFirst(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """With `-n`, most processes begin with the labs, which wait more than they compute; the others do the rest.

    Tests of a folder with a lab share it and stay in one process; others share no more than their file does. Who has
    nothing else left helps out.
    """

    def _split_scope(self, nodeid: str) -> str:
        file: str = nodeid.partition("::")[0]
        folder = file.rpartition("/")[0]
        return folder if folder in LABS else file

    def _assign_work_unit(self, node: Any) -> None:
        labs = node in self.nodes[: (len(self.nodes) + 1) // 2]
        fitting = [scope for scope in self.workqueue if (scope in LABS) is labs] or list(self.workqueue)
        chosen = next(scope for scope in (*LABS, *LONE, *fitting) if scope in fitting)
        self.workqueue.move_to_end(chosen, last=False)
        super()._assign_work_unit(node)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LabsFirst:
    return LabsFirst(config, log)
