"""What separates a server from its intent: changes for the agent, and a diff for people. Pure.

People see tokens where the server has secrets. What stood in a file before and may hold a secret that we do not
know (a former one of ours, or somebody's) is not shown at all.
"""

from __future__ import annotations

import base64
import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from freehold.errors import BadInput, CommandRejected
from freehold.models.server import (
    SECRET_TOKEN,
    Directory,
    File,
    Filesystem,
    ServerIntent,
    Setup,
    Unit,
    User,
    secret_token,
)
from freehold.secrets import Readable, redact, resolve

Seen = dict[str, Any]
_UNIT_FOLDERS = ("/etc/systemd/system/", "/usr/local/lib/systemd/system/", "/run/systemd/system/")
_OTHERS_READ = 0o004


@dataclass(frozen=True)
class Change:
    """One thing for the agent to do. Without a diff it only waits or makes sure."""

    diff: str
    order: dict[str, Any]


def check_intent(intent: ServerIntent) -> None:
    """Refuse what would show a secret to everybody on the server. Raises BadInput."""
    commands = {f"setup {setup.name}": (*setup.check, *setup.apply, *setup.undo) for setup in intent.setups}
    commands |= {f"unit {unit.name}": unit.ready for unit in intent.units}
    for name, words in commands.items():
        if any(SECRET_TOKEN.search(word) for word in words):
            raise BadInput(
                f"{intent.server}: {name}: a secret in a command shows in the process list; "
                f"put it into a file that the command reads"
            )
    for file in intent.files:
        if file.secrets and file.mode & _OTHERS_READ:
            raise BadInput(
                f"{intent.server}: {file.path} holds a secret and mode {file.mode:04o} lets everybody read it; "
                f"use 0600 or 0640"
            )


def find_changes(intent: ServerIntent, seen: Seen, secrets: Readable) -> list[Change]:
    """The changes that turn what was seen into what is wanted, in the order in which they must happen."""
    files = [change for file in intent.files for change in _file(file, intent, seen, secrets)]
    changed = {change.order["path"] for change in files}
    return [
        *_packages(intent, seen),
        *(change for user in intent.users for change in _user(user, seen)),
        *(change for fs in intent.filesystems for change in _filesystem(fs, intent.server, seen)),
        *(change for directory in intent.directories for change in _directory(directory, seen)),
        *files,
        *_daemon_reload(changed, seen),
        *(change for setup in intent.setups if not setup.after_units for change in _setup(setup, seen)),
        *(change for unit in intent.units for change in _unit(unit, changed, seen)),
        *(change for setup in intent.setups if setup.after_units for change in _setup(setup, seen)),
    ]


def diff_text(changes: list[Change]) -> str:
    return "\n".join(change.diff for change in changes if change.diff)


def _packages(intent: ServerIntent, seen: Seen) -> Iterator[Change]:
    missing = [name for name in intent.packages if name not in seen["packages"]]
    if missing:
        diff = "\n".join(f"+ package {name}" for name in missing)
        yield Change(diff, {"do": "packages", "what": f"installing {' '.join(missing)}", "names": missing})


def _user(user: User, seen: Seen) -> Iterator[Change]:
    now = seen["users"][user.name]
    groups = sorted(set(user.groups) - set(now["groups"]))
    if not now["exists"] or groups:
        added = f" in {', '.join(groups)}" if groups else ""
        order = {"do": "user", "what": f"user {user.name}", **user.model_dump(mode="json")}
        yield Change(f"{'~' if now['exists'] else '+'} user {user.name}{added}", order)


def _filesystem(wanted: Filesystem, server: str, seen: Seen) -> Iterator[Change]:
    now = seen["filesystems"][wanted.mountpoint]
    if not now["exists"]:
        raise CommandRejected(f"{server} has no disk {wanted.disk}; compare its facts with the inventory")
    elsewhere = [point for point in now["mounted"] if point != wanted.mountpoint]
    if elsewhere:
        raise CommandRejected(f"{server}: disk {wanted.disk} is mounted at {elsewhere[0]}, not at {wanted.mountpoint}")
    if now["signatures"] not in ([], [{"type": wanted.type, "label": wanted.label}]):
        found = ", ".join(f"{s['type']} {s['label']!r}" if s["label"] else s["type"] for s in now["signatures"])
        raise CommandRejected(
            f"{server}: disk {wanted.disk} already carries {found} and is not formatted as {wanted.type} "
            f"{wanted.label!r}; erase it first or take another disk"
        )
    is_mounted = bool(now["mounted"])
    steps = [
        *(["format"] if not now["signatures"] else []),
        *(["mount"] if not is_mounted else []),
        *(["mount at boot"] if not now["comes_back"] else []),
        *([_owner_diff(now["root"], wanted)] if is_mounted and _owner_diff(now["root"], wanted) else []),
    ]
    if steps:
        name = f"{wanted.type} {wanted.label} on {wanted.disk} at {wanted.mountpoint}"
        order = wanted.model_dump(mode="json") | {"format": not now["signatures"], "is_mounted": is_mounted}
        yield Change(
            f"+ filesystem {name}: {', '.join(steps)}", {"do": "filesystem", "what": f"filesystem {name}"} | order
        )


