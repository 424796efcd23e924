"""From another customer's host: nothing of the instance answers, whatever is tried.

Reads JSON from standard input, prints one JSON object: `ok` and what was seen.
"""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from ipaddress import ip_address, ip_interface
from typing import Any

from freehold.services.object_storage.probes.scan import ALL_PORTS, PacketsLost, answering

_ADDRESS_LIFE_S = 60


def main() -> None:
    given = json.load(sys.stdin)
    started = time.monotonic()
    try:
        seen = {"from_own_address": attempt(given)}
        # Customers may use the same prefix: then the host is inside already, and an address more could be somebody's.
        if ip_address(given["own_address"]) not in ip_interface(given["temporary"]).network:
            with address_inside(given):
                seen["from_inside_address"] = attempt(given)
    except PacketsLost as error:
        print(json.dumps({"ok": False, "error": f"silence proves nothing: {error}"}))
        return
    refused = not any(reached(attempted) for attempted in seen.values())
    answer = {"ok": refused, **seen, "seconds": round(time.monotonic() - started, 1)}
    if not refused:
        answer["error"] = f"something answered: {json.dumps(seen)}"
    print(json.dumps(answer))


@contextmanager
def address_inside(given: dict[str, Any]) -> Iterator[None]:
    """An address of the customer's network on this host's NIC. Even after a kill the kernel takes it away in time."""
    nic, life = nic_of(given["own_address"]), str(_ADDRESS_LIFE_S)
    run("ip", "address", "replace", given["temporary"], "dev", nic, "valid_lft", life, "preferred_lft", life)
    try:
        yield
    finally:
        run("ip", "address", "delete", given["temporary"], "dev", nic)


def attempt(given: dict[str, Any]) -> dict[str, Any]:
    """Everything a stranger can try from the addresses the host has at this moment."""
    address = given["address"]
    behind = [(server["address"], port) for server in given["servers"] for port in server["ports"]]
    targets = [*behind, *((address, port) for port in ALL_PORTS)]
    with ThreadPoolExecutor() as pool:
        ping = pool.submit(run, "ping", "-c", "1", "-W", "1", address, check=False)
        tls = pool.submit(speaks_tls, address, given["port"])
        answers = answering(targets)
    return {
        "ping": ping.result() == 0,
        "s3": tls.result(),
        "neighbour": neighbour(address),
        "answers": [f"{target}:{port}" for target, port in answers],
        "tried": {"ports of the endpoint": len(ALL_PORTS), "ports of its servers": len(behind)},
    }


def reached(seen: dict[str, Any]) -> bool:
    return bool(seen["ping"] or seen["s3"] or seen["neighbour"] or seen["answers"])


def speaks_tls(address: str, port: int) -> bool:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection((address, port), timeout=2) as raw, context.wrap_socket(raw):
            return True
    except OSError:
        return False


def neighbour(address: str) -> str:
    """The MAC address that answered for it on a wire of this host, or nothing."""
    return next((row["lladdr"] for row in ask("neighbour", "show", address) if "lladdr" in row), "")


def nic_of(address: str) -> str:
    for link in ask("address", "show"):
        if any(row.get("local") == address for row in link["addr_info"]):
            return str(link["ifname"])
    raise SystemExit(f"this host has no address {address}")


def ask(*what: str) -> list[dict[str, Any]]:
    told = subprocess.run(["ip", "-json", *what], capture_output=True, text=True, timeout=10, check=True)
    return list(json.loads(told.stdout or "[]"))


def run(*command: str, check: bool = True) -> int:
    return subprocess.run(command, capture_output=True, timeout=10, check=check).returncode


if __name__ == "__main__":
    main()
