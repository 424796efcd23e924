"""`ScaleUp` and `ScaleDown` on the real server, with devices that exist only as data and the real service."""

from __future__ import annotations

import asyncio
import itertools
import threading
from datetime import timedelta
from typing import Any

import pytest
from temporalio.client import WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError

from freehold.errors import Conflict, ProofFailed
from freehold.models.change import Change, Round, WaypointRef
from freehold.models.instance import EvidenceKind, InstanceState
from freehold.models.procedure import StepState
from freehold.services.object_storage.service import ObjectStorage
from tests.workflows.rig import Rig, until_waiting, view
from workflows import policies


async def compact(rig: Rig) -> None:
    assert (await rig.approved(await rig.provision())).outcome == "active"


async def test_up_and_down_and_back_to_the_pool(rig: Rig) -> None:
    pristine = rig.everything()
    await compact(rig)
    before = rig.inventory.instance("acme-1").plan
    handle = await rig.scale_up(tier="distributed")
    waiting = await until_waiting(handle)
    assert waiting.waiting is not None
    assert "srv" in waiting.waiting.reason and "erased" in waiting.waiting.reason, (
        "the approver reads what is destroyed"
    )
    assert "on only forward" in waiting.waiting.reason, "and from which step on"
    assert rig.inventory.instance("acme-1").state is InstanceState.CHANGING

    up = await rig.approved(handle)
    assert up.outcome == "active" and up.endpoint == before.endpoint.url
    instance = rig.inventory.instance("acme-1")
    assert (instance.state, instance.tier, instance.target) == (InstanceState.ACTIVE, "distributed", None)
    _holds_just_its_plan(rig)
    old = before.servers[0].server
    assert up.details["leaves"] == [old] and old not in rig.devices.everything(), "cleared, erased"
    steps = {s.name: s.state for s in (await view(handle)).steps}
    assert set(steps.values()) <= {StepState.DONE, StepState.SKIPPED}
    assert rig.inventory.evidence("acme-1", EvidenceKind.DATA), "proofs are kept"

    down = await rig.approved(await rig.scale_down(tier="compact"))
    assert down.outcome == "active" and down.endpoint == before.endpoint.url
    assert rig.inventory.instance("acme-1").tier == "compact"
    _holds_just_its_plan(rig)
    assert (await rig.approved(await rig.decommission())).outcome == "gone"
    assert rig.everything() == pristine


async def test_a_named_server_is_drained_and_another_takes_its_place(rig: Rig) -> None:
    pristine = rig.everything()
    await compact(rig)
    assert (await rig.approved(await rig.scale_up(tier="distributed"))).outcome == "active"
    plan = rig.inventory.instance("acme-1").plan
    old = next(s.server for s in plan.servers if "storage" in s.roles)
    ended = await rig.approved(await rig.consolidate(old))
    again = await (await rig.consolidate(old)).result()
    assert "already" in again.reason
    assert ended.outcome == "active" and ended.details["leaves"] == [old] and len(ended.details["joins"]) == 1
    assert len(rig.inventory.instance("acme-1").plan.servers) == len(plan.servers)
    assert old not in rig.devices.everything(), "cleared, erased"
    proofs = [e.claim for e in rig.inventory.evidence("acme-1", EvidenceKind.DATA)]
    assert any(old in claim for claim in proofs), proofs
    _holds_just_its_plan(rig)
    assert (await rig.approved(await rig.decommission())).outcome == "gone", "of this tier, too"
    assert rig.everything() == pristine


async def test_which_server_leaves_may_be_said(rig: Rig) -> None:
    await compact(rig)
    assert (await rig.approved(await rig.scale_up(tier="distributed", storage_servers=4))).outcome == "active"
    plan = rig.inventory.instance("acme-1").plan
    for old in [s.server for s in plan.servers if "storage" in s.roles]:
        ended = await (await rig.scale_down(storage_servers=3, drain=(old,), dry_run=True)).result()
        assert (ended.details["leaves"], ended.details["joins"]) == ([old], [])


async def test_a_drain_without_room_or_of_an_unknown_server_is_refused_at_once(rig: Rig) -> None:
    await compact(rig)
    held = rig.inventory.instance("acme-1").plan.servers[0].server
    spare = [d.name for d in rig.hall.devices if d.kind == "server" and d.name != held]
    for servers, type_ in ((("srv-99",), "BadInput"), ((held,), "CannotPlace")):
        rig.inventory.set_out_of_use(dict.fromkeys(spare, "away"))
        before = rig.everything()
        with pytest.raises(WorkflowFailureError) as refused:
            await (await rig.consolidate(*servers)).result()
        assert isinstance(refused.value.cause, ApplicationError) and refused.value.cause.type == type_
        assert rig.everything() == before


