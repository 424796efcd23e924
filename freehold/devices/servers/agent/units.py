"""systemd units, and the setup commands around them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .memory import Memory
from .tools import Refused, last_lines, must, run, words

READY_S = 60
START_S = 300
_LOCAL_UNITS = (
    *("/etc/systemd/system", "/usr/local/lib/systemd/system", "/run/systemd/system"),
    *(f"/run/systemd/generator{when}" for when in ("", ".early", ".late")),
)
_PACKAGED_UNITS = Path("/usr/lib/systemd/system")
_NATIVE = {"SYSTEMCTL_SKIP_SYSV": "1"}  # else enabling rewrites links below /etc/rc?.d that undo cannot restore
_SHOWN = "LoadState,ActiveState,SubState,UnitFileState,Result,ExecMainExitTimestampMonotonic,NeedDaemonReload"


def describe_unit(name: str) -> dict[str, Any]:
    told = must("systemctl", "show", f"--property={_SHOWN}", name)
    seen = dict(line.split("=", 1) for line in told.splitlines() if "=" in line)
    ran_well = seen.get("Result") == "success" and int(seen.get("ExecMainExitTimestampMonotonic") or 0) > 0
    return {
        "loaded": seen["LoadState"],
        "active": seen["ActiveState"],
        "file_state": seen.get("UnitFileState", ""),
        "ran_well": ran_well,
        "need_reload": seen.get("NeedDaemonReload") == "yes",
    }


def unit_files(*states: str) -> dict[str, str]:
    """Units whose files are in these states, which links and the local folders bring about: enabled, masked.

    systemd is asked of what these name: to work out the state of all units keeps it busy for 0.2 s.
    """
    entries = [entry for folder in _LOCAL_UNITS for entry in Path(folder).rglob("*")]
    entries += [entry for entry in _PACKAGED_UNITS.iterdir() if entry.is_symlink()]
    names = {entry.name for entry in entries} | {entry.readlink().name for entry in entries if entry.is_symlink()}
    patterns = sorted(name.replace("\\", "\\\\") for name in names)
    done = run("systemctl", "list-unit-files", "--no-legend", "--plain", f"--state={','.join(states)}", *patterns)
    if done.code and done.err.strip():  # when there is none it ends with 1, too, but in silence
        raise Refused(f"systemctl list-unit-files: {done.words}")
    rows = [line.split() for line in done.out.splitlines() if line.strip()]
    return {name: state for name, state, *_ in rows}


def daemon_reload(memory: Memory) -> None:
    must("systemctl", "daemon-reload")
    memory.drop("pending", "daemon-reload")


def change_unit(memory: Memory, wanted: dict[str, Any]) -> None:
    """Enable, start, restart or reload one unit. A restart stays noted until it has happened."""
    name = wanted["name"]
    seen = describe_unit(name)
    if seen["loaded"] == "not-found":
        raise Refused(f"unit {name} does not exist on this server")
    memory.note("units", name, {"active": seen["active"], "file_state": seen["file_state"]})
    if seen["file_state"].startswith("masked"):
        must("systemctl", "unmask", name)
    if describe_unit(name)["file_state"] in ("", "disabled"):
        must("systemctl", "enable", name, settings=_NATIVE)
    if wanted["action"]:
        run("systemctl", "reset-failed", name)
        verb = {"start": "start", "restart": "restart", "reload": "reload-or-restart"}[wanted["action"]]
        done = run("systemctl", verb, name, timeout_s=START_S)
        if done.code:
            raise Refused(f"unit {name} does not {wanted['action']}: {done.words} Its last words: {last_lines(name)}")
    memory.drop("pending", name)


def wait_ready(wanted: dict[str, Any]) -> None:
    """Wait until the unit serves, as its own command tells."""
    end = time.monotonic() + READY_S
    while (done := run(*wanted["ready"], timeout_s=READY_S)).code:
        if time.monotonic() > end:
            told = last_lines(wanted["name"])
            raise Refused(
                f"unit {wanted['name']} does not serve after {READY_S} s: {done.words} Its last words: {told}"
            )
        time.sleep(0.3)


def set_up(memory: Memory, wanted: dict[str, Any]) -> None:
    """Bring about what only a command can, and let its check judge."""
    memory.note("setups", wanted["name"], {"undo": wanted["undo"], "after_units": wanted["after_units"]})
    done = run(*wanted["apply"], timeout_s=wanted["timeout_s"])
    if done.code:
        raise Refused(f"setup {wanted['name']} failed: `{words(wanted['apply'])[:200]}`: {done.words}")
    check = run(*wanted["check"], timeout_s=wanted["timeout_s"])
    if check.code:
        raise Refused(f"setup {wanted['name']} ran, and its check still fails: {check.words}")


def undo_setups(memory: Memory, *, after_units: bool) -> Iterator[str]:
    for name, kept in reversed(list(memory["setups"].items())):
        if kept["after_units"] is after_units:
            if kept["undo"]:
                must(*kept["undo"])
                yield f"- setup {name}"
            memory.drop("setups", name)


def stop_units(memory: Memory) -> Iterator[str]:
    """Stop and disable what was neither running nor enabled before; the rest waits for `restore_units`."""
    for name, before in reversed(list(memory["units"].items())):
        seen = describe_unit(name)
        was_running = before["active"] in ("active", "reloading", "activating")
        if seen["loaded"] != "not-found":
            if not was_running:
                must("systemctl", "stop", name, timeout_s=START_S)
                run("systemctl", "reset-failed", name)
            if not before["file_state"].startswith("enabled") and seen["file_state"].startswith("enabled"):
                must("systemctl", "disable", name, settings=_NATIVE)
        if not was_running and not before["file_state"].startswith("masked"):
            memory.drop("units", name)
            yield f"- unit {name}"


def restore_units(memory: Memory) -> Iterator[str]:
    """Mask again what was masked; what ran before reads its own files again."""
    if "daemon-reload" in memory["pending"]:
        daemon_reload(memory)
    # What failed is remembered beyond its file, also when no more than a timer started it.
    failed = must("systemctl", "list-units", "--failed", "--no-legend", "--plain").splitlines()
    for gone in (line.split()[0] for line in failed if line.split()[1] == "not-found"):
        run("systemctl", "reset-failed", gone)
    for name, before in reversed(list(memory["units"].items())):
        if before["file_state"].startswith("masked"):
            if not describe_unit(name)["file_state"].startswith("masked"):
                must("systemctl", "mask", name)
        else:
            must("systemctl", "restart", name, timeout_s=START_S)
        yield f"~ unit {name}: as before"
        memory.drop("units", name)
