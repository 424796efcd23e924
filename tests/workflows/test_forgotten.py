"""One forgotten thing on a drained server's disk: the real count finds it, and nothing is erased while it is there.

Devices exist only as data, but the disks of storage servers are folders, and the program that counts is the real one.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from freehold.devices.simulated import SimulatedServer
from freehold.models.instance import EvidenceKind
from tests.workflows.rig import Rig, until_waiting
from workflows import policies

HASH = "0123456789abcdef0123456789abcdef"
PLACE = f"objects/0/def/{HASH}"
PLANTS: dict[str, tuple[str, str]] = {
    "object": (f"{PLACE}/1700000000.00000.data", "1 thing"),
    "tombstone": (f"{PLACE}/1700000000.00000.ts", "1 thing"),
    "metadata": (f"{PLACE}/1700000000.00000.meta", "1 thing"),
    "listing": (f"containers/0/def/{HASH}/{HASH}.db", "1 thing"),
    "account": (f"accounts/0/def/{HASH}/{HASH}.db", "1 thing"),
    "late update": (f"async_pending/def/{HASH}-1700000000.00000", "1 thing"),
    "object of another policy": (PLACE.replace("objects", "objects-1") + "/1.data", "Swift does not know d1/objects-1"),
    "object in the wrong place": (f"objects/{HASH}.data", "Swift does not know d1/objects/0123"),
    "somebody's file": ("backup/customers.tar", "Swift does not know d1/backup/customers.tar"),
}
LEFT_BEHIND = ("objects/0/hashes.pkl", "objects/0/.lock", "tmp/half", "lost+found/x", "containers/0/.lock-replication")


class Disks:
    """A folder for every storage server; nothing else of the program is changed but where it looks."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.before: Callable[[str, Mapping[str, Any]], None] = lambda server, given: None

    def run(self, server: str, script: str, given: Mapping[str, Any]) -> dict[str, Any]:
        self.before(server, given)
        program: dict[str, Any] = {"__name__": "hold"}
        exec(script, program)
        program["NODE"] = self.folder / server
        for device in given["devices"]:
            (self.folder / server / device).mkdir(parents=True, exist_ok=True)
        devices = program["held"]({**given, "objects": "disk"})
        empty = program["is_empty"](devices)
        # As it comes over the wire.
        answer: dict[str, Any] = json.loads(
            json.dumps({"began": time.time(), "devices": devices, "stopped": given["stop"] and empty})
        )
        return answer

    def plant(self, server: str, path: str) -> Path:
        file = self.folder / server / "d1" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"a customer's byte")
        return file


@pytest.fixture
def disks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disks:
    found, simulated = Disks(tmp_path / "disks"), SimulatedServer.run

    def run(self: SimulatedServer, script: str, given: Mapping[str, Any], timeout_s: float = 60) -> dict[str, Any]:
        if "passes" in given:
            return {"began": time.time(), "failed": []}
        if "devices" in given:
            return found.run(self._name, script, given)
        return simulated(self, script, given, timeout_s)

    monkeypatch.setattr(SimulatedServer, "run", run)
    monkeypatch.setattr(policies, "IDLE_ROUNDS", 2)
    monkeypatch.setattr(policies, "BETWEEN_ROUNDS", timedelta(milliseconds=10))
    return found


async def test_it_is_found_and_nothing_is_erased_before_it_is_gone(rig: Rig, disks: Disks) -> None:
    """Planted behind everybody's back when the run was parked, after the server had been proven empty; one by one."""
    assert (await rig.approved(await rig.provision())).outcome == "active"
    assert (await rig.approved(await rig.scale_up(tier="distributed", storage_servers=4))).outcome == "active"
    leaver = (await (await rig.scale_down(storage_servers=3, dry_run=True)).result()).details["leaves"][0]
    erased = len(rig.inventory.evidence("acme-1", EvidenceKind.ERASE))
    for path in LEFT_BEHIND:
        disks.plant(leaver, path)
    what, counted = next(iter(PLANTS)), 0

    def before(server: str, given: Mapping[str, Any]) -> None:
        nonlocal counted
        if server == leaver and given["stop"]:
            counted += 1
            if counted == 2:  # it was proven empty once; this is the proof before the erase
                disks.plant(leaver, PLANTS[what][0])

    disks.before = before
    handle = await rig.scale_down(storage_servers=3)
    await until_waiting(handle)
    await handle.execute_update("approve", {"operator": "amir"})
    for what, (path, words) in PLANTS.items():
        seen = (await until_waiting(handle, "retry", within_s=120)).waiting
        assert seen is not None and "prove empty" in seen.reason and leaver in seen.reason, what
        assert words in seen.reason, f"{what}: {seen.reason}"
        assert len(rig.inventory.evidence("acme-1", EvidenceKind.ERASE)) == erased, f"erased with: {what}"
        assert rig.devices.state(leaver)["disks"], what
        (disks.folder / leaver / "d1" / path).unlink()
        if following := dict(itertools.pairwise(PLANTS)).get(what):
            disks.plant(leaver, PLANTS[following][0])
        so_far = counted
        await handle.execute_update("retry", {"operator": "olivia"})
        while counted == so_far:
            await asyncio.sleep(0.05)
    assert (await handle.result()).outcome == "active"
    assert len(rig.inventory.evidence("acme-1", EvidenceKind.ERASE)) == erased + 1
