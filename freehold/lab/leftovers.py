"""Taking a lab down, and looking afterwards whether anything of it is left.

Both go by names and paths only, so they also work on a lab whose files are damaged or whose starter was killed.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path

import psutil

from freehold.lab import cgroups, disks, network
from freehold.lab.commands import run
from freehold.lab.machines import NSPAWN_FOLDERS, SCRIPT
from freehold.lab.names import Names


def take_down(names: Names, state: Path) -> list[str]:
    """Remove all that belongs to the lab. Returns what is left nevertheless."""
    for _ in range(3):  # a machine that was being started meanwhile needs a second look
        for pid in _starting(state):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        cgroups.kill(names.cgroup)
        for namespace in filter(names.is_namespace, network.namespaces()):
            network.remove_namespace(namespace)
        for interface in filter(names.is_interface, network.interfaces()):
            run("ip", "link", "del", interface, check=False)
        for mount in _mounts_below(state):
            run("umount", "--lazy", mount, check=False)
        disks.detach_below(state)
        cgroups.remove(names.cgroup)
        for folder in _nspawn_folders(names):
            shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(state, ignore_errors=True)
        left = leftovers(names, state)
        if not left:
            break
        time.sleep(0.3)
    return left


def leftovers(names: Names, state: Path) -> list[str]:
    """All that exists of the lab, in words. Empty when it is down."""
    return [
        *(f"process {pid}" for pid in {*cgroups.processes(names.cgroup), *_starting(state)}),
        *(f"cgroup {folder}" for folder in cgroups.folders(names.cgroup)),
        *(f"network namespace {name}" for name in network.namespaces() if names.is_namespace(name)),
        *(f"interface {name}" for name in network.interfaces() if names.is_interface(name)),
        *(f"mount {mount}" for mount in _mounts_below(state)),
        *(f"loop device {device}" for device in disks.below(state)),
        *(f"folder {folder}" for folder in _nspawn_folders(names)),
        *([f"folder {state}"] if state.exists() else []),
    ]


def _starting(state: Path) -> list[int]:
    """Starters of machines that have not joined their control group yet: `up` was killed at that very moment."""
    machines = f"{state}/machines/"
    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if any(word == str(SCRIPT) for word in process.info["cmdline"] or ())
        and any(word.startswith(machines) for word in process.info["cmdline"])
    ]


def _mounts_below(folder: Path) -> list[str]:
    targets = (line.split(" ")[1] for line in Path("/proc/self/mounts").read_text().splitlines())
    return sorted((t for t in targets if t.startswith(f"{folder}/")), reverse=True)


def _nspawn_folders(names: Names) -> list[Path]:
    found = (p for folder in NSPAWN_FOLDERS if folder.is_dir() for p in folder.iterdir())
    return [p for p in found if names.is_machine(p.name)]
