"""Run on an endpoint server: say whether it has the endpoint's address, and let its connections end."""

import json
import subprocess
import sys
import time
from typing import Any


def main() -> None:
    given = json.load(sys.stdin)
    end = time.monotonic() + given["patience_s"]
    told = False
    while True:
        seen = {"announced": announced(given), "open": open_connections(given)}
        if is_done(given, seen) or time.monotonic() > end:
            break
        if given["close"] and not seen["announced"] and not told:
            # Answers from now on say that the connection ends; what is on its way comes to its end. systemd starts a
            # new one when the last is through.
            told = True
            command = ["systemctl", "kill", "--kill-whom=main", "--signal=USR1", "haproxy.service"]
            subprocess.run(command, timeout=30, check=False)
        time.sleep(0.2)
    print(json.dumps(seen))


def is_done(given: dict[str, Any], seen: dict[str, Any]) -> bool:
    """The new holder has the address; the old one has neither address nor connections; a proxy has no connections."""
    if given["nic"] and not given["close"]:
        return bool(seen["announced"])
    return not seen["announced"] and not seen["open"]


def announced(given: dict[str, Any]) -> bool:
    if not given["nic"]:
        return False
    told = subprocess.run(
        ["ip", "-o", "-4", "address", "show", "dev", given["nic"]],
        capture_output=True, text=True, timeout=10, check=True,
    )  # fmt: skip
    return f" {given['address']}/32 " in told.stdout


def open_connections(given: dict[str, Any]) -> int:
    """Of these clients, if some are named: who leaves together looks after each other until the end."""
    told = subprocess.run(
        ["ss", "-Htn", "state", "established", "src", given["address"], "sport", "=", f":{given['port']}"],
        capture_output=True, text=True, timeout=10, check=True,
    )  # fmt: skip
    clients = [line.split()[3].rpartition(":")[0] for line in told.stdout.splitlines()]
    return sum("clients" not in given or client in given["clients"] for client in clients)


if __name__ == "__main__":
    main()