async def test_a_dead_server_is_shut_out_and_others_take_over(rig: Rig) -> None:
    """Nothing is asked of it, nobody waits for it; it cannot be used again before its disks are known to be erased."""
    await compact(rig)
    assert (await rig.approved(await rig.scale_up(tier="distributed"))).outcome == "active"
    plan = rig.inventory.instance("acme-1").plan
    dead = next(s for s in plan.servers if "storage" in s.roles)
    held = rig.devices.state(dead.server)
    with pytest.raises(WorkflowFailureError) as refused:
        await (await rig.consolidate(dead.server, dead=True)).result()
    assert isinstance(refused.value.cause, ApplicationError) and refused.value.cause.type == "Conflict"
    assert f"{dead.server} answers" in refused.value.cause.message
    assert rig.inventory.instance("acme-1").state is InstanceState.ACTIVE

    rig.devices.power(dead.server, on=False)
    handle = await rig.consolidate(dead.server, dead=True)
    waiting = (await until_waiting(handle)).waiting
    assert waiting is not None and f"{dead.server} is given up unerased" in waiting.reason
    assert "from shut out what is dead on only forward" in waiting.reason
    ended = await rig.approved(handle)
    assert (ended.outcome, ended.details["leaves"], ended.details["dead"]) == ("active", [], [dead.server])
    assert len(ended.details["joins"]) == 1
    steps = {s.name: s.state for s in (await view(handle)).steps}
    assert steps["shut out what is dead"] is StepState.DONE and steps["erase disks"] is StepState.SKIPPED
    assert rig.devices.state(dead.server) == held, "nothing was done to it"
    for nic in dead.nics:
        assert nic.switch_port not in rig.devices.state(nic.switch), "its ports are closed"
    _holds_just_its_plan(rig)

    found = rig.inventory.hall().device(dead.server)
    assert "not erased" in found.out_of_use
    with pytest.raises(Conflict, match="still has data of acme-1"):
        rig.inventory.set_out_of_use({dead.server: ""})
    rig.inventory.set_erased(dead.server, "new disks", "olivia")
    assert rig.inventory.set_out_of_use({dead.server: ""})
    record = rig.inventory.evidence("acme-1", EvidenceKind.ERASE)[-1]
    assert record.observed["server"] == dead.server and record.observed["operator"] == "olivia"


async def test_a_dead_server_may_be_kept_until_it_is_shut_out(rig: Rig) -> None:
    await compact(rig)
    assert (await rig.approved(await rig.scale_up(tier="distributed"))).outcome == "active"
    dead = next(s.server for s in rig.inventory.instance("acme-1").plan.servers if "storage" in s.roles)
    rig.devices.power(dead, on=False)
    before = rig.everything()
    handle = await rig.consolidate(dead, dead=True)
    await until_waiting(handle)
    await handle.execute_update("reject", {"operator": "amir"})
    assert (await handle.result()).outcome == "rejected"
    assert rig.everything() == before


async def test_dry_run_returns_the_plan_and_takes_nothing(rig: Rig) -> None:
    await compact(rig)
    before = rig.everything()
    ended = await (await rig.scale_up(tier="distributed", dry_run=True)).result()
    assert ended.outcome == "planned" and ended.plan is not None
    assert ended.plan.hash == ended.plan_hash and any(d.commands for d in ended.plan.diffs)
    assert ended.details["joins"] and ended.details["leaves"] and ended.details["waypoints"]
    assert rig.everything() == before


async def test_what_is_already_so_ends_at_once(rig: Rig) -> None:
    await compact(rig)
    before = rig.everything()
    ended = await (await rig.scale_up(tier="compact")).result()
    assert ended.outcome == "active" and "already" in ended.reason
    assert rig.everything() == before


@pytest.mark.parametrize(
    ("fields", "type_", "words"),
    [
        ({"name": "nobody-1"}, "NotFound", "nobody-1"),
        ({"tier": "huge"}, "BadInput", "tier"),
        ({"capacity_gib": 90_000, "tier": "distributed"}, "CannotPlace", "server"),
        ({"requests_per_s": 999}, "BadInput", "requests_per_s 999 is outside tier 'compact'; allowed: 1 to 120"),
        ({"features": ("versioning",)}, "BadInput", "feature"),
    ],
)
async def test_impossible_requests_fail_at_once_in_one_sentence(
    rig: Rig, fields: dict[str, Any], type_: str, words: str
) -> None:
    await compact(rig)
    before = rig.everything()
    with pytest.raises(WorkflowFailureError) as refused:
        await (await rig.scale_up(**fields)).result()
    cause = refused.value.cause
    assert isinstance(cause, ApplicationError)
    assert (cause.type, words in cause.message) == (type_, True), cause.message
    assert rig.everything() == before


async def test_rejection_gives_everything_back(rig: Rig) -> None:
    await compact(rig)
    before = rig.everything()
    handle = await rig.scale_up(tier="distributed")
    await until_waiting(handle)
    await handle.execute_update("reject", {"operator": "amir"})
    assert (await handle.result()).outcome == "rejected"
    assert rig.everything() == before


