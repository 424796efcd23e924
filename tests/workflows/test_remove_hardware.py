"""Servers go back to the storeroom: cables first, seen gone by machines; then off, out, and free for the next plan."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.client import Client, WorkflowFailureError

from freehold.lab.technician import Mistake, Technician
from freehold.models.checklist import ItemKind, ItemState
from freehold.models.instance import EvidenceKind
from freehold.models.removal import RemoveRequest
from tests.workflows.rig import Rig, running_rig, until_waiting, view
from tests.workflows.test_install_hardware import SPARE, Handle, begun, checked, installing, say, storeroom_hall
from tests.workflows.test_technician import SimulatedInReach, to_the_end


@pytest.fixture
async def active(client: Client, tmp_path: Path) -> AsyncIterator[Rig]:
    """An instance on a server that came from the storeroom."""
    async with running_rig(client, tmp_path, storeroom_hall()) as rig:
        parent, child = await installing(rig)
        await to_the_end(child, Technician(SimulatedInReach(rig.devices)))
        assert (await parent.result()).outcome == "active"
        yield rig


async def removing(rig: Rig) -> tuple[Handle, Handle]:
    """An approved end, and the run in which technicians take the hardware out."""
    parent = await rig.decommission(return_to_storeroom=True)
    seen = await until_waiting(parent)
    assert seen.waiting is not None and f"{SPARE} then go back to the storeroom" in seen.waiting.reason
    await parent.execute_update("approve", {"operator": "amir"})
    child: Handle = rig.client.get_workflow_handle("remove-acme-1")
    async with asyncio.timeout(30):
        while not await begun(rig, child):
            await asyncio.sleep(0.05)
    await until_waiting(child, "checklist")
    return parent, child


async def test_a_forgotten_cable_is_found_and_the_server_is_free_again(active: Rig) -> None:
    before = active.hall.device(SPARE)
    parent, child = await removing(active)
    first = (await view(child)).checklist
    assert first is not None and {i.kind for i in first.items} == {ItemKind.UNCABLE}, "cables while it is on"
    technician = Technician(SimulatedInReach(active.devices), [Mistake.FORGET])
    await to_the_end(child, technician)
    ended = await parent.result()
    assert ended.outcome == "gone"
    (evidence,) = [e for e in active.inventory.evidence("acme-1", EvidenceKind.CABLING) if "storeroom" in e.claim]
    (again,) = evidence.observed["reissued"]
    assert technician.made == ["leaf1.swp1: unexpected"] and again["item"] == "uncable:leaf1.swp1"
    assert f"leaf1/swp1 sees {SPARE}/eth1" in again["words"]
    hall = active.inventory.hall()
    after = hall.device(SPARE)
    assert (after.position, after.powered, after.feeds) == (None, False, ())
    assert not [c for c in hall.cables if SPARE in (c.a.device, c.b.device)]
    assert [c for c in active.devices.cables() if SPARE in (c.a.device, c.b.device)] == []
    assert before.position is None and not active.devices.on(SPARE) and not active.inventory.holds()
    again_planned = (await until_waiting(await active.provision("acme-2"))).plan
    assert again_planned is not None and again_planned.installs == (SPARE,)


async def test_a_server_that_still_answers_is_asked_for_again(active: Rig) -> None:
    _, child = await removing(active)
    for cable in [c for c in active.devices.cables() if c.b.device == SPARE]:
        active.devices.unplug(str(cable.a))
    await say(child, "all")
    await checked(child, lambda c: len(c.open()) == 2)
    await say(child, "all")
    found = await checked(child, lambda c: any(i.issue == 2 for i in c.open()))
    assert {i.id for i in found.open()} == {f"power-off:{SPARE}", f"unrack:{SPARE}"}
    assert all("still answers" in i.finding for i in found.open())
    assert {i.state for i in found.items if i.kind is ItemKind.UNCABLE} == {ItemState.VERIFIED}


async def test_an_aborted_removal_leaves_it_in_the_racks_and_the_end_goes_on(active: Rig) -> None:
    parent, child = await removing(active)
    cable = next(c for c in active.devices.cables() if c.b.device == SPARE)
    active.devices.unplug(str(cable.a))
    await say(child, f"uncable:{cable.label}")
    await checked(child, lambda c: bool(c.item(f"uncable:{cable.label}")) and len(c.open()) == 2)
    async with asyncio.timeout(30):
        while (await view(child)).waiting is None:
            await asyncio.sleep(0.05)
    await child.execute_update("abort", {"operator": "olivia", "comment": "we need the rack soon"})
    assert (await parent.result()).outcome == "gone"
    hall = active.inventory.hall()
    assert hall.device(SPARE).position is not None and not active.inventory.holds()
    left = {c.label for c in hall.cables if c.b.device == SPARE}
    assert cable.label not in left and len(left) == 2, "what is gone is written down"


async def test_nothing_leaves_with_data_on_it_and_nothing_of_others(active: Rig) -> None:
    for servers, words in (((SPARE,), "has no erase record of acme-1"), (("srv-21",), "is not held by acme-1")):
        given = RemoveRequest(instance="acme-1", servers=servers, requested_by="olivia")
        run = await active.start("RemoveHardware", f"remove-{servers[0]}", given)
        with pytest.raises(WorkflowFailureError) as refused:
            await run.result()
        assert words in str(refused.value.cause)


async def test_hardware_that_was_in_the_racks_before_stays_there(rig: Rig) -> None:
    await rig.approved(await rig.provision())
    where = {d.name: d.position for d in rig.inventory.hall().devices}
    assert (await rig.approved(await rig.decommission(return_to_storeroom=True))).outcome == "gone"
    assert where == {d.name: d.position for d in rig.inventory.hall().devices}
