"""Run on a storage server: pass on what belongs elsewhere, then say what the server holds."""

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

NODE, CONF = Path("/srv/node"), "/etc/swift/freehold"
OBJECT_CONF = f"{CONF}/object-server.conf"
UNITS = (
    "freehold-updates.timer", "freehold-collector.timer", "freehold-auditor.timer",
    "swift-object.service", "swift-container.service", "swift-account.service",
)  # fmt: skip


def main() -> None:
    given = json.load(sys.stdin)
    began = time.time()
    yield_to_customers()
    failed = run_passes(given) if given["passes"] else []
    devices = {name: holdings(name, given["objects"]) for name in given["devices"]}
    stopped = given["stop"] and all(is_empty(found) for found in devices.values())
    if stopped:
        # Nobody may write behind the count that lets the disk be erased: stop first, and count again.
        for unit in UNITS:
            subprocess.run(["systemctl", "stop", unit], capture_output=True, timeout=60, check=False)
        devices = {name: holdings(name, given["objects"]) for name in given["devices"]}
    print(json.dumps({"began": began, "failed": failed, "devices": devices, "stopped": stopped}))


def yield_to_customers() -> None:
    """Behind every request, also where the kernel groups processes by session."""
    os.setpriority(os.PRIO_PROCESS, 0, 10)
    with contextlib.suppress(OSError):  # it may lead a session already, and not every kernel has groups
        os.setsid()
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text("10")


def run_passes(given: dict[str, Any]) -> list[str]:
    """Databases first: objects on their way tell them. Updates that are late come last."""
    objects = ["/usr/bin/swift-object-replicator", OBJECT_CONF, "once"]
    if given["objects"] == "mariadb":
        objects = ["/usr/bin/python3", "-m", "freehold_mariadb_objects", "replicator", OBJECT_CONF, "once"]
    passes = (
        ["/usr/bin/swift-account-replicator", f"{CONF}/account-server.conf", "once"],
        ["/usr/bin/swift-container-replicator", f"{CONF}/container-server.conf", "once"],
        objects,
        ["/usr/bin/swift-object-updater", OBJECT_CONF, "once"],
        ["/usr/bin/swift-container-updater", f"{CONF}/container-server.conf", "once"],
    )
    failed = []
    for command in passes:
        done = subprocess.run(
            ["runuser", "-u", "swift", "--", *command],
            capture_output=True, text=True, timeout=given["limit_s"], check=False,
        )  # fmt: skip
        if done.returncode:
            failed.append(f"{Path(command[0]).name}: {(done.stderr or done.stdout).strip()[-200:]}")
    return failed


def holdings(device: str, objects: str) -> dict[str, Any]:
    room = os.statvfs(NODE / device)
    return {
        "objects": (rows if objects == "mariadb" else files)(device),
        "databases": {kind: databases(device, kind) for kind in ("account", "container")},
        "pending": sum(1 for path in (NODE / device).glob("async_pending*/*/*") if path.is_file()),
        "free": room.f_bavail * room.f_frsize,
    }


def is_empty(found: dict[str, Any]) -> bool:
    return not found["objects"] and not any(found["databases"].values()) and not found["pending"]


def rows(device: str) -> dict[str, list[Any]]:
    query = f"SELECT hash, data_ts, COALESCE(meta_ts, ''), size FROM objects WHERE policy = 0 AND device = '{device}'"  # noqa: S608
    done = subprocess.run(
        ["runuser", "-u", "swift", "--", "mariadb", "--batch", "--skip-column-names", "--quick", "swift_objects"],
        input=query, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    if "ERROR 1146" in done.stderr:  # the object server makes its tables at the first request
        return {}
    done.check_returncode()
    found = {}
    for line in done.stdout.splitlines():
        hash_, data, meta, size = line.split("\t")
        found[hash_] = [data[:16], meta[:16], int(size)]
    return found


def files(device: str) -> dict[str, list[Any]]:
    """Of each object the newest data or tombstone, the newest metadata, and the size."""
    found = {}
    for folder in (NODE / device / "objects").glob("*/*/*"):
        if not folder.is_dir():
            continue
        data, meta, size = "", "", 0
        for entry in os.scandir(folder):
            stamp, kind = entry.name[:16], entry.name.rpartition(".")[2]
            if kind in ("data", "ts") and stamp > data:
                data, size = stamp, entry.stat().st_size if kind == "data" else 0
            elif kind == "meta" and stamp > meta:
                meta = stamp
        if data or meta:
            found[folder.name] = [data, meta, size]
    return found


def databases(device: str, kind: str) -> list[str]:
    return sorted(path.stem for path in (NODE / device / f"{kind}s").glob("*/*/*/*.db"))


if __name__ == "__main__":
    main()
