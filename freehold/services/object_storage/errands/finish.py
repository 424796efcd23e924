"""Run on a web server: say how many processes still serve what was begun before they were told of a change.

A reload leaves them their requests, and starts others that know of it.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path


def main() -> None:
    given = json.load(sys.stdin)
    end = time.monotonic() + given["patience_s"]
    while True:
        serving = sum(old_processes(unit, changed) for unit, changed in given["units"].items())
        if not serving or time.monotonic() > end:
            break
        time.sleep(0.2)
    print(json.dumps({"serving": serving}))


def old_processes(unit: str, changed: str) -> int:
    """Those of a unit, but the first of them, that are older than what the unit reads."""
    told = subprocess.run(
        ["systemctl", "show", "--property=MainPID", "--value", unit],
        capture_output=True, text=True, timeout=10, check=True,
    )  # fmt: skip
    processes = dict(running())
    since = Path(changed).stat().st_mtime
    return sum(began < since for _, began in descendants(int(told.stdout), processes))


def running() -> list[tuple[int, tuple[int, float]]]:
    """Process -> its parent, and since when it runs. See proc_pid_stat(5)."""
    ticks = os.sysconf("SC_CLK_TCK")
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        found.append((int(path.parent.name), (int(words[1]), booted + int(words[19]) / ticks)))
    return found


def descendants(first: int, processes: dict[int, tuple[int, float]]) -> list[tuple[int, float]]:
    found: list[tuple[int, float]] = []
    parents = {first}
    while parents:
        children = {pid: of for pid, of in processes.items() if of[0] in parents}
        found += children.values()
        parents = set(children)
    return found


if __name__ == "__main__":
    main()