async def test_data_rests_while_it_is_paused(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds that move a little each; a pause in the middle of them, and on to the end after `resume`."""
    left = iter([30, 20, 10])
    resting = threading.Event()

    def judge(*_: Any) -> Round:
        objects = next(left, 0)
        if objects == 20:
            assert resting.wait(30)
        return Round(done=objects == 0, words="moving", left_objects=objects, total_objects=40)

    monkeypatch.setattr(ObjectStorage, "judge", judge)
    await compact(rig)
    handle = await rig.scale_up(tier="distributed")
    with pytest.raises(WorkflowUpdateFailedError) as early:
        await handle.execute_update("pause", {"operator": "olivia"})
    assert "no data is being moved" in str(early.value.cause)
    await until_waiting(handle)
    await handle.execute_update("approve", {"operator": "amir"})
    await _until_noted(handle, "25 %, 30 of 40 objects left")
    assert "rests" in await handle.execute_update("pause", {"operator": "olivia", "comment": "a busy hour"})
    resting.set()
    seen = await until_waiting(handle, "pause")
    assert seen.waiting is not None and seen.waiting.messages == ("resume", "abort")
    assert "olivia paused it: a busy hour" in seen.waiting.reason
    notes = [s.note for s in seen.steps]
    assert any("50 %" in note and "to go" in note for note in notes), notes
    await handle.execute_update("resume", {"operator": "olivia"})
    assert (await handle.result()).outcome == "active"


async def test_rounds_that_bring_nothing_park(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = [Round(done=False, words="srv-9 has no room for 7 objects", left_objects=7, total_objects=9)]
    monkeypatch.setattr(ObjectStorage, "judge", lambda *_: stuck[0])
    monkeypatch.setattr(policies, "IDLE_ROUNDS", 2)
    monkeypatch.setattr(policies, "BETWEEN_ROUNDS", timedelta(milliseconds=10))
    await compact(rig)
    handle = await rig.scale_up(tier="distributed")
    seen = await rig.parked(handle)
    assert seen.waiting is not None and "2 rounds brought nothing: srv-9 has no room" in seen.waiting.reason
    stuck[0] = Round(done=True, words="room was made")
    await handle.execute_update("retry", {"operator": "olivia"})
    assert (await handle.result()).outcome == "active"


async def test_a_target_that_dies_parks_in_words_and_goes_on_when_it_is_back(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(policies.LONG, "retry_policy", RetryPolicy(maximum_attempts=1))
    await compact(rig)
    handle = await rig.scale_up(tier="distributed")
    await until_waiting(handle)
    target = next(s.server for s in rig.inventory.change("acme-1").joining.servers if "storage" in s.roles)
    dies, honest = [target], ObjectStorage.judge

    def judge(self: ObjectStorage, change: Change, waypoint: WaypointRef, answers: Any) -> Round:
        if waypoint.waypoint == "prepare servers" and dies:
            rig.devices.power(dies.pop(), on=False)
        return honest(self, change, waypoint, answers)

    monkeypatch.setattr(ObjectStorage, "judge", judge)
    await handle.execute_update("approve", {"operator": "amir"})
    seen = (await until_waiting(handle, "retry")).waiting
    assert seen is not None and f"copy data: {target}: no answer" in seen.reason and "abort" in seen.messages
    rig.devices.power(target, on=True)
    await handle.execute_update("retry", {"operator": "olivia"})
    assert (await handle.result()).outcome == "active"


async def test_nothing_is_erased_on_an_old_proof(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """What leaves was proven empty; then something is put there. The last look before the erasing finds it."""
    honest, looks = ObjectStorage.judge, itertools.count()

    def judge(self: ObjectStorage, change: Change, waypoint: WaypointRef, answers: Any) -> Round:
        if waypoint.waypoint == "settle" and not waypoint.back and next(looks):
            raise ProofFailed("srv-1 holds a/forgotten object")
        return honest(self, change, waypoint, answers)

    monkeypatch.setattr(ObjectStorage, "judge", judge)
    await compact(rig)
    (server,) = rig.inventory.instance("acme-1").plan.servers
    disks = rig.devices.state(server.server)["disks"]
    handle = await rig.scale_up(tier="distributed")
    seen = await rig.parked(handle)
    assert seen.waiting is not None and "prove empty: srv-1 holds a/forgotten object" in seen.waiting.reason
    assert rig.devices.state(server.server)["disks"] == disks
    assert not rig.inventory.evidence("acme-1", EvidenceKind.ERASE)
    await handle.execute_update("abort", {"operator": "olivia"})
    assert (await handle.result()).outcome == "aborted"
    assert rig.inventory.instance("acme-1").tier == "compact"


async def _until_noted(handle: Any, words: str) -> None:
    async with asyncio.timeout(60):
        while not any(words in s.note for s in (await view(handle)).steps):
            await asyncio.sleep(0.05)


def _holds_just_its_plan(rig: Rig) -> None:
    held = {hold for hold, _ in rig.inventory.holds("acme-1")}
    assert held == set(rig.inventory.instance("acme-1").plan.holds)
