"""Start, stop and look at the local stack."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta

import psutil
import structlog

from freehold.errors import Conflict, StackError
from freehold.locks import file_lock
from freehold.settings import LOOPBACK, Settings
from freehold.stack import prometheus, temporal
from freehold.stack.binaries import Say
from freehold.stack.client import connect, connection, owns_server, ui_url
from freehold.stack.programs import programs
from freehold.stack.state import (
    MARK,
    ProgramState,
    ProgramStatus,
    StackStatus,
    leftovers,
    read_state,
    runs,
    state_file,
    supervisor_pid,
)

START_TIMEOUT = timedelta(seconds=90)
STOP_TIMEOUT = timedelta(seconds=45)
KILL_TIMEOUT = timedelta(seconds=5)
TRIES = 3

log = structlog.get_logger(__name__)


def status(settings: Settings) -> StackStatus:
    supervisor = supervisor_pid(settings)
    return StackStatus(
        home=settings.home,
        supervisor=supervisor,
        temporal=connection(settings)["target_host"],
        ui=ui_url(settings),
        programs=read_state(settings) if supervisor else (),
    )


def up(settings: Settings, say: Say) -> StackStatus:
    """Have the whole stack running and ready; says what it does. A stack that runs already is left alone."""
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with file_lock(settings.home / "stack" / "up.lock"):
        if (found := status(settings)).supervisor:
            _check_same(settings, found)
            _refresh_prometheus(settings, found, say)
            say("Already running.")
            return _wait_until_ready(settings, say)
        return _wait_until_ready(settings, say, _start(settings, say))


def down(settings: Settings, say: Say) -> bool:
    """Stop everything and prove that nothing is left; True when there was something to stop."""
    supervisor = supervisor_pid(settings)
    remains = [process for process in leftovers(settings) if process.pid != supervisor]
    if supervisor:
        say(f"Stopping {', '.join(program.name for program in reversed(read_state(settings)))} ...")
        os.kill(supervisor, signal.SIGTERM)
        _wait_for_end([psutil.Process(supervisor)], STOP_TIMEOUT)
    elif remains:
        say(f"No supervisor runs, but {len(remains)} of its processes do. Stopping them ...")
    _clear(settings)
    state_file(settings).unlink(missing_ok=True)
    return bool(supervisor or remains)


def _start(settings: Settings, say: Say) -> subprocess.Popen[bytes]:
    settings.logs.mkdir(parents=True, exist_ok=True, mode=0o700)
    if stale := _clear(settings):
        say(f"Stopped {stale} processes that an earlier stack left behind.")
    stack = programs(settings, say)
    _check_ports(settings)
    if not owns_server():
        say(f"Using the Temporal server at {connection(settings)['target_host']}.")
        if created := asyncio.run(_prepare_foreign_server(settings)):
            say(f"Created search attributes {', '.join(created)}.")
    say(f"Starting {', '.join(program.name for program in stack)} ...")
    state_file(settings).unlink(missing_ok=True)
    return _launch(settings)


def _launch(settings: Settings) -> subprocess.Popen[bytes]:
    environment = os.environ | settings.environment() | {MARK: str(settings.home)}
    environment.pop("FREEHOLD_OPERATOR", None)  # whoever types `up` is not the workers' identity
    with (settings.logs / "supervisor.log").open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "freehold.stack.supervisor"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd=settings.home,
            env=environment,
        )


async def _prepare_foreign_server(settings: Settings) -> list[str]:
    return await temporal.ensure_search_attributes(await connect(settings))


def _wait_until_ready(settings: Settings, say: Say, supervisor: subprocess.Popen[bytes] | None = None) -> StackStatus:
    began, told = time.monotonic(), set[str]()
    restarts = {program.name: program.restarts for program in read_state(settings)}
    while time.monotonic() - began < START_TIMEOUT.total_seconds():
        found = status(settings)
        for program in found.programs:
            if program.state == ProgramState.ready and program.name not in told:
                told.add(program.name)
                say(f"{program.name} is ready at {program.address} ({program.ready_after_s:g} s)")
        if found.ready:
            return found
        if any(each.restarts - restarts.get(each.name, 0) >= TRIES for each in found.programs):
            break
        if not found.supervisor and (supervisor is None or supervisor.poll() is not None):
            raise StackError(f"The supervisor did not start; {settings.logs / 'supervisor.log'} says why.")
        time.sleep(0.1)
    raise StackError(" ".join(_why_not_ready(settings, program) for program in status(settings).programs).strip())


def _why_not_ready(settings: Settings, program: ProgramStatus) -> str:
    if program.state == ProgramState.ready:
        return ""
    path = settings.logs / f"{program.name}.log"
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    last = f" Its last words: {lines[-1][:500]}" if lines else ""
    return f"{program.name} is {program.state} ({program.problem or 'no reason known'}); see {path}.{last}"


def _check_same(settings: Settings, found: StackStatus) -> None:
    """A running stack keeps its ports; other ones are not taken up in silence."""
    ports = {"temporal": settings.temporal_port, "prometheus": settings.prometheus_port}
    for program in found.programs:
        if program.name in ports and program.address != f"{LOOPBACK}:{ports[program.name]}":
            raise Conflict(
                f"The stack of {settings.home} runs already with {program.name} at {program.address}, not at port "
                f"{ports[program.name]}; stop it first with `freehold down`, or choose another --home."
            )


def _refresh_prometheus(settings: Settings, found: StackStatus, say: Say) -> None:
    pid = next((program.pid for program in found.programs if program.name == "prometheus"), None)
    if pid and prometheus.write_config(settings):
        os.kill(pid, signal.SIGHUP)
        say("Told Prometheus its new configuration.")


def _check_ports(settings: Settings) -> None:
    """Before anything starts, so that a taken port is one sentence and no restart loop."""
    needed = {
        name: port for name, port in settings.ports().items() if owns_server() or not name.startswith("temporal_")
    }
    taken = [f"{port} ({name}) by {who}" for name, port in needed.items() for who in _listeners(port)]
    if taken:
        raise Conflict(
            f"Ports are in use: {', '.join(taken)}. Stop what uses them, or set another port, "
            f"e.g. FREEHOLD_{next(iter(needed)).upper()}."
        )


def _listeners(port: int) -> Iterator[str]:
    for found in psutil.net_connections("tcp"):
        if found.status == psutil.CONN_LISTEN and found.laddr and found.laddr.port == port:
            yield f"{psutil.Process(found.pid).name()}, process {found.pid}" if found.pid else "another user's process"
            return


def _clear(settings: Settings) -> int:
    """End what belongs to this stack and outlived its supervisor."""
    found = leftovers(settings)
    for process in found:
        log.info("ending a process left behind", pid=process.pid)
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _wait_for_end(found, KILL_TIMEOUT)
    if still := leftovers(settings):
        raise StackError(f"Processes {', '.join(str(process.pid) for process in still)} do not end.")
    return len(found)


def _wait_for_end(processes: list[psutil.Process], within: timedelta) -> None:
    if alive := _alive_after(processes, within):
        for process in alive:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        _alive_after(alive, KILL_TIMEOUT)


def _alive_after(processes: list[psutil.Process], within: timedelta) -> list[psutil.Process]:
    """Those that still run; one that only waits for its parent to notice has ended."""
    end = time.monotonic() + within.total_seconds()
    while alive := [process for process in processes if runs(process)]:
        if time.monotonic() > end:
            break
        time.sleep(0.05)
    return alive
