"""Under the policy `login` an approval counts only when the history says that it is from whom it says."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from temporalio.client import Client, WorkflowHandle

from freehold.models.procedure import Outcome, ProcedureView
from tests.conftest import TemporalServer
from tests.web.site import make_sessions
from tests.workflows.rig import running_rig, until_waiting, view


async def _doubted(handle: WorkflowHandle[Any, Outcome], count: int) -> ProcedureView:
    async with asyncio.timeout(30):
        while True:
            seen = await view(handle)
            if sum("does not count" in m.note for m in seen.messages) >= count and seen.waiting is not None:
                return seen
            await asyncio.sleep(0.1)


async def test_only_the_person_itself_approves(temporal: TemporalServer, tmp_path: Path) -> None:
    make_sessions(tmp_path)
    clients: dict[str, Client] = {who: await temporal.client(who) for who in ("olivia", "amir", "audrey", "mallory")}
    async with running_rig(clients["olivia"], tmp_path, approval_identity="login") as rig:
        run = await rig.provision()
        hash_ = (await until_waiting(run)).plan_hash

        def by(who: str) -> WorkflowHandle[Any, Outcome]:
            return clients[who].get_workflow_handle(run.id)

        yes = {"operator": "amir", "plan_hash": hash_}
        await by("mallory").signal("approve", yes)
        seen = await _doubted(run, 1)
        assert [m.identity for m in seen.messages if m.accepted] == ["mallory"]
        details = (await run.query("__temporal_workflow_metadata")).current_details
        assert "amir (really **mallory**)" in details
        await by("mallory").execute_update("approve", yes)
        await _doubted(run, 2)
        await by("audrey").signal("approve", {"operator": "audrey", "plan_hash": hash_})  # an auditor
        await _doubted(run, 3)
        await by("amir").signal("approve", {"operator": "amir"})  # names no plan
        await _doubted(run, 4)
        await by("amir").execute_update("approve", yes)
        assert (await run.result()).outcome == "active"
        (approval,) = [e for e in rig.inventory.evidence("acme-1") if e.kind == "approval"]
        assert [a["operator"] for a in approval.observed["approvals"]] == ["amir"]


async def test_whoever_started_the_run_cannot_approve_under_another_claim(
    temporal: TemporalServer, tmp_path: Path
) -> None:
    """The request says that olivia asks, but it is amir who started the run."""
    make_sessions(tmp_path)
    client = await temporal.client("amir")
    async with running_rig(client, tmp_path, approval_identity="login") as rig:
        run = await rig.provision()
        hash_ = (await until_waiting(run)).plan_hash
        await run.signal("approve", {"operator": "amir", "plan_hash": hash_})
        await _doubted(run, 1)
