"""A whole stack per test module, driven as an operator does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from freehold.settings import Settings
from freehold.stack import control
from tests.conftest import own_settings

ROOT = Path(__file__).parents[2]


@dataclass
class Stack:
    """The `freehold` command with settings of its own."""

    settings: Settings
    prefix: tuple[str, ...] = (sys.executable,)
    environment: dict[str, str] = field(default_factory=dict)

    def env(self) -> dict[str, str]:
        own = {"FREEHOLD_WORKER_MODULE": "tests.stack.small_worker", "PYTHONPATH": str(ROOT)}
        return os.environ | self.settings.environment() | own | self.environment

    def run(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*self.prefix, "-m", "freehold.cli.main", *arguments],
            env=self.env(),
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == code, done
        return done

    def status(self, code: int = 0) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run("status", "--json", code=code).stdout)
        return found

    def status_now(self) -> dict[str, Any]:
        """As it is, ready or not."""
        found: dict[str, Any] = control.status(self.settings).model_dump(mode="json")
        return found

    def pids(self) -> dict[str, int]:
        """Of a stack that is ready."""
        assert self.status()["supervisor"]
        return self.pids_now()

    def pids_now(self) -> dict[str, int]:
        found = self.status_now()
        return {"supervisor": found["supervisor"]} | {each["name"]: each["pid"] for each in found["programs"]}

    def processes(self) -> list[psutil.Process]:
        """All that carries this home in its environment or command line, whoever runs it."""
        return [process for process in psutil.process_iter() if self._ours(process)]

    def _ours(self, process: psutil.Process) -> bool:
        home = str(self.settings.home)
        try:
            words = process.cmdline()
            if process.pid == os.getpid() or "guard" in words or process.status() == psutil.STATUS_ZOMBIE:
                return False
            return home in process.environ().values() or any(home in word for word in words)
        except psutil.Error:
            return False


@contextmanager
def guarded(stack: Stack) -> Iterator[Stack]:
    """Takes the stack down at the end; when pytest is killed, a process that waits for that does."""
    command = [*stack.prefix, "-m", "freehold.cli.main", "down"]
    guard = subprocess.Popen(
        ["sh", "-c", 'read line || exec "$@"', "guard", *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=stack.env() | {"FREEHOLD_STACK": ""},
        start_new_session=True,
    )
    try:
        yield stack
    finally:
        assert guard.stdin
        guard.stdin.close()
        guard.wait(90)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with guarded(Stack(own_settings(tmp_path / "home"))) as made:
        yield made


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    settings = own_settings(tmp_path_factory.mktemp("stack") / "home")
    often = {"scrape_interval_s": 1, "instance_scrape_interval_s": 1}
    with guarded(Stack(settings.model_copy(update=often))) as made:
        made.run("up")
        yield made


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users may enter; pytest's own ones are closed to them."""
    folder = Path(tempfile.mkdtemp(prefix="freehold-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def eventually(check: Callable[[], Any], seconds: float = 20) -> Any:
    """The first true answer of `check`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := check():
            return found
        time.sleep(0.2)
    raise AssertionError(f"still not so after {seconds} s")
