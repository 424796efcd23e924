"""`ScaleUp` and `ScaleDown` on the real server, with devices that exist only as data and the real service."""

from __future__ import annotations

from typing import Any

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError

from freehold.models.instance import EvidenceKind, InstanceState
from freehold.models.procedure import StepState
from tests.workflows.rig import Rig, until_waiting, view


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
        ({"capacity_gib": 99_999, "tier": "distributed"}, "CannotPlace", "server"),
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


def _holds_just_its_plan(rig: Rig) -> None:
    held = {hold for hold, _ in rig.inventory.holds("acme-1")}
    assert held == set(rig.inventory.instance("acme-1").plan.holds)
