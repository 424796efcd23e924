"""Hardware from the storeroom: people install it, machines find what is wrong, and exactly that is asked for again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.service import RPCError
from temporalio.worker import UnsandboxedWorkflowRunner

from freehold.devices.simulated import SimulatedDevices
from freehold.models.cabling import Verdict
from freehold.models.checklist import Checklist, Item, ItemKind, ItemState
from freehold.models.hall import Cable, Hall
from freehold.models.instance import EvidenceKind
from freehold.models.procedure import Outcome, ProcedureView
from freehold.settings import load_settings
from tests.workflows.rig import Rig, end_all, make_hall, make_parts, running_rig, until_waiting, view
from workers.wiring import make_worker
from workflows import policies

SPARE = "srv-10"


def storeroom_hall(*spares: str) -> Hall:
    """Nothing is mounted at north but switches and hosts; servers with three NICs lie in the storeroom."""
    hall = make_hall()
    kept = {d.name for d in hall.devices if d.kind != "server" or d.site != "north" or d.name in (spares or (SPARE,))}
    devices = tuple(d for d in hall.devices if d.name in kept)
    cables = tuple(c for c in hall.cables if {c.a.device, c.b.device} <= kept)
    return hall.model_copy(update={"devices": devices, "cables": cables})


@pytest.fixture
async def stored(client: Client, tmp_path: Path) -> AsyncIterator[Rig]:
    async with running_rig(client, tmp_path, storeroom_hall()) as made:
        yield made


Handle = WorkflowHandle[Any, Outcome]


async def installing(rig: Rig) -> tuple[Handle, Handle]:
    """An approved request, and the run in which technicians work."""
    parent = await rig.provision()
    await until_waiting(parent)
    await parent.execute_update("approve", {"operator": "amir"})
    child: Handle = rig.client.get_workflow_handle("install-acme-1", result_type=Outcome)
    async with asyncio.timeout(30):
        while not await begun(rig, child):
            await asyncio.sleep(0.05)
    await until_waiting(child, "checklist")
    return parent, child


async def begun(rig: Rig, child: Handle) -> bool:
    """Whether this rig's run of that name is there; an earlier test's may still be."""
    try:
        return (await child.describe()).task_queue == rig.parts.settings.task_queue
    except RPCError:
        return False


def checklist(seen: ProcedureView) -> Checklist:
    assert seen.checklist is not None
    return seen.checklist


def plug(rig: Rig, cable: Cable) -> None:
    rig.devices.plug(str(cable.a), str(cable.b), cable.label)


def cable_of(item: Item) -> Cable:
    assert item.cable is not None
    return item.cable


async def say(child: Handle, *done: str, operator: str = "tom", **problems: str) -> str:
    words: str = await child.execute_update("confirm_items", {"operator": operator, "done": done, "problems": problems})
    return words


async def checked(child: Handle, test: Callable[[Checklist], bool]) -> Checklist:
    """The checklist once machines have looked and it is as awaited."""
    async with asyncio.timeout(30):
        while True:
            found = checklist(await view(child))
            if test(found):
                return found
            await asyncio.sleep(0.05)


def states(found: Checklist) -> set[ItemState]:
    return {i.state for i in found.items}


def cables(found: Checklist) -> list[Item]:
    return [i for i in found.items if i.kind is ItemKind.CABLE]


async def test_a_server_from_the_storeroom_becomes_an_endpoint(stored: Rig) -> None:
    parent, child = await installing(stored)
    seen = await view(child)
    assert seen.waiting is not None and seen.waiting.whom == "technicians"
    found = checklist(seen)
    assert [i.id for i in found.items] == [
        f"rack:{SPARE}",
        f"feed:{SPARE}",
        "cable:leaf1.swp1",
        "cable:leaf1.swp2",
        "cable:leaf1.swp3",
        f"power-on:{SPARE}",
    ]
    assert not stored.devices.everything(), "no device is touched while people work"
    for item in cables(found):
        assert item.cable is not None
        plug(stored, item.cable)
    await say(child, *(i.id for i in found.items[:5]), operator="tom")
    stored.devices.power(SPARE)
    await say(child, "all", operator="tina")
    assert (await parent.result()).outcome == "active"
    assert (await child.result()).outcome == "installed"
    hall = stored.inventory.hall()
    server = hall.device(SPARE)
    assert server.position is not None and server.powered and server.feeds == ("north-a", "north-b")
    assert {"leaf1.swp1", "leaf1.swp2", "leaf1.swp3"} <= {c.label for c in hall.cables}
    (evidence,) = stored.inventory.evidence("acme-1", EvidenceKind.CABLING)
    assert evidence.observed["reissued"] == []

    assert (await stored.approved(await stored.decommission())).outcome == "gone"
    again = await stored.provision("acme-2", customer="acme")
    waiting = await until_waiting(again)
    assert waiting.plan is not None and not waiting.plan.needs_hands, "it stays installed and is used as it stands"


async def test_a_swap_and_a_forgotten_cable_are_named_and_only_they_are_issued_again(stored: Rig) -> None:
    parent, child = await installing(stored)
    one, two, three = (i.cable for i in cables(checklist(await view(child))))
    assert one and two and three
    stored.devices.plug(str(one.a), str(two.b), one.label)
    stored.devices.plug(str(two.a), str(one.b), two.label)
    stored.devices.power(SPARE)
    await say(child, "all")
    found = await checked(child, lambda c: sum(i.issue for i in c.items) == 9)
    assert {i.id: i.verdict for i in found.open()} == {
        f"cable:{one.label}": Verdict.SWAPPED,
        f"cable:{two.label}": Verdict.SWAPPED,
        f"cable:{three.label}": Verdict.MISSING,
    }
    assert all(i.finding for i in found.open())
    assert {i.state for i in found.items if i.kind is not ItemKind.CABLE} == {ItemState.VERIFIED}
    details = (await child.query("__temporal_workflow_metadata")).current_details
    assert f"| `cable:{one.label}` | **again**" in details and "freehold confirm install-acme-1" in details

    for cable in (one, two):
        stored.devices.unplug(str(cable.a))
    for cable in (one, two, three):
        plug(stored, cable)
    await say(child, "all")
    assert (await parent.result()).outcome == "active"
    (evidence,) = stored.inventory.evidence("acme-1", EvidenceKind.CABLING)
    assert len(evidence.observed["reissued"]) == 3


async def test_confirmed_without_doing(stored: Rig) -> None:
    _, child = await installing(stored)
    await say(child, "all")
    found = await checked(child, lambda c: any(i.issue == 2 for i in c.items))
    (again,) = found.open()
    assert again.id == f"power-on:{SPARE}" and "does not answer" in again.finding
    stored.devices.power(SPARE)
    await say(child, again.id)
    found = await checked(child, lambda c: len(c.open()) == 3)
    assert {i.verdict for i in found.open()} == {Verdict.MISSING}


async def test_a_problem_goes_to_the_operator_and_comes_back_after_the_cure(stored: Rig) -> None:
    parent, child = await installing(stored)
    found = checklist(await view(child))
    for item in cables(found):
        assert item.cable is not None
        plug(stored, item.cable)
    stored.devices.power(SPARE)
    body = {"operator": "tom", "done": ["all"], "problems": {f"feed:{SPARE}": "the plug of feed B does not fit"}}
    await child.execute_update("confirm_items", body)
    async with asyncio.timeout(30):
        while (seen := await view(child)).waiting is None or seen.waiting.whom != "operators":
            await asyncio.sleep(0.05)
    assert seen.waiting is not None and "feed B does not fit" in seen.waiting.reason
    await child.execute_update("retry", {"operator": "olivia", "comment": "adapters are in the drawer"})
    await checked(child, lambda c: [i.id for i in c.open()] == [f"feed:{SPARE}"])
    await say(child, f"feed:{SPARE}")
    assert (await parent.result()).outcome == "active"


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"operator": "tom"}, "name items"),
        ({"operator": "tom", "done": ["cable:X-9"]}, "no item 'cable:X-9'"),
        ({"operator": "tom", "problems": {f"rack:{SPARE}": " "}}, "say why"),
        ({"operator": "tom", "problems": {"all": "no time"}}, "name each item"),
        ({"operator": "tom", "done": [f"rack:{SPARE}"], "problems": {f"rack:{SPARE}": "no"}}, "both"),
        ({"done": ["all"]}, "operator"),
    ],
)
async def test_refused_confirmations_say_why(stored: Rig, message: dict[str, Any], words: str) -> None:
    _, child = await installing(stored)
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await child.execute_update("confirm_items", message)
    assert words in str(refused.value.cause)
    assert states(checklist(await view(child))) == {ItemState.OPEN}


async def test_abort_half_way_keeps_what_is_mounted_in_the_pool(stored: Rig) -> None:
    parent, child = await installing(stored)
    await child.signal("confirm_items", {"operator": "tom", "done": [f"rack:{SPARE}", f"feed:{SPARE}"]})
    await checked(child, lambda c: len(c.open()) == 4)
    await parent.execute_update("abort", {"operator": "olivia"})
    assert (await parent.result()).outcome == "aborted"
    assert stored.inventory.hall().device(SPARE).position is not None
    assert not stored.inventory.holds()
    again = await stored.provision("acme-2", customer="acme")
    plan = (await until_waiting(again)).plan
    assert plan is not None and (plan.installs, plan.power_on, len(plan.cables)) == ((), (SPARE,), 3)


async def test_an_aborted_installation_parks_the_procedure(stored: Rig) -> None:
    parent, child = await installing(stored)
    await child.execute_update("abort", {"operator": "olivia"})
    assert (await child.result()).outcome == "aborted"
    seen = await until_waiting(parent, "retry")
    assert seen.waiting is not None and "install-acme-1 ended as aborted" in seen.waiting.reason
    await parent.execute_update("abort", {"operator": "olivia"})
    assert (await parent.result()).outcome == "aborted"


async def test_item_by_item_over_cut_histories(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policies, "CHECKS_PER_RUN", 2)
    in_the_open = {"workflow_runner": UnsandboxedWorkflowRunner()}  # a sandbox would read the policies anew
    async with running_rig(client, tmp_path, storeroom_hall(), worker=in_the_open) as rig:
        await _item_by_item(rig)


async def _item_by_item(stored: Rig) -> None:
    parent, child = await installing(stored)
    runs = {(await child.describe()).run_id}
    for item in checklist(await view(child)).items:
        if item.cable:
            plug(stored, item.cable)
        if item.kind is ItemKind.POWER_ON:
            stored.devices.power(item.device)
        await say(child, item.id, operator=f"tom of {item.kind}")
        await checked(child, lambda c, i=item: i.id not in [o.id for o in c.open()])  # type: ignore[misc]
        runs.add((await child.describe()).run_id)
    assert (await parent.result()).outcome == "active"
    assert len(runs) > 1, "the history was cut"
    (evidence,) = stored.inventory.evidence("acme-1", EvidenceKind.CABLING)
    by = {i["id"]: i["by"] for i in evidence.observed["items"]}
    assert by[f"rack:{SPARE}"] == "tom of rack" and by[f"power-on:{SPARE}"] == "tom of power on"
    assert evidence.observed["reissued"] == []


async def test_a_wait_outlives_the_worker(client: Client, tmp_path: Path) -> None:
    hall = storeroom_hall()
    parts = make_parts(tmp_path, hall, load_settings(home=tmp_path, task_queue=f"rig-{tmp_path.name}"))
    parts.inventory.import_hall(hall, {d.name: "ssh-ed25519 AAAA" for d in hall.devices})
    assert isinstance(parts.devices, SimulatedDevices)
    rig = Rig(client, parts, parts.devices, hall)
    try:
        async with make_worker(client, parts):
            parent, child = await installing(rig)
            await say(child, f"rack:{SPARE}")
        await child.signal("confirm_items", {"operator": "tina", "done": [f"feed:{SPARE}"]})
        async with make_worker(client, parts):
            found = await checked(child, lambda c: len(c.open()) == 4)
            assert {i.by for i in found.items if i.state is ItemState.CONFIRMED} == {"tom", "tina"}
            for item in cables(found):
                assert item.cable is not None
                plug(rig, item.cable)
            rig.devices.power(SPARE)
            await say(child, "all")
            assert (await parent.result()).outcome == "active"
    finally:
        await end_all(client, parts.settings.task_queue)
        parts.inventory.close()
