"""All labs on this computer: finding them, and taking down those whose owner is gone."""

from __future__ import annotations

import os
from pathlib import Path

from freehold.errors import Conflict
from freehold.lab.commands import LabError
from freehold.lab.leftovers import take_down
from freehold.lab.names import Names, labs_folder
from freehold.locks import folder_lock


def names() -> list[str]:
    """Every lab of which there is a state folder."""
    folder = labs_folder()
    return sorted(p.name for p in folder.iterdir() if p.is_dir()) if folder.is_dir() else []


def take_down_named(lab: str) -> list[str]:
    """Take a lab down by its name alone. Returns what is left."""
    if os.geteuid() != 0:
        raise LabError("only root can take a lab down; run the same command with sudo")
    return take_down(Names(lab), labs_folder() / lab)


def own(state: Path) -> None:
    """Say that this lab belongs to this process and should not outlive it. Raises Conflict if another one lives."""
    file = state / "owner"
    if file.exists() and not _is_dead(file) and int(file.read_text().split()[0]) != os.getpid():
        raise Conflict(f"lab {state.name} belongs to process {file.read_text().split()[0]}, which still runs")
    state.mkdir(parents=True, exist_ok=True)
    me = os.getpid()
    file.write_text(f"{me} {_started(me)}\n")


def sweep() -> list[str]:
    """Take down the labs whose owner has died. Returns their names.

    One at a time on this computer: who found a dead owner a moment ago must not remove the lab that another process
    has swept and started again meanwhile.
    """
    swept = []
    labs_folder().mkdir(parents=True, exist_ok=True)
    with folder_lock(labs_folder()):
        for lab in names():
            if _is_dead(labs_folder() / lab / "owner"):
                take_down_named(lab)
                swept.append(lab)
    return swept


def _is_dead(owner: Path) -> bool:
    """Whether the process that is named in the file is gone. Without the file the lab was started to stay."""
    try:
        pid, started = owner.read_text().split()
    except (OSError, ValueError):
        return False
    return _started(int(pid)) != started


def _started(pid: int) -> str:
    """When a process began, in clock ticks since boot, which no wall clock moves; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""
