"""Files and directories: what is, what should be, and back."""

from __future__ import annotations

import base64
import grp
import hashlib
import os
import pwd
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .memory import ORIGINALS, Memory
from .tools import Refused, half_written, mounted_below, replace_file

UNIT_FOLDERS = ("/etc/systemd/system/", "/usr/local/lib/systemd/system/", "/run/systemd/system/")
_MOST_ENTRIES = 100_000


def describe(path: Path, *, content: bool = False) -> dict[str, Any]:
    """Kind, owner, group and mode of what is at `path`, with its content if asked."""
    try:
        status = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return {"kind": "absent"}
    seen: dict[str, Any] = {
        "owner": _user_name(status.st_uid),
        "group": _group_name(status.st_gid),
        "mode": stat.S_IMODE(status.st_mode),
    }
    if stat.S_ISLNK(status.st_mode):
        return seen | {"kind": "link", "target": str(path.readlink())}
    if stat.S_ISDIR(status.st_mode):
        return seen | {"kind": "directory"}
    if not stat.S_ISREG(status.st_mode):
        return seen | {"kind": "other"}
    if content:
        seen["content"] = base64.b64encode(path.read_bytes()).decode()
    return seen | {"kind": "file"}


def write(memory: Memory, wanted: dict[str, Any]) -> None:
    """Bring about one file. What stood there before Freehold is kept; units that must notice are noted first."""
    path = Path(wanted["path"])
    uid, gid = _ids(wanted)
    _make_parents(memory, path)
    _keep_original(memory, path)
    memory["files"][str(path)]["secrets"] = wanted["secrets"]
    for unit in wanted["reload"]:
        memory["pending"].setdefault(unit, "reload")
    for unit in wanted["restart"]:
        memory["pending"][unit] = "restart"
    if str(path).startswith(UNIT_FOLDERS):
        memory["pending"]["daemon-reload"] = True
    memory.save()
    replace_file(path, base64.b64decode(wanted["content"]), wanted["mode"], uid, gid)


def make_directory(memory: Memory, wanted: dict[str, Any]) -> None:
    path = Path(wanted["path"])
    seen = describe(path)
    if seen["kind"] not in ("absent", "directory"):
        raise Refused(f"{path} should be a directory and is a {seen['kind']}")
    _make_parents(memory, path)
    memory.note("directories", str(path), seen)
    path.mkdir(exist_ok=True)
    own(wanted)


def own(wanted: dict[str, Any]) -> None:
    """Give what is at `path` its owner, group and mode."""
    os.chown(wanted["path"], *_ids(wanted))
    Path(wanted["path"]).chmod(wanted["mode"])


def restore_files(memory: Memory) -> Iterator[str]:
    for name, before in reversed(list(memory["files"].items())):
        path = Path(name)
        half_written(path).unlink(missing_ok=True)
        if before["kind"] == "absent":
            path.unlink(missing_ok=True)
            yield f"- file {path}"
        else:
            _restore(path, before)
            yield f"~ file {path}: original restored"
        if name.startswith(UNIT_FOLDERS):
            memory["pending"]["daemon-reload"] = True
        memory.drop("files", name)


def restore_directories(memory: Memory) -> Iterator[str]:
    for name, before in sorted(memory["directories"].items(), reverse=True):  # the deepest first
        path = Path(name)
        if before["kind"] == "absent":
            remove_tree(path)
            yield f"- directory {path}"
        elif path.is_dir():
            own(before | {"path": name})
            yield f"~ directory {path}: owner and mode restored"
        memory.drop("directories", name)


def note_purge(memory: Memory, paths: list[str]) -> None:
    """Remember what was below these paths before the service ran, so that the rest can go later."""
    for name in paths:
        if name not in memory["purge"]:
            path = Path(name)
            memory.note("purge", name, _entries(path) if path.is_dir() and not path.is_symlink() else path.exists())


def purge(memory: Memory) -> Iterator[str]:
    for name, before in sorted(memory["purge"].items(), reverse=True):
        path = Path(name)
        if before is False:
            gone = os.path.lexists(path)
            remove_tree(path)
            if gone:
                yield f"- {path}"
        elif isinstance(before, list) and path.is_dir():
            new = sorted(set(_entries(path)) - set(before), reverse=True)
            for entry in new:
                remove_tree(path / entry)
            if new:
                yield f"- {path}: {len(new)} entries that the service made"
        memory.drop("purge", name)


def remove_tree(path: Path) -> None:
    """Delete whatever is at `path`, unless something is mounted there: that would delete data."""
    if path.is_symlink() or path.is_file() or (path.exists() and not path.is_dir()):
        path.unlink()
    elif path.is_dir():
        if points := mounted_below(path):
            raise Refused(f"{path} is not deleted: {points[0]} is mounted")
        shutil.rmtree(path)


def _make_parents(memory: Memory, path: Path) -> None:
    for parent in reversed(path.parents):
        if not parent.exists():
            memory.note("directories", str(parent), {"kind": "absent"})
            parent.mkdir(mode=0o755, exist_ok=True)


def _keep_original(memory: Memory, path: Path) -> None:
    if str(path) in memory["files"]:
        return
    seen = describe(path)
    if seen["kind"] not in ("absent", "file", "link"):
        raise Refused(f"{path} should be a file and is a {seen['kind']}")
    if seen["kind"] == "file":
        ORIGINALS.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(_original(path), path.read_bytes(), 0o600)
        times = path.stat()
        seen["times"] = [times.st_atime_ns, times.st_mtime_ns]
    memory.note("files", str(path), seen)


def _restore(path: Path, before: dict[str, Any]) -> None:
    if before["kind"] == "link":
        temporary = half_written(path)
        temporary.symlink_to(before["target"])
        temporary.rename(path)
        return
    replace_file(path, _original(path).read_bytes(), before["mode"], *_ids(before))
    os.utime(path, ns=tuple(before["times"]))


def _original(path: Path) -> Path:
    return ORIGINALS / hashlib.sha256(str(path).encode()).hexdigest()[:32]


def _entries(path: Path) -> list[str]:
    entries = []
    for folder, folders, names in os.walk(path):
        entries += [str((Path(folder) / name).relative_to(path)) for name in (*folders, *names)]
        if len(entries) > _MOST_ENTRIES:
            raise Refused(f"{path} holds more than {_MOST_ENTRIES} files already, too many to tell old from new later")
    return sorted(entries)


def _ids(wanted: dict[str, Any]) -> tuple[int, int]:
    owner, group = wanted["owner"], wanted["group"]
    try:
        uid = int(owner) if owner.isdigit() else pwd.getpwnam(owner).pw_uid
        gid = int(group) if group.isdigit() else grp.getgrnam(group).gr_gid
    except KeyError as error:
        raise Refused(f"{wanted.get('path', '')}: owner {owner}:{group}: {error.args[0]}") from error
    return uid, gid


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
