"""What the supervisor writes down and the command line reads: who runs, since when, and what is left over."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psutil
from pydantic import ValidationError

from freehold.models.base import Choice, Model
from freehold.settings import Settings
from freehold.stack.targets import write_atomically

# Stands in the environment of all that belongs to a stack, so that it is found even when its parent is gone.
MARK = "FREEHOLD_STACK"


class ProgramState(Choice):
    waiting = "waiting"
    starting = "starting"
    ready = "ready"
    silent = "not answering"
    restarting = "restarting"
    stopped = "stopped"


class ProgramStatus(Model):
    name: str
    state: ProgramState
    pid: int | None = None
    restarts: int = 0
    since: datetime
    ready_after_s: float | None = None
    address: str
    link: str | None = None
    problem: str | None = None


class StackStatus(Model):
    """`supervisor` is None when the stack is down."""

    home: Path
    supervisor: int | None = None
    temporal: str
    ui: str | None = None
    programs: tuple[ProgramStatus, ...] = ()

    @property
    def ready(self) -> bool:
        return bool(self.programs) and all(program.state == ProgramState.ready for program in self.programs)


class Programs(Model):
    programs: tuple[ProgramStatus, ...] = ()


def state_file(settings: Settings) -> Path:
    return settings.home / "stack" / "state.json"


def write_state(settings: Settings, programs: tuple[ProgramStatus, ...]) -> None:
    write_atomically(state_file(settings), Programs(programs=programs).model_dump_json(indent=2))


def read_state(settings: Settings) -> tuple[ProgramStatus, ...]:
    try:
        return Programs.model_validate_json(state_file(settings).read_bytes()).programs
    except (FileNotFoundError, ValidationError):
        return ()


def lock_file(settings: Settings) -> Path:
    return settings.home / "stack" / "supervisor.lock"


@contextmanager
def supervisor_lock(settings: Settings) -> Iterator[bool]:
    """Held by the one supervisor of this home for its life, with its pid inside; False when another has it."""
    path = lock_file(settings)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield True


def supervisor_pid(settings: Settings) -> int | None:
    """The live supervisor. A file that a dead one left behind has no lock and does not count."""
    try:
        with lock_file(settings).open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.read() or 0) or None
    except FileNotFoundError:
        pass
    return None


def leftovers(settings: Settings) -> list[psutil.Process]:
    """Every live process of this stack but us and those who started us."""
    ours = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    return [process for process in psutil.process_iter() if process.pid not in ours and _marked(process, settings)]


def _marked(process: psutil.Process, settings: Settings) -> bool:
    try:
        return process.environ().get(MARK) == str(settings.home) and runs(process)
    except (psutil.Error, OSError):
        return False


def runs(process: psutil.Process) -> bool:
    """Whether it has not ended; a zombie only waits for its parent to notice."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def now() -> datetime:
    return datetime.now(UTC)
