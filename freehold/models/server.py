"""What a server should be: packages, users, filesystems, files, setup commands, units.

Text that holds a secret carries a token, `@@secret:NAME@@`, instead of the value: plans, diffs and histories
only ever see the token. The server driver puts the value in at the last moment and takes it out when it reads.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field, StringConstraints

from freehold.models.base import Model, content_hash
from freehold.models.names import Name

SECRET_TOKEN = re.compile(r"@@secret:([A-Za-z0-9._/-]+)@@")
UnixName = Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_-]{0,31}$")]
Path = Annotated[str, StringConstraints(pattern=r"^/[A-Za-z0-9._/@+-]*$")]
UnitName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9@._-]+\.(service|timer|socket|target|mount)$")]


def secret_token(name: str) -> str:
    """The token that stands for the secret `name` in texts."""
    return f"@@secret:{name}@@"


class User(Model):
    """A system user and its group of the same name."""

    name: UnixName
    home: Path = "/nonexistent"
    groups: tuple[UnixName, ...] = ()


class Filesystem(Model):
    """A filesystem on a whole disk, mounted (also after a reboot). Only a disk without any signature is formatted."""

    disk: str = Field(pattern=r"^[a-z][a-z0-9]*$", description="block device below /dev")
    mountpoint: Path
    type: Annotated[str, StringConstraints(pattern=r"^(ext4|xfs)$")] = "ext4"
    label: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,12}$")]
    owner: UnixName = "root"
    group: UnixName = "root"
    mode: int = 0o755


class Directory(Model):
    path: Path
    owner: UnixName = "root"
    group: UnixName = "root"
    mode: int = 0o755


class File(Model):
    """A file with its whole content. `base64` is set for content that is not text."""

    path: Path
    content: str
    base64: bool = False
    owner: UnixName = "root"
    group: UnixName = "root"
    mode: int = 0o644

    @property
    def secrets(self) -> tuple[str, ...]:
        return tuple(SECRET_TOKEN.findall(self.content)) if not self.base64 else ()


class Setup(Model):
    """A state that only a command can bring about, e.g. a database that must exist.

    `check` exits 0 when nothing is to be done; else `apply` runs and `check` must then succeed.
    `undo` takes it back (empty: it goes with the directories and filesystems).
    """

    name: str
    check: tuple[str, ...]
    apply: tuple[str, ...]
    undo: tuple[str, ...] = ()
    after_units: bool = Field(default=False, description="run when the units are running, not before")
    timeout_s: int = 60


class Unit(Model):
    """A systemd unit that is enabled and running; restarted or reloaded only when what it reads has changed."""

    name: UnitName
    restart_on: tuple[Path, ...] = Field(default=(), description="files whose change needs a restart")
    reload_on: tuple[Path, ...] = Field(default=(), description="files whose change needs a reload")
    ready: tuple[str, ...] = Field(default=(), description="command that exits 0 when the unit serves; retried")
    oneshot: bool = False


class ServerIntent(Model):
    """All that Freehold wants of one server, applied in the order of the fields."""

    server: Name
    packages: tuple[str, ...] = ()
    users: tuple[User, ...] = ()
    filesystems: tuple[Filesystem, ...] = ()
    directories: tuple[Directory, ...] = ()
    files: tuple[File, ...] = ()
    setups: tuple[Setup, ...] = ()
    units: tuple[Unit, ...] = ()
    purge: tuple[Path, ...] = Field(
        default=(),
        description="what the service leaves behind by itself; undo removes it (logs, caches, databases)",
    )


class ServerResult(Model):
    """What became of an intent (or its undo). Diffs hold tokens, never secrets."""

    server: Name
    changed: bool
    diff: str = ""


class ServerSnapshot(Model):
    """A server's fingerprint before and after: equal snapshots mean that undo restored everything it must.

    Holds what Freehold may touch: files below /etc (path -> "sha256 mode owner:group"), enabled and running
    units, users, installed packages, disk signatures, mounts, addresses on data NICs, listening sockets.
    """

    server: Name
    files: dict[str, str] = Field(default_factory=dict)
    enabled_units: tuple[str, ...] = ()
    running_units: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    disks: dict[str, str] = Field(default_factory=dict)
    mounts: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    listeners: tuple[str, ...] = ()
    leftovers: tuple[str, ...] = Field(default=(), description="paths outside /etc that Freehold could have made")

    @property
    def hash(self) -> str:
        return content_hash(self)


class ServerFacts(Model):
    """What a server says it is made of, to be held against the inventory."""

    server: Name
    serial: str
    memory_mib: int
    cores: int
    nics: dict[str, str] = Field(default_factory=dict, description="NIC name -> MAC")
    disks: dict[str, int] = Field(default_factory=dict, description="block device -> bytes")
    os: str = ""


class EraseRecord(Model):
    """Evidence that a disk was erased: what was done, when, and what a read afterwards found."""

    server: Name
    disk: str
    serial: str
    size_bytes: int
    method: str
    started_at: str
    finished_at: str
    sampled_bytes: int = Field(description="bytes read back from all over the disk")
    nonzero_bytes: int = Field(description="of those, bytes that were not zero: must be 0")
    signatures: tuple[str, ...] = Field(default=(), description="filesystem signatures still found: must be none")

    @property
    def clean(self) -> bool:
        return self.nonzero_bytes == 0 and not self.signatures
