"""What cannot be used goes back to the planner: other ports, other servers, a new approval; done work stays done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.client import Client, WorkflowUpdateFailedError

from freehold.models.checklist import Checklist, ItemKind, ItemState
from freehold.models.instance import EvidenceKind
from freehold.models.plan import HoldKind
from tests.workflows.rig import Rig, running_rig, until_waiting, view
from tests.workflows.test_install_hardware import (
    SPARE,
    Handle,
    cable_of,
    cables,
    checked,
    checklist,
    installing,
    plug,
    say,
    storeroom_hall,
)

OTHER = "srv-11"


@pytest.fixture
async def stored(client: Client, tmp_path: Path) -> AsyncIterator[Rig]:
    async with running_rig(client, tmp_path, storeroom_hall(SPARE, OTHER)) as made:
        yield made


async def out_of_use(child: Handle, done: tuple[str, ...] = (), **things: str) -> str:
    body = {"operator": "tom", "done": done, "out_of_use": {n.replace("__", "/"): why for n, why in things.items()}}
    note: str = await child.execute_update("confirm_items", body)
    return note


async def approved_again(parent: Handle, name: str = "amir") -> str:
    """Approve what was planned anew; says why it is asked."""
    seen = await until_waiting(parent)
    assert seen.waiting is not None
    await parent.execute_update("approve", {"operator": name, "plan_hash": seen.plan_hash})
    return seen.waiting.reason


def ids(found: Checklist, state: ItemState) -> set[str]:
    return {i.id for i in found.items if i.state is state}


async def test_another_port_is_planned_and_what_is_done_is_never_asked_twice(stored: Rig) -> None:
    parent, child = await installing(stored)
    first = (await view(parent)).plan_hash
    found = checklist(await view(child))
    broken, *others = (cable_of(i) for i in cables(found))
    for cable in others:
        plug(stored, cable)
    stored.devices.power(SPARE)
    await say(child, *(i.id for i in found.items if i.cable != broken))
    done = await checked(child, lambda c: len(ids(c, ItemState.VERIFIED)) == 5)
    note = await out_of_use(child, **{str(broken.a).replace("/", "__"): "bent pins"})
    assert f"something else is planned instead of {broken.a}" in note
    found = await checked(child, lambda c: c.item(f"cable:{broken.label}") is None)
    assert [i for i in found.items if i.state is ItemState.VERIFIED] == [
        i for i in done.items if i.state is ItemState.VERIFIED
    ]
    (new,) = found.open()
    cable = cable_of(new)
    assert cable.b == broken.b and cable.a != broken.a and new.replaces == broken.a and new.issue == 1
    assert f"It replaces cable {broken.label}: pull that out of {broken.a}" in new.instruction
    holds = {h.key for h, who in stored.inventory.holds("acme-1") if h.kind is HoldKind.PORT}
    assert str(cable.a) in holds and str(broken.a) not in holds
    assert stored.inventory.hall().device(broken.a.device).why_unused(broken.a.port) == "bent pins (tom)"

    plug(stored, cable)
    await say(child, new.id)
    why = await approved_again(parent)
    assert f"{broken.a} is out of use: bent pins" in why and f"{cable.a} instead of {broken.a}" in why
    outcome = await parent.result()
    assert outcome.outcome == "active"
    instance = stored.inventory.instance("acme-1")
    assert instance.plan.hash == outcome.plan_hash != first
    (changed,) = stored.inventory.evidence("acme-1", EvidenceKind.PLAN)
    assert first in changed.claim
    approvals = [e.observed["plan_hash"] for e in stored.inventory.evidence("acme-1", EvidenceKind.APPROVAL)]
    assert approvals == [first, instance.plan.hash], "each plan that was worked under has its own approval"
    assert stored.devices.everything()[str(cable.a.device)].keys() == {p.change.port for p in instance.plan.ports}, (
        "only planned ports were opened"
    )


async def test_a_dead_server_gives_way_to_a_spare(stored: Rig) -> None:
    """It was mounted and plugged already: its place and its ports are not given to the spare."""
    parent, child = await installing(stored)
    old = checklist(await view(child))
    for item in cables(old):
        plug(stored, cable_of(item))
    await say(child, *(i.id for i in old.items if i.kind is not ItemKind.POWER_ON))
    await out_of_use(child, **{SPARE: "does not switch on"})
    found = await checked(child, lambda c: {i.device for i in c.items} == {OTHER})
    assert len(found.open()) == len(found.items) == len(old.items)
    dead = stored.inventory.hall().device(SPARE)
    assert dead.position is not None and not dead.powered and dead.out_of_use == "does not switch on (tom)"
    assert not {cable_of(i).a for i in cables(found)} & {cable_of(i).a for i in cables(old)}
    for item in cables(found):
        plug(stored, cable_of(item))
    stored.devices.power(OTHER)
    await say(child, "all")
    assert f"{OTHER} instead of {SPARE}" in await approved_again(parent)
    assert (await parent.result()).outcome == "active"
    held = {h.key for h, _ in stored.inventory.holds("acme-1") if h.kind is HoldKind.SERVER}
    assert held == {OTHER}


async def test_without_another_the_operator_is_asked_and_retry_plans_again(client: Client, tmp_path: Path) -> None:
    async with running_rig(client, tmp_path, storeroom_hall(SPARE)) as rig:
        parent, child = await installing(rig)
        await out_of_use(child, **{SPARE: "smells burnt"})
        seen = await waits_for_operators(child)
        assert f"in the place of {SPARE}, which is out of use (smells burnt (tom))" in seen
        assert f"freehold inventory in-use {SPARE}" in seen
        await child.execute_update("retry", {"operator": "olivia"})
        assert await waits_for_operators(child) == seen, "nothing has changed, so it is asked the same again"
        rig.inventory.set_out_of_use({SPARE: ""})
        await child.execute_update("retry", {"operator": "olivia", "comment": "it was the fuse"})
        found = await checked(child, lambda c: len(c.open()) == len(c.items))
        assert {i.device for i in found.items} == {SPARE}
        for item in cables(found):
            plug(rig, cable_of(item))
        rig.devices.power(SPARE)
        await say(child, "all")
        assert (await parent.result()).outcome == "active", "the plan is the one that was approved"


async def waits_for_operators(child: Handle) -> str:
    async with asyncio.timeout(30):
        while (seen := await view(child)).waiting is None or seen.waiting.whom != "operators":
            await asyncio.sleep(0.05)
    return seen.waiting.reason


async def test_a_rejected_change_undoes_the_reservation_and_keeps_the_hardware(stored: Rig) -> None:
    before = stored.inventory.holds()
    parent, child = await installing(stored)
    broken = cable_of(cables(checklist(await view(child)))[0])
    await out_of_use(child, **{str(broken.a).replace("/", "__"): "taken by a foreign cable"})
    found = await checked(child, lambda c: c.item(f"cable:{broken.label}") is None)
    for item in cables(found):
        plug(stored, cable_of(item))
    stored.devices.power(SPARE)
    await say(child, "all")
    await until_waiting(parent)
    await parent.execute_update("reject", {"operator": "amir", "comment": "wait for the repair"})
    assert (await parent.result()).outcome == "rejected"
    assert stored.inventory.holds() == before and not stored.devices.everything()
    assert stored.inventory.hall().device(SPARE).position is not None
    again = await stored.provision("acme-2")
    plan = (await until_waiting(again)).plan
    assert plan is not None and not plan.needs_hands


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"out_of_use": {"leaf9/swp1": "dead"}}, "is no server and no switch port of this list; it has srv-10"),
        ({"out_of_use": {"srv-10/eth1": "dead"}}, "is no server and no switch port of this list"),
        ({"out_of_use": {"srv-10": "  "}}, "say why srv-10 cannot be used"),
        ({"out_of_use": {"srv-10": "dead"}, "done": ["rack:srv-10"]}, "rack:srv-10 cannot be done with srv-10"),
    ],
)
async def test_refusals_say_why(stored: Rig, message: dict[str, object], words: str) -> None:
    _, child = await installing(stored)
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await child.execute_update("confirm_items", {"operator": "tom", **message})
    assert words in str(refused.value.cause)
    assert not any(d.out_of_use for d in stored.inventory.hall().devices)
