"""Running commands and writing files so that neither a time-out nor a kill leaves half of something."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMMAND_TIMEOUT_S = 120
MOUNTS = Path("/proc/self/mountinfo")


class Refused(Exception):
    """The server said no; its words are in the message."""


class Progress:
    """What goes on at this moment, for the heartbeat; and whether anybody still listens."""

    doing = ""
    gone = False


@dataclass
class Done:
    code: int
    out: str
    err: str

    @property
    def words(self) -> str:
        return " ".join((self.err.strip() or self.out.strip())[-1500:].split()) or f"exit code {self.code}"


def run(
    *command: str,
    timeout_s: float = COMMAND_TIMEOUT_S,
    given: str | None = None,
    settings: dict[str, str] | None = None,
) -> Done:
    """Run a command to its end. A missing command and a time-out are results, not exceptions."""
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL if given is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=os.environ | {"LC_ALL": "C.UTF-8"} | (settings or {}),
            start_new_session=True,
        )
    except OSError as error:
        return Done(127, "", f"{command[0]}: {error.strerror}")
    try:
        out, err = process.communicate(given, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return Done(124, "", f"no end after {timeout_s:g} s")
    return Done(process.returncode, out, err)


def must(*command: str, **options: Any) -> str:
    """Run a command that has to succeed, and return its output."""
    done = run(*command, **options)
    if done.code:
        raise Refused(f"`{' '.join(command)[:200]}`: {done.words}")
    return done.out


def replace_file(path: Path, content: bytes, mode: int, uid: int = 0, gid: int = 0) -> None:
    """Write a file in one step. A kill leaves at most one hidden file, which the next try takes over."""
    temporary = half_written(path)
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        os.fchown(descriptor, uid, gid)
        os.fchmod(descriptor, mode)
        file.flush()
        os.fsync(descriptor)
    temporary.rename(path)


def half_written(path: Path) -> Path:
    return path.with_name(f".{path.name}.freehold")


def mounts() -> list[tuple[str, str]]:
    """All mounts as (major:minor, mount point), in the order in which they were made."""
    rows = [line.split() for line in MOUNTS.read_text().splitlines()]
    return [(row[2], row[4].encode().decode("unicode_escape")) for row in rows]


def mounted_below(path: Path) -> list[str]:
    return [point for _, point in mounts() if point == str(path) or point.startswith(f"{path}/")]


def last_lines(unit: str, lines: int = 8) -> str:
    """The last words of a unit in the journal."""
    told = run("journalctl", "--no-pager", "-o", "cat", "-n", str(lines), "-u", unit, timeout_s=20)
    return " | ".join(line.strip() for line in told.out.splitlines() if line.strip())


def words(command: Sequence[str]) -> str:
    return " ".join(command)
