"""How the parts of a lab are called on the computer that runs it: all begin with the lab's name.

`down` finds by these names what belongs to a lab, even when the lab's own files are gone.
"""

from __future__ import annotations

import os
import pwd
import re
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from freehold.errors import BadInput

_NAME = re.compile(r"[a-z][a-z0-9]{0,7}")  # interface names have 15 characters, and no name may begin another


def caller() -> pwd.struct_passwd | None:
    """The ordinary user who called through sudo: only the lab needs root, and that user works with it."""
    user = os.environ.get("SUDO_UID", "")
    if os.geteuid() != 0 or not user.isdecimal() or user == "0":
        return None
    return pwd.getpwuid(int(user))


def labs_folder() -> Path:
    """Where labs keep their state: $XDG_STATE_HOME/freehold/lab, of the caller also under sudo."""
    user = caller()
    if user is not None and "XDG_STATE_HOME" not in os.environ:
        return Path(user.pw_dir) / ".local/state/freehold/lab"
    return Path(platformdirs.user_state_dir("freehold")) / "lab"


def give_to_caller(folder: Path, *, parents: bool = False) -> None:
    """Let the caller own what sudo made: this folder and its files, or the folders above it in the home."""
    user = caller()
    if user is None:
        return
    home = Path(user.pw_dir)
    for path in (p for p in folder.parents if home in p.parents) if parents else (folder, *folder.iterdir()):
        os.chown(path, user.pw_uid, user.pw_gid)


@dataclass(frozen=True)
class Names:
    """The names of one lab."""

    lab: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.lab):
            raise BadInput(f"name {self.lab!r}: a lab's name is a letter and up to 7 letters and digits, lower case")

    @property
    def bridge(self) -> str:
        """The management network, in the root namespace."""
        return f"fh-{self.lab}"

    @property
    def panel(self) -> str:
        """The network namespace in which all cables end."""
        return f"fh-{self.lab}"

    @property
    def cgroup(self) -> str:
        return f"freehold-{self.lab}"

    def machine(self, device: str) -> str:
        """A device's network namespace and its name for systemd-nspawn."""
        return f"fh-{self.lab}-{device}"

    def management_end(self, device_index: int) -> str:
        return f"fh-{self.lab}.{device_index}"

    def is_interface(self, interface: str) -> bool:
        return interface == self.bridge or interface.startswith(f"fh-{self.lab}.")

    def is_machine(self, name: str) -> bool:
        return name.startswith(f"fh-{self.lab}-")

    def is_namespace(self, name: str) -> bool:
        return name == self.panel or self.is_machine(name)
