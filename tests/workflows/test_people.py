"""What people may say to a run, and that nothing they send can harm it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.client import WorkflowHandle, WorkflowUpdateFailedError
from temporalio.common import RawValue

from freehold.models.procedure import Outcome
from tests.workflows.rig import Rig, until_waiting, view


@pytest.fixture
async def waiting(rig: Rig) -> WorkflowHandle[Any, Outcome]:
    handle = await rig.provision()
    await until_waiting(handle)
    return handle


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"operator": "olivia"}, "cannot approve"),
        ({"operator": " Olivia "}, "cannot approve"),
        ({"operator": "amir", "plan_hash": "0123456789abcdef"}, "current hash"),
        ({"operator": ""}, "operator"),
        ({}, "operator"),
        ({"operator": ["amir"]}, "operator"),
        ({"operator": "amir; rm"}, "operator"),
    ],
)
async def test_refused_approvals_say_why(
    waiting: WorkflowHandle[Any, Outcome], message: dict[str, Any], words: str
) -> None:
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await waiting.execute_update("approve", message)
    assert words in str(refused.value.cause)
    assert (await view(waiting)).waiting is not None


async def test_messages_that_do_not_fit_are_recorded_and_harm_nothing(
    rig: Rig, waiting: WorkflowHandle[Any, Outcome]
) -> None:
    for payload in (None, 7, "yes", [], {}, {"operator": 3}, {"operator": "olivia"}, {"operator": "x" * 1_000_000}):
        await waiting.signal("approve", payload)
    await waiting.signal("approve")
    await waiting.signal("approve", args=[7, {"operator": "amir"}])
    await waiting.signal("approve", RawValue(Payload(metadata={"encoding": b"json/plain"}, data=b"{no JSON")))
    await waiting.signal("dance", {"operator": "amir"})
    await waiting.signal("retry", {"operator": "amir"})
    async with asyncio.timeout(20):
        while len((seen := await view(waiting)).messages) < 13:
            await asyncio.sleep(0.05)
    assert not any(m.accepted for m in seen.messages)
    assert all(m.note and len(m.note) <= 500 for m in seen.messages)
    assert (await rig.approved(waiting)).outcome == "active"


async def test_plain_signal_approves(waiting: WorkflowHandle[Any, Outcome]) -> None:
    hash_ = (await view(waiting)).plan_hash
    await waiting.signal("approve", {"operator": "amir", "plan_hash": hash_, "extra": "is ignored"})
    assert (await waiting.result()).outcome == "active"


async def test_late_messages_are_refused_and_ended_runs_stay_ended(
    rig: Rig, waiting: WorkflowHandle[Any, Outcome]
) -> None:
    await rig.approved(waiting)
    assert (await view(waiting)).outcome == "active"


async def test_current_details_tell_how_to_answer(waiting: WorkflowHandle[Any, Outcome]) -> None:
    metadata = await waiting.query("__temporal_workflow_metadata")
    details = metadata.current_details
    hash_ = (await view(waiting)).plan_hash
    assert details.startswith("### Waits for approvers until")
    assert f'"plan_hash": "{hash_}"' in details and "freehold approve provision-acme-1" in details


async def test_search_attributes_filter_what_waits(rig: Rig, waiting: WorkflowHandle[Any, Outcome]) -> None:
    query = "FreeholdCustomer = 'acme' AND FreeholdWaitingFor = 'approvers' AND ExecutionStatus = 'Running'"
    await _eventually_listed(rig, query, waiting, True)
    await rig.approved(waiting)
    await _eventually_listed(rig, "FreeholdWaitingFor = 'approvers'", waiting, False)
    await _eventually_listed(rig, "FreeholdInstance = 'acme-1' AND FreeholdStep = 'active'", waiting, True)


async def _eventually_listed(rig: Rig, query: str, handle: WorkflowHandle[Any, Outcome], wanted: bool) -> None:
    async with asyncio.timeout(10):
        while (handle.first_execution_run_id in [r.run_id async for r in rig.client.list_workflows(query)]) != wanted:
            await asyncio.sleep(0.1)
