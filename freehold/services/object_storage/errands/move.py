"""Run on a storage server: pass on what belongs elsewhere, behind its customers' requests."""

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

TIMED_OUT = 124
"""How `timeout` ends then."""


def main() -> None:
    given = json.load(sys.stdin)
    began = time.time()
    yield_to_customers(given["niceness"])
    print(json.dumps({"began": began, "failed": run_passes(given)}))


def yield_to_customers(niceness: int) -> None:
    """Behind every request, also where the kernel groups processes by session."""
    os.setpriority(os.PRIO_PROCESS, 0, niceness)
    with contextlib.suppress(OSError):  # it may lead a session already, and not every kernel has groups
        os.setsid()
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(niceness))


def run_passes(given: dict[str, Any]) -> list[str]:
    """What failed, in words."""
    words = ["/usr/bin/python3", given["program"], json.dumps(given["passes"])]
    done = subprocess.run(
        # With all that they have started: what runs on would keep the next round waiting.
        ["timeout", "--kill-after=60", str(given["limit_s"]), "runuser", "-u", "swift", "--", *words],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode == TIMED_OUT:
        return [f"passes: not through after {given['limit_s']} s"]
    if done.returncode:
        return [f"passes: {(done.stderr or done.stdout).strip()[-200:]}"]
    return [f"{name}: {words}" for name, words in json.loads(done.stdout).items()]


if __name__ == "__main__":
    main()
