"""The conversation: a line of JSON asks, lines of JSON tell how it goes, one answers. Ends with its input."""

from __future__ import annotations

import fcntl
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import accounts, disks, files, filesystems, looking, units
from .memory import Memory
from .tools import Progress, Refused, run

LOCK = Path("/run/freehold.lock")
BEAT_S = 2.0
IDLE_S = 120.0
"""A caller that vanished without a word (a pulled cable) must not hold the lock for ever."""
_speaking = threading.Lock()


def say(message: dict[str, Any]) -> None:
    try:
        with _speaking:
            sys.stdout.buffer.write(json.dumps(message).encode() + b"\n")
            sys.stdout.buffer.flush()
    except OSError:
        Progress.gone = True


def read(intent: dict[str, Any]) -> dict[str, Any]:
    """All that is, of what the intent speaks of."""
    memory = Memory()
    packages = accounts.installed() if intent["packages"] else {}
    running = {unit["name"]: units.describe_unit(unit["name"]) for unit in intent["units"]}
    return {
        "packages": [name for name in intent["packages"] if name in packages],
        "users": {user["name"]: accounts.describe_user(user["name"]) for user in intent["users"]},
        "filesystems": {fs["mountpoint"]: filesystems.describe_filesystem(fs) for fs in intent["filesystems"]},
        "directories": {d["path"]: files.describe(Path(d["path"])) for d in intent["directories"]},
        "files": {f["path"]: files.describe(Path(f["path"]), content=True) for f in intent["files"]},
        "setups": {setup["name"]: _is_set_up(setup, running) for setup in intent["setups"]},
        "units": running,
        "written": {path: kept.get("secrets", []) for path, kept in memory["files"].items()},
        "pending": memory["pending"],
    }


def apply(changes: list[dict[str, Any]], purge: list[str]) -> None:
    """Do the changes in order. Stops between two of them when the connection is lost: the next run goes on."""
    memory = Memory()
    accounts.allow_starts(memory)
    files.note_purge(memory, purge)
    for change in changes:
        if Progress.gone:
            raise Refused("the connection was lost")
        Progress.doing = change["what"]
        say({"beat": change["what"]})
        _DO[change["do"]](memory, change)


def remove() -> list[str]:
    """Take back everything that is remembered, in reverse. Returns what was done."""
    memory = Memory()
    accounts.allow_starts(memory)
    done: list[str] = []
    steps: tuple[Any, ...] = (
        lambda: units.undo_setups(memory, after_units=True),
        lambda: units.stop_units(memory),
        lambda: units.undo_setups(memory, after_units=False),
        lambda: files.restore_files(memory),
        lambda: filesystems.unmount_all(memory),
        lambda: files.purge(memory),
        lambda: files.restore_directories(memory),
        lambda: accounts.remove_users(memory),
        lambda: accounts.purge_packages(memory),
        lambda: units.restore_units(memory),
    )
    for step in steps:
        for line in step():
            done.append(line)
            Progress.doing = line
            if Progress.gone:
                raise Refused("the connection was lost")
    memory.end()
    return done


def run_script(script: str, given: dict[str, Any], limit_s: float) -> dict[str, Any]:
    """Run a Python program; neither it nor what it is given shows in the process list."""
    source = json.dumps(script)
    start = (
        "import json,sys; exec(compile(json.loads(sys.stdin.readline()), 'script', 'exec'), {'__name__': '__main__'})"
    )
    done = run(sys.executable, "-c", start, given=f"{source}\n{json.dumps(given)}\n", timeout_s=limit_s)
    return {"code": done.code, "out": done.out, "err": done.err}


def lock(wait_s: float) -> None:
    """Wait for other runs on this server; held until this program ends."""
    descriptor = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    end = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            Progress.doing = "waiting for another run on this server"
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def _is_set_up(setup: dict[str, Any], running: dict[str, dict[str, Any]]) -> bool:
    if setup["after_units"] and any(
        unit["active"] in ("inactive", "failed") for unit in running.values() if not unit["ran_well"]
    ):
        return False
    return run(*setup["check"], timeout_s=setup["timeout_s"]).code == 0


_DO: dict[str, Callable[[Memory, dict[str, Any]], None]] = {
    "packages": lambda memory, change: accounts.install(memory, change["names"]),
    "user": accounts.make_user,
    "filesystem": filesystems.make_filesystem,
    "directory": files.make_directory,
    "file": files.write,
    "daemon-reload": lambda memory, _: units.daemon_reload(memory),
    "setup": units.set_up,
    "unit": units.change_unit,
    "ready": lambda _, change: units.wait_ready(change),
}

_CALLS: dict[str, Callable[..., Any]] = {
    "lock": lock,
    "read": read,
    "apply": apply,
    "remove": remove,
    "snapshot": looking.snapshot,
    "facts": looking.facts,
    "erase": disks.erase,
    "neighbours": lambda: run("lldpcli", "-f", "json0", "show", "neighbors", timeout_s=20).__dict__,
    "run": run_script,
}


def _beat() -> None:
    idle_since = time.monotonic()
    while True:
        time.sleep(BEAT_S)
        if Progress.doing:
            say({"beat": Progress.doing})
            idle_since = time.monotonic()
        elif time.monotonic() > idle_since + IDLE_S:
            os._exit(1)


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    Progress.doing = request["call"]
    try:
        return {"answer": _CALLS[request["call"]](**request["given"])}
    except Refused as error:
        return {"refused": str(error)}
    except BlockingIOError:
        return {"busy": "another run works on this server"}
    except Exception as error:  # told as an answer, where secrets are taken out; a traceback would show them
        return {"refused": f"{type(error).__name__}: {error}"}
    finally:
        Progress.doing = ""


def main() -> None:
    threading.Thread(target=_beat, daemon=True).start()
    for line in sys.stdin.buffer:
        say(_answer(json.loads(line)))
        if Progress.gone:
            break


main()
