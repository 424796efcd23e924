"""Waiting for what a machine shows, with the words of the last look when it does not come."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from freehold.lab import Lab
from freehold.lab.testing import ssh


def until(look: Callable[[], object], seconds: float) -> float:
    """Look again and again until it is true; returns after how many seconds it was."""
    begin = time.monotonic()
    while not (seen := look()):
        assert time.monotonic() - begin < seconds, f"not within {seconds} s: {seen!r}"
        time.sleep(0.1)
    return time.monotonic() - begin


def neighbours(lab: Lab, device: str) -> dict[str, str]:
    """Own port -> `device/port` of the LLDP neighbour."""
    sudo = "sudo " if lab.device(device).management.user != "root" else ""
    _, text = ssh(lab, device, f"{sudo}lldpcli show neighbors -f json0")
    found = {}
    for group in json.loads(text)["lldp"]:
        for port in group.get("interface", ()):
            name = port["chassis"][0]["name"][0]["value"]
            found[port["name"]] = f"{name}/{port['port'][0]['id'][0]['value']}"
    return found


def reaches(lab: Lab, device: str, address: object) -> bool:
    """Whether one of three pings is answered."""
    return "0 received" not in ssh(lab, device, f"ping -c 3 -i 0.2 -W 1 {address}")[1]
