"""Run on a storage server: pass on what belongs elsewhere, behind its customers' requests."""

import json
import subprocess
import sys
import time
from typing import Any

TIMED_OUT = 124
"""How `timeout` ends then."""


def main() -> None:
    given = json.load(sys.stdin)
    began = time.time()
    print(json.dumps({"began": began, "failed": run_passes(given)}))


def run_passes(given: dict[str, Any]) -> list[str]:
    """What failed, in words."""
    done = subprocess.run(given["passes"], capture_output=True, text=True, check=False, start_new_session=True)
    if done.returncode == TIMED_OUT:
        return [f"passes: not through after {given['limit_s']} s"]
    if done.returncode:
        return [f"passes: {(done.stderr or done.stdout).strip()[-200:]}"]
    return [f"{name}: {words}" for name, words in json.loads(done.stdout).items()]


if __name__ == "__main__":
    main()
