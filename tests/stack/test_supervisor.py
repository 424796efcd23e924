"""Supervision itself, with programs that misbehave on purpose."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta

import psutil
import pytest

from freehold import logs
from freehold.settings import Settings
from freehold.stack import supervisor as module
from freehold.stack.programs import Program
from freehold.stack.state import ProgramState, read_state, supervisor_lock, supervisor_pid
from freehold.stack.supervisor import Supervisor


async def at_once(_started: datetime) -> None: ...


def program(name: str, code: str, **changes: object) -> Program:
    fields: dict[str, object] = {"port": 1, "ready": at_once, "stop_within": timedelta(seconds=0.5)}
    return Program(name=name, command=(sys.executable, "-u", "-c", code), **(fields | changes))  # type: ignore[arg-type]


@asynccontextmanager
async def supervised(settings: Settings, *stack: Program) -> AsyncIterator[Supervisor]:
    settings.logs.mkdir(parents=True, exist_ok=True)
    running = Supervisor(settings, list(stack))
    task = asyncio.create_task(running.run())
    try:
        yield running
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(check: Callable[[], bool], seconds: float = 15) -> None:
    async with asyncio.timeout(seconds):
        while not check():
            await asyncio.sleep(0.05)


async def test_a_crashing_program_is_restarted_ever_more_slowly(settings: Settings) -> None:
    async with supervised(settings, program("crash", "raise SystemExit(3)")) as running:
        await until(lambda: running.status["crash"].restarts >= 3)
        assert running.status["crash"].problem == "ended with exit code 3; again in 2 s"
        assert read_state(settings) == tuple(running.status.values())


async def test_a_missing_program_is_told(settings: Settings) -> None:
    missing = Program(name="gone", command=("/nonexistent/program",), port=1, ready=at_once)
    async with supervised(settings, missing) as running:
        await until(lambda: running.status["gone"].restarts >= 1)
    assert "No such file" in (settings.logs / "gone.log").read_text()


async def test_nothing_of_a_stubborn_program_survives(settings: Settings) -> None:
    """It ignores SIGTERM, and so does the child that it started."""
    code = (
        "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "os.fork(); os.write(1, b'%d\\n' % os.getpid()); time.sleep(60)"
    )
    log = settings.logs / "stubborn.log"
    async with supervised(settings, program("stubborn", code)):
        await until(lambda: log.exists() and len(log.read_text().split()) == 2)
        pids = [int(word) for word in log.read_text().split()]
        assert all(psutil.pid_exists(pid) for pid in pids)
    await until(lambda: not any(_lives(pid) for pid in pids))


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_order_of_start_and_stop(settings: Settings) -> None:
    order: list[str] = []

    def told(name: str) -> Callable[[datetime], object]:
        async def ready(_started: datetime) -> None:
            order.append(name)

        return ready

    wait = "import signal, time; signal.signal(signal.SIGTERM, lambda *_: exit(print(time.time()))); time.sleep(60)"
    first = program("first", wait, ready=told("first"), stop_within=timedelta(seconds=5))
    second = program("second", wait, ready=told("second"), after=("first",), stop_within=timedelta(seconds=5))
    async with supervised(settings, first, second) as running:
        await until(lambda: all(each.state == ProgramState.ready for each in running.status.values()))
        await asyncio.sleep(0.5)  # both have their signal handler
    assert order == ["first", "second"]
    ends = [float((settings.logs / f"{name}.log").read_text()) for name in ("first", "second")]
    assert ends[1] < ends[0]
    assert {each.state for each in read_state(settings)} == {ProgramState.stopped}


async def test_one_that_runs_but_does_not_answer_is_shown(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEALTH_S", 0.05)
    deaf = program("deaf", "import time; time.sleep(60)", port=settings.prometheus_port)
    async with supervised(settings, deaf) as running:
        await until(lambda: running.status["deaf"].state == ProgramState.silent)
        assert running.status["deaf"].problem == f"nothing answers at 127.0.0.1:{settings.prometheus_port}"


async def test_logs_are_rotated_and_endless_lines_dropped(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "LOG_BYTES", 1000)
    monkeypatch.setattr(logs, "LOG_FILES", 2)
    code = (
        "import time; print('x' * 3_000_000)\n"
        "for number in range(200): print(f'line {number:04}')\n"
        "print('last'); time.sleep(60)"
    )
    log = settings.logs / "chatty.log"
    async with supervised(settings, program("chatty", code)):
        await until(lambda: log.exists() and "last" in log.read_text())
    files = sorted(path.name for path in settings.logs.glob("chatty.log*"))
    assert files == ["chatty.log", "chatty.log.1", "chatty.log.2"]
    assert all(path.stat().st_size <= 1000 for path in settings.logs.glob("chatty.log*"))


def test_only_one_supervisor_per_home(settings: Settings) -> None:
    assert supervisor_pid(settings) is None
    with supervisor_lock(settings) as mine, supervisor_lock(settings) as second:
        assert mine
        assert not second
        assert supervisor_pid(settings) == os.getpid()
    assert supervisor_pid(settings) is None
