"""What becomes of servers that leave: kept for their instance, or carried to the storeroom; never on an old proof."""

from __future__ import annotations

import itertools
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client

from freehold.errors import ProofFailed
from freehold.lab.technician import Technician
from freehold.models.change import Change, Round, WaypointRef
from freehold.models.instance import EvidenceKind
from freehold.models.network import PortMode
from freehold.services.object_storage.service import ObjectStorage
from tests.workflows.rig import Rig, make_hall, running_rig, until_waiting, view
from tests.workflows.test_technician import SimulatedInReach, to_the_end
from workflows import policies
from workflows.consequences import RETIRE
from workflows.instance_work import STOREROOM


async def distributed(rig: Rig, **fields: Any) -> None:
    assert (await rig.approved(await rig.provision())).outcome == "active"
    assert (await rig.approved(await rig.scale_up(tier="distributed", **fields))).outcome == "active"


def storage(rig: Rig) -> list[str]:
    return [s.server for s in rig.inventory.instance("acme-1").plan.servers if "storage" in s.roles]


async def test_a_disabled_server_is_kept_comes_back_and_is_freed_by_a_drain(rig: Rig) -> None:
    pristine = rig.everything()
    await distributed(rig, storage_servers=4)
    left = storage(rig)[-1]
    cables = rig.devices.cables()
    handle = await rig.scale_down(storage_servers=3, drain=(left,), keep_disabled=True)
    seen = await until_waiting(handle)
    assert (
        seen.waiting is not None and f"{left} vdb erased, and kept for this instance, disabled" in seen.waiting.reason
    )
    ended = await rig.approved(handle)
    assert (ended.outcome, ended.details["leaves"], ended.details["disabled"]) == ("active", [left], [left])
    plan = rig.inventory.instance("acme-1").plan
    (kept,) = plan.disabled
    assert rig.inventory.snapshot().holds[("server", left)] == "acme-1" and rig.devices.cables() == cables
    assert left not in rig.devices.everything(), "cleared and erased"
    assert any(e.observed["server"] == left for e in rig.inventory.evidence("acme-1", EvidenceKind.ERASE))
    for nic in kept.nics:
        with rig.devices.switch(rig.inventory.access(nic.switch)) as switch:
            assert switch.read([nic.switch_port]).ports[nic.switch_port].mode is PortMode.CLOSED

    back = await rig.approved(await rig.scale_up(storage_servers=4))
    assert back.details["joins"] == [left] and not rig.inventory.instance("acme-1").plan.disabled
    steps = {s.name: s.state for s in (await view(rig.client.get_workflow_handle("scale-up-acme-1"))).steps}
    assert steps["install hardware"] == "skipped", "nobody has to touch it"

    drain = {"storage_servers": 3, "drain": (left,)}
    assert (await rig.approved(await rig.scale_down(**drain, keep_disabled=True))).details["disabled"] == [left]
    free = await rig.approved(await rig.scale_down(**drain))
    assert (free.details["disabled"], free.details["leaves"]) == ([], [])
    assert ("server", left) not in rig.inventory.snapshot().holds
    assert (await rig.approved(await rig.decommission())).outcome == "gone"
    assert rig.everything() == pristine


async def test_what_leaves_is_carried_to_the_storeroom_once_it_is_erased(client: Client, tmp_path: Path) -> None:
    async with running_rig(client, tmp_path, make_hall()) as rig:
        await distributed(rig, storage_servers=4)
        left = storage(rig)[-1]
        handle = await rig.scale_down(storage_servers=3, drain=(left,), return_to_storeroom=True)
        seen = await until_waiting(handle)
        assert seen.waiting is not None and ", and carried to the storeroom" in seen.waiting.reason
        await handle.execute_update("approve", {"operator": "amir"})
        child = rig.client.get_workflow_handle("remove-acme-1")
        await _begun(child)
        assert any(e.observed["server"] == left for e in rig.inventory.evidence("acme-1", EvidenceKind.ERASE))
        await to_the_end(child, Technician(SimulatedInReach(rig.devices)))
        assert (await handle.result()).outcome == "active"
        device = rig.inventory.hall().device(left)
        assert (device.position, device.powered) == (None, False)
        assert not [c for c in rig.inventory.hall().cables if left in (c.a.device, c.b.device)]
        assert left not in {h.key for h, _ in rig.inventory.holds()}
        assert {s.name for s in (await view(handle)).steps} >= {STOREROOM}


async def test_nothing_is_cleared_on_a_proof_that_has_grown_old(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was proven empty, then time went by; somebody wrote to it. Asked anew it says so, and keeps its disk."""
    honest, looks = ObjectStorage.judge, itertools.count(1)
    planted = [True]

    def judge(self: ObjectStorage, change: Change, waypoint: WaypointRef, answers: Any) -> Round:
        if waypoint.waypoint == "settle" and next(looks) > 2 and planted[0]:
            raise ProofFailed("srv-1 holds a/written later")
        return honest(self, change, waypoint, answers)

    monkeypatch.setattr(ObjectStorage, "judge", judge)
    monkeypatch.setattr(policies, "PROOF_HOLDS", timedelta(seconds=-1))
    assert (await rig.approved(await rig.provision())).outcome == "active"
    (server,) = rig.inventory.instance("acme-1").plan.servers
    disks = rig.devices.state(server.server)["disks"]
    handle = await rig.scale_up(tier="distributed")
    seen = await rig.parked(handle)
    assert seen.waiting is not None and f"{RETIRE}: srv-1 holds a/written later" in seen.waiting.reason
    assert seen.waiting.messages == ("retry",)
    assert rig.devices.state(server.server)["disks"] == disks
    planted[0] = False
    await handle.execute_update("retry", {"operator": "olivia"})
    assert (await handle.result()).outcome == "active"
    proofs = [e for e in rig.inventory.evidence("acme-1", EvidenceKind.DATA) if e.claim.startswith("settle")]
    erased = min(e.at for e in rig.inventory.evidence("acme-1", EvidenceKind.ERASE))
    assert len(proofs) == 3 and max(p.at for p in proofs) < erased


async def _begun(child: Any) -> None:
    import asyncio

    from temporalio.service import RPCError

    async with asyncio.timeout(60):
        while True:
            try:
                await until_waiting(child, "checklist")
            except RPCError:
                await asyncio.sleep(0.1)
            else:
                return
