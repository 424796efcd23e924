"""Control groups: each machine has one, so that all of its processes can be found, counted and killed.

Hosts with one tree (version 2) and with two (hybrid: systemd's named tree beside version 2) both work.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from freehold.lab.commands import LabError

ROOT = Path("/sys/fs/cgroup")


def trees() -> list[Path]:
    """The trees in which a machine's group must exist; the last one is version 2, if there is one."""
    if (ROOT / "cgroup.controllers").exists():
        return [ROOT]
    return [t for t in (ROOT / "systemd", ROOT / "unified") if (t / "cgroup.procs").exists()]


def create(group: str) -> list[Path]:
    """Make the group in every tree. Returns the files into which a process writes its id to join."""
    folders = [tree / group for tree in trees()]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    return [folder / "cgroup.procs" for folder in folders]


def processes(group: str) -> list[int]:
    """All processes in the group and below."""
    found: set[int] = set()
    for tree in trees():
        for folder, _, _ in os.walk(tree / group):  # unlike rglob it passes over groups that vanish meanwhile
            with suppress(OSError):
                found.update(int(line) for line in (Path(folder) / "cgroup.procs").read_text().split())
    return sorted(found)


def populated(group: str) -> bool:
    """Whether any process lives in the group or below, as the kernel counts it where version 2 is there."""
    for tree in trees():
        with suppress(OSError):
            return "populated 1" in (tree / group / "cgroup.events").read_text()
    return bool(processes(group))


def leader(group: str) -> int | None:
    """The machine's first process (its systemd), or None while there is none."""
    for tree in reversed(trees()):
        with suppress(OSError, IndexError):
            return int((tree / group / "payload/init.scope/cgroup.procs").read_text().split()[0])
    return None


def wait_empty(group: str, timeout_s: float) -> bool:
    """Wait until no process is left. Returns whether that came true."""
    end = time.monotonic() + timeout_s
    while populated(group):
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def kill(group: str, timeout_s: float = 15) -> None:
    """Kill all processes of the group at once and wait until they are gone."""
    end = time.monotonic() + timeout_s
    while populated(group):
        for tree in trees():
            with suppress(OSError):  # version 2 kills the whole tree, also what forks meanwhile
                (tree / group / "cgroup.kill").write_text("1")
        for pid in processes(group):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > end:
            raise LabError(f"processes {processes(group)} of {group} do not die")
        time.sleep(0.02)


def folders(group: str) -> list[Path]:
    """The group's folders that exist, deepest first."""
    return [Path(folder) for tree in trees() for folder, _, _ in os.walk(tree / group, topdown=False)]


def remove(group: str) -> None:
    """Remove the empty group from every tree."""
    for folder in folders(group):
        with suppress(FileNotFoundError):
            _rmdir(folder)


def _rmdir(folder: Path) -> None:
    for _ in range(50):  # a dying process keeps its group busy for a moment
        try:
            return folder.rmdir()
        except OSError as error:
            if isinstance(error, FileNotFoundError):
                raise
            time.sleep(0.02)
    folder.rmdir()
