"""Parts that an intent is made of, and how they are put together. No part knows the next stage."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from freehold.models.server import Directory, File, Filesystem, ServerIntent, Setup, Unit
from freehold.templates import render

MANAGED = "Written by Freehold; changes are overwritten."
UNITS = "/etc/systemd/system"
PROGRAMS = "/usr/local/lib/freehold"
"""Of ours."""
_BEHIND = f"{PROGRAMS}/behind"
NICENESS = 10
"""Of what no customer waits for."""


@dataclass(frozen=True)
class Part:
    """A piece of desired state: what one program on one server needs."""

    packages: tuple[str, ...] = ()
    filesystems: tuple[Filesystem, ...] = ()
    directories: tuple[Directory, ...] = ()
    files: tuple[File, ...] = ()
    setups: tuple[Setup, ...] = ()
    units: tuple[Unit, ...] = ()
    purge: tuple[str, ...] = ()


def intent(server: str, parts: Iterable[Part]) -> ServerIntent:
    """All parts as one intent; what two of them want is wanted once."""
    chosen = list(parts)

    def all_of(field: str) -> tuple[object, ...]:
        return tuple(dict.fromkeys(item for part in chosen for item in getattr(part, field)))

    return ServerIntent.model_validate(
        {
            "server": server,
            "packages": tuple(sorted({name for part in chosen for name in part.packages})),
            **{field: all_of(field) for field in ("filesystems", "directories", "files", "setups", "units", "purge")},
        }
    )


def text(path: str, template: str, /, *, mode: int = 0o644, group: str = "root", **given: Any) -> File:
    """A file from a template below `templates/servers`."""
    return File(path=path, content=render("servers", template, managed=MANAGED, **given), mode=mode, group=group)


def network_unit(nic: str) -> str:
    """The unit that brings a NIC's address up."""
    return f"freehold-network@{nic}.service"


def drop_in(
    unit: str,
    after: tuple[str, ...] = (),
    mounts: tuple[str, ...] = (),
    command: str = "",
    reload: str = "",
    keeps_off: tuple[str, ...] = (),
    migrates: bool = False,
) -> File:
    """Makes a packaged unit wait for what it needs at boot, come back when it dies, and run the commands if given.

    It writes nothing to the folders that it `keeps_off`. While one that `migrates` runs, a reload on its server loses
    no connection that was just made.
    """
    return text(
        f"{UNITS}/{unit}.d/freehold.conf", "base/drop-in.conf.j2",
        after=after, mounts=mounts, command=command, reload=reload, keeps_off=keeps_off,
        migrates=migrates,
    )  # fmt: skip


def served(unit: str, *read: File, ready: tuple[str, ...] = (), reload_on: tuple[str, ...] = ()) -> Unit:
    """A unit that is restarted when one of the files changes that it reads."""
    return Unit(name=unit, restart_on=tuple(file.path for file in read), reload_on=reload_on, ready=ready)


def answers(url: str) -> tuple[str, ...]:
    """A command that succeeds when the URL is answered with success."""
    return ("curl", "--silent", "--fail", "--max-time", "5", "--output", "/dev/null", url)


def periodic(
    name: str, description: str, commands: tuple[str, ...], interval_s: int, *,
    user: str = "swift", after: tuple[str, ...] = (), timeout_s: int = 600, first_s: int | None = None,
    niceness: int = NICENESS,
) -> Part:  # fmt: skip
    """Commands run by a timer, `interval_s` after they last ended."""
    first_s = min(30, interval_s) if first_s is None else first_s
    service = text(
        f"{UNITS}/{name}.service", "base/oneshot.service.j2",
        name=name, description=description, commands=commands, user=user, after=after, timeout_s=timeout_s,
        behind=" ".join(behind(niceness)),
    )  # fmt: skip
    timer = text(
        f"{UNITS}/{name}.timer", "base/periodic.timer.j2",
        description=description, interval_s=interval_s, first_s=first_s,
    )  # fmt: skip
    return _beside(Part(files=(service, timer), units=(served(f"{name}.timer", timer),)))


def daemon(
    name: str, description: str, command: str, *read: File,
    user: str = "root", after: tuple[str, ...] = (), mounts: tuple[str, ...] = (), ready: tuple[str, ...] = (),
    niceness: int = NICENESS,
) -> Part:  # fmt: skip
    """A program that runs all the time beside those that customers wait for."""
    unit = text(
        f"{UNITS}/{name}.service", "base/daemon.service.j2",
        description=description, command=command, user=user, after=after, mounts=mounts,
        behind=" ".join(behind(niceness)),
    )  # fmt: skip
    return _beside(Part(files=(*read, unit), units=(served(f"{name}.service", *read, unit, ready=ready),)))


def behind(niceness: int) -> tuple[str, ...]:
    """What to write before a command that is to stand behind all that customers wait for."""
    return _BEHIND, str(niceness)


def _beside(part: Part) -> Part:
    program = text(_BEHIND, "base/behind.j2", mode=0o755)
    return replace(part, directories=(Directory(path=PROGRAMS), *part.directories), files=(program, *part.files))
