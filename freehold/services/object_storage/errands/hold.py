"""Run on a storage server: say what it holds. Who leaves stops first, when it is empty and serves nobody any more."""

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

NODE = Path("/srv/node")
DATABASE = (".db", ".db.pending")
DATA = {"objects": (".data", ".ts", ".meta"), "accounts": DATABASE, "containers": DATABASE}
"""What lies in partition/suffix/hash below these."""
BESIDE = ("hashes.pkl", "hashes.invalid", ".ismount")
STRAYS_MOST = 20
LATE_S = 3600
"""Updates that a listing has refused for longer wait for nothing that moves."""
UNITS = (
    "freehold-passes.timer", "freehold-collector.timer", "freehold-auditor.timer",
    "freehold-replication.service", "swift-object.service", "swift-container.service", "swift-account.service",
)  # fmt: skip


def main() -> None:
    given = json.load(sys.stdin)
    began = time.time()
    stand_back(given["niceness"])
    under_way = await_requests(given) if given["stop"] else 0
    late = updates_late(given)
    devices = held(given)
    stopped = given["stop"] and not under_way and is_empty(devices)
    if stopped:
        # Nobody may write behind the count that lets the disk be erased: stop first, and count again.
        for unit in UNITS:
            subprocess.run(["systemctl", "stop", unit], capture_output=True, timeout=60, check=False)
        devices = held(given)
    print(json.dumps({"began": began, "devices": devices, "stopped": stopped, "under_way": under_way,
                      "late": late}))  # fmt: skip


def stand_back(niceness: int) -> None:
    """Behind every request, also where the kernel groups processes by session."""
    os.setpriority(os.PRIO_PROCESS, 0, niceness)
    with contextlib.suppress(OSError):  # not every kernel has groups
        Path("/proc/self/autogroup").write_text(str(niceness))


def updates_late(given: dict[str, Any]) -> int:
    """Updates that a listing refused, e.g. as its copy was not there yet, and refuses again now that it must be."""
    began = time.time()
    if any(updates(device) for device in given["devices"]):
        subprocess.run(given["updaters"], capture_output=True, check=False)
    return sum(is_late(path, began) for device in given["devices"] for path in updates(device))


def updates(device: str) -> list[Path]:
    return [path for path in (NODE / device).glob("async_pending*/*/*") if path.is_file()]


def is_late(path: Path, began: float) -> bool:
    """By the time of what was written, which is in its name; one that was refused in part is written anew."""
    try:
        return float(path.name.rpartition("-")[2][:16]) < began and time.time() - path.stat().st_mtime < LATE_S
    except (ValueError, FileNotFoundError):
        return False


def holdings(device: str, objects: str) -> dict[str, Any]:
    room = os.statvfs(NODE / device)
    return {
        "objects": (rows if objects == "mariadb" else files)(device),
        "databases": {kind: databases(device, kind) for kind in ("account", "container")},
        "pending": len(updates(device)),
        "strays": strays(device),
        "free": room.f_bavail * room.f_frsize,
        "total": room.f_blocks * room.f_frsize,
    }


def await_requests(given: dict[str, Any]) -> int:
    """Requests that are still served here, such as a slow upload: a proxy that knew of this server before is at it."""
    end = time.monotonic() + given["patience_s"]
    ports = " or ".join(f"sport = :{port}" for port in given["ports"])
    while True:
        told = subprocess.run(
            ["ss", "-Htn", "state", "established", f"( {ports} )"],
            capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
        under_way = len(told.stdout.splitlines())
        if not under_way or time.monotonic() > end:
            return under_way
        time.sleep(0.2)


def held(given: dict[str, Any]) -> dict[str, Any]:
    return {name: holdings(name, given["objects"]) for name in given["devices"]}


def is_empty(devices: dict[str, Any]) -> bool:
    return not any(
        any([found["objects"], *found["databases"].values(), found["pending"], found["strays"]])
        for found in devices.values()
    )


def strays(device: str) -> list[str]:
    """Files that are none of the above and none of what Swift may leave behind: nobody knows whose they are."""
    found: list[str] = []
    for folder, folders, names in os.walk(NODE / device):
        where = Path(folder).relative_to(NODE / device)
        if not where.parts:  # uploads that were cut off, the filesystem's own, MariaDB's own, what was counted
            folders[:] = [n for n in folders if n not in ("tmp", "lost+found", "mariadb") and n[:13] != "async_pending"]
        known = DATA.get(where.parts[0], BESIDE) if len(where.parts) == 4 else BESIDE
        found += [str(where / name) for name in names if not name.startswith(".lock") and not name.endswith(known)]
        if len(found) >= STRAYS_MOST:
            break
    return sorted(found)[:STRAYS_MOST]


def rows(device: str) -> dict[str, list[Any]]:
    query = f"SELECT hash, data_ts, COALESCE(meta_ts, ''), size FROM objects WHERE device = '{device}'"  # noqa: S608
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
