"""Everything that can be sent as an approval, at once, by every way: the run is unharmed and the outcome right."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from pathlib import Path
from typing import Any

import httpx
import pytest
from temporalio.client import Client, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError
from temporalio.worker import UnsandboxedWorkflowRunner

from freehold.models.people import Role
from freehold.models.procedure import Outcome, ProcedureView
from freehold.web.login import make_app
from tests.conftest import TemporalServer
from tests.web.site import browser_of, make_sessions, served
from tests.web.test_login import ROOT, payloads, update_body
from tests.workflows.rig import Rig, running_rig, until_waiting, view
from workflows import policies

Handle = WorkflowHandle[Any, Outcome]


async def _two_must_approve(rig: Rig) -> tuple[Handle, str]:
    handle = await rig.provision()
    return handle, (await until_waiting(handle)).plan_hash


async def _heard(handle: Handle, count: int, name: str = "approve") -> ProcedureView:
    """The view when so many of these messages are in the record."""
    async with asyncio.timeout(60):
        while True:
            seen = await view(handle)
            if sum(m.name == name for m in seen.messages) >= count:
                return seen
            await asyncio.sleep(0.1)


async def test_a_changed_mind_counts_before_the_quorum_and_not_after(client: Client, tmp_path: Path) -> None:
    async with running_rig(client, tmp_path, approval={"quorum": 2}) as rig:
        handle, _ = await _two_must_approve(rig)
        with pytest.raises(WorkflowUpdateFailedError):
            await handle.execute_update("withdraw", {"operator": "amir"})
        assert "1 more" in await handle.execute_update("approve", {"operator": "amir"})
        with pytest.raises(WorkflowUpdateFailedError):
            await handle.execute_update("approve", {"operator": "AMIR"})
        await handle.execute_update("withdraw", {"operator": "amir"})
        assert "1 more" in await handle.execute_update("approve", {"operator": "anna"})
        await handle.execute_update("approve", {"operator": "amir"})
        assert (await handle.result()).outcome == "active"
        (approval,) = [e for e in rig.inventory.evidence("acme-1") if e.kind == "approval"]
        assert [a["operator"] for a in approval.observed["approvals"]] == ["anna", "amir"]


async def test_one_who_approved_may_still_reject(client: Client, tmp_path: Path) -> None:
    async with running_rig(client, tmp_path, approval={"quorum": 2}) as rig:
        before = rig.everything()
        handle, _ = await _two_must_approve(rig)
        await handle.execute_update("approve", {"operator": "amir"})
        await handle.execute_update("reject", {"operator": "amir", "comment": "the wrong rack"})
        outcome = await handle.result()
        assert outcome.outcome == "rejected" and "the wrong rack" in outcome.reason
        assert rig.everything()[1:] == before[1:]


async def test_a_decision_stands_against_what_comes_in_the_same_moment(client: Client, tmp_path: Path) -> None:
    """Both signals wait for a worker that is away, so the run hears them in one go."""
    async with running_rig(client, tmp_path) as rig:
        handle, hash_ = await _two_must_approve(rig)
        await asyncio.gather(
            *(handle.signal("approve", {"operator": f"approver {n}", "plan_hash": hash_}) for n in range(20))
        )
        await asyncio.gather(*(handle.signal("reject", {"operator": f"late {n}"}) for n in range(20)))
        assert (await handle.result()).outcome == "active"
        seen = await view(handle)
        assert [m.accepted for m in seen.messages].count(True) == 1
        assert len(seen.messages) == 40


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_flood_by_every_way(temporal: TemporalServer, client: Client, tmp_path: Path) -> None:
    sessions = make_sessions(tmp_path / "rig")
    sessions.accounts.add("anna", (Role.MANAGER,))
    site = make_app(sessions, temporal.ui)
    rule = {"quorum": 2, "unknown_names": "refuse"}
    async with (
        running_rig(client, tmp_path / "rig", approval=rule) as rig,
        served(site) as url,
        browser_of(url, "amir") as amir,
    ):
        handle, hash_ = await _two_must_approve(rig)
        bad: list[Any] = [
            {"operator": "amir", "plan_hash": "0" * 64},
            {"operator": "olivia", "plan_hash": hash_},
            {"operator": "nobody knows me", "plan_hash": hash_},
            {"operator": "tess", "plan_hash": hash_},
            {"operator": "", "plan_hash": hash_},
            {"operator": ["amir"]},
            {"operator": {"name": "amir"}, "plan_hash": 7},
            {"operator": "amir\n; rm -rf"},
            {"operator": "x" * 1_000_000},
            {},
            [],
            None,
            7,
            "yes",
        ]
        signals = [handle.signal("approve", bad[n % len(bad)]) for n in range(180)]
        updates = [_refused(handle, bad[n % len(bad)]) for n in range(160)]
        over_http = [_signalled(amir, handle.id, bad[n % len(bad)]) for n in range(80)]
        over_http += [_updated(amir, handle.id, bad[n % len(bad)]) for n in range(80)]
        answers = await asyncio.gather(*signals, *updates, *over_http)
        seen = await _heard(handle, 200)
        assert seen.waiting is not None and not any(m.accepted for m in seen.messages)
        doubles = [{"operator": "amir", "plan_hash": hash_}] * 5 + [{"operator": "anna", "plan_hash": hash_}] * 5
        await asyncio.gather(*(handle.signal("approve", said) for said in doubles))
        assert (await handle.result()).outcome == "active"
        (approval,) = [e for e in rig.inventory.evidence("acme-1") if e.kind == "approval"]
        assert sorted(a["operator"] for a in approval.observed["approvals"]) == ["amir", "anna"]
        accepted = [m for m in (await view(handle)).messages if m.accepted]
        assert sorted(m.operator for m in accepted) == ["amir", "anna"]
        # The run's own record is short; the history keeps every message that reached the run.
        signalled, updated = await _in_the_history(handle)
        http_signals, all_updates = answers[340:420], [*answers[180:340], *answers[420:]]
        assert len(signalled) == 180 + http_signals.count(Taken.YES) + 10
        taken = all_updates.count(Taken.YES)
        unsure = all_updates.count(Taken.TOO_MANY) + all_updates.count(Taken.NOT_YET)
        assert 0 < taken <= len(updated) <= taken + unsure
        assert Taken.TOO_LARGE in http_signals and Taken.TOO_LARGE in all_updates
        assert set(updated) <= {"test", "amir"}


class Taken(StrEnum):
    YES = "reached the run"
    TOO_LARGE = "too large"
    TOO_MANY = "too many at a time"
    NOT_YET = "the server keeps it, the run has not answered yet"


async def _in_the_history(handle: Handle) -> tuple[list[str], list[str]]:
    """Identities of the approvals by signal, and by update."""
    signals, updates = [], []
    async for event in handle.fetch_history_events():
        if event.HasField("workflow_execution_signaled_event_attributes"):
            signal = event.workflow_execution_signaled_event_attributes
            signals += [signal.identity] if signal.signal_name == "approve" else []
        elif event.HasField("workflow_execution_update_accepted_event_attributes"):
            updates.append(event.workflow_execution_update_accepted_event_attributes.accepted_request.meta.identity)
    return signals, updates


async def test_after_many_refusals_a_history_is_not_filled_further_and_good_updates_pass(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policies, "REFUSALS_KEPT", 3)
    async with running_rig(client, tmp_path, worker={"workflow_runner": UnsandboxedWorkflowRunner()}) as rig:
        handle, _ = await _two_must_approve(rig)
        for _ in range(5):
            assert await _refused(handle, {"operator": "olivia"}) is Taken.YES
        _, updated = await _in_the_history(handle)
        assert len(updated) == 3
        assert (await rig.approved(handle)).outcome == "active"


async def _refused(handle: Handle, given: Any) -> Taken:
    """The server takes ten updates of one run at a time and refuses more; ours refuses the rest, with a reason."""
    try:
        await handle.execute_update("approve", given)
    except WorkflowUpdateFailedError as error:
        assert isinstance(error.cause, ApplicationError) and error.cause.message
        return Taken.TOO_LARGE if "too large" in error.cause.message else Taken.YES
    except RPCError:
        return Taken.TOO_MANY
    raise AssertionError(f"{given} was taken")


async def _signalled(http: httpx.AsyncClient, workflow_id: str, given: Any) -> Taken:
    body = {"input": payloads(given), "identity": "olivia"}
    answer = await http.post(f"{ROOT}/workflows/{workflow_id}/signal/approve", json=body)
    assert answer.status_code in (200, 413), answer.text
    return Taken.YES if answer.status_code == 200 else Taken.TOO_LARGE


async def _updated(http: httpx.AsyncClient, workflow_id: str, given: Any) -> Taken:
    """As the UI's dialog sends it; the refusal is in the answer."""
    answer = await http.post(f"{ROOT}/workflows/{workflow_id}/update/approve", json=update_body("approve", given))
    if answer.status_code == 413:
        return Taken.TOO_LARGE
    if answer.status_code != 200:
        # 503: the server let go of the update for want of room; it may have reached the run all the same.
        assert answer.status_code in (429, 503), answer.text
        return Taken.TOO_MANY
    if "outcome" not in (taken := answer.json()):
        return Taken.NOT_YET
    assert taken["outcome"]["failure"]["message"]
    return Taken.YES
