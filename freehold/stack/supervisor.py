"""Keeps the stack's programs running. A child of nobody: `python -m freehold.stack.supervisor`.

Own code, because the supervisors that exist need root, an init system or a daemon of their own, and none ties the
lives of its programs to its own.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from contextlib import suppress
from datetime import datetime
from time import monotonic
from typing import Any

import structlog

from freehold.logs import configure_logs, rotating
from freehold.settings import Settings, load_settings
from freehold.stack.programs import Program, port_open, programs
from freehold.stack.state import MARK, ProgramState, ProgramStatus, now, supervisor_lock, write_state

log = structlog.get_logger(__name__)

FIRST_DELAY_S, LONGEST_DELAY_S = 0.5, 30.0
STEADY_AFTER_S = 60.0
POLL_S, HEALTH_S, MISSED_CHECKS = 0.2, 5.0, 3
LONGEST_LINE = 1_000_000


class Supervisor:
    def __init__(self, settings: Settings, stack: list[Program]) -> None:
        self.settings = settings
        self.stack = stack
        self.ready = {program.name: asyncio.Event() for program in stack}
        self.status = {
            program.name: ProgramStatus(
                name=program.name,
                state=ProgramState.waiting,
                since=now(),
                address=program.address,
                link=program.link,
            )
            for program in stack
        }

    async def run(self) -> None:
        """Until SIGTERM or SIGINT; then stop the programs, the last one first."""
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        keepers = [asyncio.create_task(self._keep(program), name=program.name) for program in self.stack]
        try:
            await asyncio.wait([asyncio.create_task(stop.wait()), *keepers], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for keeper in reversed(keepers):
                keeper.cancel()
                await asyncio.wait([keeper])
                self._note(keeper.get_name(), state=ProgramState.stopped, pid=None)
        for keeper in keepers:
            if not keeper.cancelled():
                keeper.result()  # raises: a keeper ends by itself only through a mistake of ours

    async def _keep(self, program: Program) -> None:
        for name in program.after:
            await self.ready[name].wait()
        delay = FIRST_DELAY_S
        while True:
            started = monotonic()
            problem = await self._run_once(program)
            if monotonic() - started > STEADY_AFTER_S:
                delay = FIRST_DELAY_S
            self._note(
                program.name,
                state=ProgramState.restarting,
                pid=None,
                problem=f"{problem}; again in {delay:g} s",
                restarts=self.status[program.name].restarts + 1,
            )
            await asyncio.sleep(delay)
            delay = min(delay * 2, LONGEST_DELAY_S)

    async def _run_once(self, program: Program) -> str:
        """Run it to its end, and say what that was. Whatever happens, nothing of its process group survives."""
        process = await self._start(program)
        if isinstance(process, OSError):
            return f"cannot be started: {process.strerror}"
        self._note(program.name, state=ProgramState.starting, pid=process.pid)
        lines = asyncio.create_task(self._write_log(program, process))
        watch = asyncio.create_task(self._watch(program))
        try:
            code = await process.wait()
        finally:
            watch.cancel()
            await _end(process, program.stop_within.total_seconds())
            await asyncio.wait([lines], timeout=1)
            lines.cancel()
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"

    async def _start(self, program: Program) -> Process | OSError:
        # The kernel kills it when we die without a word; what it starts itself is found by the mark.
        command = ("setpriv", "--pdeathsig", "KILL", "--", *program.command)
        try:
            return await asyncio.create_subprocess_exec(
                *command,
                stdin=DEVNULL,
                stdout=PIPE,
                stderr=STDOUT,
                start_new_session=True,
                cwd=self.settings.home,
                env=os.environ | self.settings.environment() | {MARK: str(self.settings.home)},
                limit=LONGEST_LINE,
            )
        except OSError as error:
            return error

    async def _watch(self, program: Program) -> None:
        started, since = monotonic(), now()
        while (problem := await self._not_ready(program, since)) is not None:
            self._note(program.name, problem=problem)
            await asyncio.sleep(POLL_S)
        seconds = round(monotonic() - started, 2)
        self._note(program.name, state=ProgramState.ready, ready_after_s=seconds, problem=None)
        self.ready[program.name].set()
        missed = 0
        while True:
            await asyncio.sleep(HEALTH_S)
            missed = 0 if await port_open(program.port) else missed + 1
            silent = missed >= MISSED_CHECKS
            self._note(
                program.name,
                state=ProgramState.silent if silent else ProgramState.ready,
                problem=f"nothing answers at {program.address}" if silent else None,
            )

    async def _not_ready(self, program: Program, since: datetime) -> str | None:
        try:
            await program.ready(since)
        except Exception as error:  # whatever it is, the program is not ready yet, and we say why
            return str(error) or type(error).__name__
        return None

    async def _write_log(self, program: Program, process: Process) -> None:
        assert process.stdout
        file = rotating(self.settings.logs / f"{program.name}.log")
        try:
            while line := await _line(process.stdout):
                file.emit(_record(line))
        finally:
            file.close()

    def _note(self, name: str, **changes: Any) -> None:
        """Write down what is new; reading the state never needs us to answer."""
        before = self.status[name]
        if "state" in changes and changes["state"] != before.state:
            changes["since"] = now()
        after = before.model_copy(update=changes)
        if after != before:
            self.status[name] = after
            write_state(self.settings, tuple(self.status.values()))
            log.info("program", **after.model_dump(mode="json", exclude={"link"}, exclude_none=True))


async def _line(stream: asyncio.StreamReader) -> bytes:
    try:
        return await stream.readline()
    except ValueError:  # longer than any line of ours
        return b"(a line of more than a megabyte was dropped)\n"


def _record(line: bytes) -> Any:
    return logging.makeLogRecord({"msg": line.decode(errors="replace").rstrip("\n")})


async def _end(process: Process, within_s: float) -> None:
    """Ask the whole process group to end, then make it."""
    if process.returncode is None:
        _signal_group(process.pid, signal.SIGTERM)
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await process.wait()
    _signal_group(process.pid, signal.SIGKILL)
    await process.wait()


def _signal_group(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, number)


def main() -> int:
    settings = load_settings()
    configure_logs(settings.log_level, file=settings.logs / "supervisor.log")
    with supervisor_lock(settings) as mine:
        if not mine:
            log.warning("another supervisor runs already", home=str(settings.home))
            return 1
        asyncio.run(Supervisor(settings, programs(settings, log.info)).run())
    return 0


if __name__ == "__main__":
    sys.exit(main())