def _directory(wanted: Directory, seen: Seen) -> Iterator[Change]:
    now = seen["directories"][wanted.path]
    order = {"do": "directory", "what": f"directory {wanted.path}", **wanted.model_dump(mode="json")}
    if now["kind"] != "directory":
        yield Change(f"+ directory {wanted.path} ({wanted.owner}:{wanted.group} {wanted.mode:04o})", order)
    elif difference := _owner_diff(now, wanted):
        yield Change(f"~ directory {wanted.path}: {difference}", order)


def _file(wanted: File, intent: ServerIntent, seen: Seen, secrets: Readable) -> Iterator[Change]:
    now = seen["files"][wanted.path]
    content = base64.b64decode(wanted.content) if wanted.base64 else resolve(wanted.content, secrets).encode()
    old = base64.b64decode(now["content"]) if now["kind"] == "file" else None
    parts = []
    if old != content:
        parts.append(_content_diff(wanted, content, old, now, seen, secrets))
    if now["kind"] == "file" and (difference := _owner_diff(now, wanted)):
        parts.append(f"~ file {wanted.path}: {difference}")
    if parts:
        order = {
            "do": "file",
            "what": f"file {wanted.path}",
            "path": wanted.path,
            "content": base64.b64encode(content).decode(),
            "owner": wanted.owner,
            "group": wanted.group,
            "mode": wanted.mode,
            "secrets": sorted(set(wanted.secrets)),
            "restart": [unit.name for unit in intent.units if _concerns(wanted.path, unit.restart_on)],
            "reload": [unit.name for unit in intent.units if _concerns(wanted.path, unit.reload_on)],
        }
        yield Change("\n".join(parts), order)


def _content_diff(wanted: File, content: bytes, old: bytes | None, now: Seen, seen: Seen, secrets: Readable) -> str:
    if wanted.base64:
        return f"{'+' if old is None else '~'} file {wanted.path}: {len(content)} bytes that are not text"
    before = [] if old is None else _shown_before(wanted, old, now, seen, secrets)
    name = wanted.path if old is not None else "/dev/null"
    lines = difflib.unified_diff(before, wanted.content.splitlines(), name, wanted.path, lineterm="")
    return "\n".join(lines) or f"~ file {wanted.path}: line ends"


def _shown_before(wanted: File, old: bytes, now: Seen, seen: Seen, secrets: Readable) -> list[str]:
    """A file's former lines as people may see them."""
    text = old.decode(errors="replace")
    hidden = [f"({len(text.splitlines())} lines that are not shown: they may hold a secret)"]
    ours = seen["written"].get(wanted.path)
    if ours is None:
        return text.splitlines() if now["mode"] & _OTHERS_READ else hidden
    names = {*ours, *wanted.secrets}
    shown = redact(text, secrets, names)
    # A secret that should be in there and is not found was changed: its former value would show.
    return shown.splitlines() if all(secret_token(name) in shown for name in ours) else hidden


def _daemon_reload(changed: set[str], seen: Seen) -> Iterator[Change]:
    needed = seen["pending"].get("daemon-reload") or any(unit["need_reload"] for unit in seen["units"].values())
    if needed or any(path.startswith(_UNIT_FOLDERS) for path in changed):
        yield Change("", {"do": "daemon-reload", "what": "systemd reads its units"})


def _setup(setup: Setup, seen: Seen) -> Iterator[Change]:
    if not seen["setups"][setup.name]:
        yield Change(
            f"+ setup {setup.name}", {"do": "setup", "what": f"setup {setup.name}", **setup.model_dump(mode="json")}
        )


def _unit(unit: Unit, changed: set[str], seen: Seen) -> Iterator[Change]:
    now = seen["units"][unit.name]
    noted = seen["pending"].get(unit.name)
    enabled = now["file_state"] not in ("", "disabled", "masked", "masked-runtime")
    running = now["active"] in ("active", "reloading") or (unit.oneshot and now["ran_well"])
    action = ""
    if not running:
        action = "restart" if now["active"] == "activating" else "start"
    elif noted == "restart" or any(_concerns(path, unit.restart_on) for path in changed):
        action = "restart"
    elif noted == "reload" or any(_concerns(path, unit.reload_on) for path in changed):
        action = "reload"
    if action or not enabled:
        steps = [*(["enable"] if not enabled else []), *([action] if action else [])]
        order = {"do": "unit", "what": f"unit {unit.name}: {', '.join(steps)}", "name": unit.name, "action": action}
        yield Change(f"~ unit {unit.name}: {', '.join(steps)}", order)
    if unit.ready:
        ready = {"do": "ready", "what": f"unit {unit.name} becomes ready", "name": unit.name, "ready": unit.ready}
        yield Change("", ready)


def _concerns(path: str, watched: tuple[str, ...]) -> bool:
    return any(path == place or path.startswith(f"{place}/") for place in watched)


def _owner_diff(now: Seen, wanted: File | Directory | Filesystem) -> str:
    old = f"{now['owner']}:{now['group']} {now['mode']:04o}"
    new = f"{wanted.owner}:{wanted.group} {wanted.mode:04o}"
    return "" if old == new else f"{old} -> {new}"
