"""Whose word counts: by the history under the policy `login`, and by people's roles always."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from temporalio.client import Client, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from freehold.models.people import Role
from freehold.models.procedure import MessageRecord, Outcome
from freehold.web.accounts import Accounts
from tests.conftest import TemporalServer
from tests.web.site import make_sessions
from tests.workflows.rig import running_rig, until_waiting, view
from tests.workflows.test_faults import Fails
from tests.workflows.test_install_hardware import begun, checklist, storeroom_hall
from workers.interceptor import Around

RULE = {"identity": "login"}
Handle = WorkflowHandle[Any, Outcome]


async def _refused(handle: Handle, count: int) -> list[MessageRecord]:
    """The record once so many messages were refused."""
    async with asyncio.timeout(30):
        while len([m for m in (await view(handle)).messages if not m.accepted]) < count:
            await asyncio.sleep(0.05)
    return [m for m in (await view(handle)).messages if not m.accepted]


async def _says(handle: Handle, name: str, said: dict[str, Any]) -> str:
    """What a refused update is answered; empty when it is taken."""
    try:
        await handle.execute_update(name, said)
    except WorkflowUpdateFailedError as error:
        assert isinstance(error.cause, ApplicationError)
        return error.cause.message
    return ""


async def test_only_the_person_itself_approves(temporal: TemporalServer, tmp_path: Path) -> None:
    make_sessions(tmp_path)
    clients: dict[str, Client] = {who: await temporal.client(who) for who in ("olivia", "amir", "audrey", "mallory")}
    async with running_rig(clients["olivia"], tmp_path, approval=RULE) as rig:
        run = await rig.provision()
        hash_ = (await until_waiting(run)).plan_hash

        def by(who: str) -> Handle:
            return clients[who].get_workflow_handle(run.id)

        yes = {"operator": "amir", "plan_hash": hash_}
        await by("mallory").signal("approve", yes)
        (first,) = await _refused(run, 1)
        assert (first.operator, first.identity) == ("amir", "mallory") and "mallory sent this" in first.note
        details = (await run.query("__temporal_workflow_metadata")).current_details
        assert "amir (sent by **mallory**)" in details
        assert "mallory sent this, not amir" in await _says(by("mallory"), "approve", yes)
        assert "mallory has no account" in await _says(by("mallory"), "approve", {**yes, "operator": "mallory"})
        assert "audrey is auditor" in await _says(by("audrey"), "approve", {**yes, "operator": "audrey"})
        assert "the current hash is" in await _says(by("amir"), "approve", {"operator": "amir"})
        assert await _says(by("amir"), "approve", yes) == ""
        assert (await run.result()).outcome == "active"
        (approval,) = [e for e in rig.inventory.evidence("acme-1") if e.kind == "approval"]
        assert [a["operator"] for a in approval.observed["approvals"]] == ["amir"]
        kept = [(m["operator"], m["identity"], m["accepted"]) for m in approval.observed["messages"]]
        assert kept == [
            ("amir", "mallory", False),
            ("amir", "mallory", False),
            ("mallory", "mallory", False),
            ("audrey", "audrey", False),
            ("amir", "amir", False),
            ("amir", "amir", True),
        ]


async def test_nobody_rejects_withdraws_retries_or_aborts_in_the_name_of_another(
    temporal: TemporalServer, tmp_path: Path
) -> None:
    make_sessions(tmp_path)
    olivia, amir, mallory = [await temporal.client(who) for who in ("olivia", "amir", "mallory")]
    worker = {"interceptors": [Around(), Fails(watch=1)]}
    async with running_rig(olivia, tmp_path, approval=RULE | {"quorum": 2}, worker=worker) as rig:
        Accounts(tmp_path / "accounts.yaml").add("anna", (Role.MANAGER,), "correct horse")
        run = await rig.provision()
        hash_ = (await until_waiting(run)).plan_hash
        forger: Handle = mallory.get_workflow_handle(run.id)
        approver: Handle = amir.get_workflow_handle(run.id)
        await approver.execute_update("approve", {"operator": "amir", "plan_hash": hash_})
        for name in ("withdraw", "reject"):
            assert "not amir" in await _says(forger, name, {"operator": "amir"})
        assert "not olivia" in await _says(forger, "abort", {"operator": "olivia"})
        assert "amir is approver and may not retry, abort or cancel" in await _says(
            approver, "abort", {"operator": "amir"}
        )
        anna: Handle = (await temporal.client("anna")).get_workflow_handle(run.id)
        await anna.execute_update("approve", {"operator": "anna", "plan_hash": hash_})
        await until_waiting(run, "retry")
        assert "not olivia" in await _says(forger, "retry", {"operator": "olivia"})
        await run.execute_update("retry", {"operator": "olivia"})
        assert (await run.result()).outcome == "active"
        assert all(m.identity for m in (await view(run)).messages)


async def test_a_checklist_is_confirmed_by_those_who_are_logged_in(temporal: TemporalServer, tmp_path: Path) -> None:
    make_sessions(tmp_path)
    olivia, amir, tess = [await temporal.client(who) for who in ("olivia", "amir", "tess")]
    async with running_rig(olivia, tmp_path, storeroom_hall(), approval=RULE) as rig:
        parent = await rig.provision()
        approve = {"operator": "amir", "plan_hash": (await until_waiting(parent)).plan_hash}
        await amir.get_workflow_handle(parent.id).execute_update("approve", approve)
        child: Handle = tess.get_workflow_handle("install-acme-1")
        async with asyncio.timeout(30):
            while not await begun(rig, child):
                await asyncio.sleep(0.05)
        await until_waiting(child, "checklist")
        item = checklist(await view(child)).items[0].id
        forger: Handle = amir.get_workflow_handle(child.id)
        assert "amir sent this, not tess" in await _says(forger, "confirm_items", {"operator": "tess", "done": [item]})
        assert "amir is approver" in await _says(forger, "confirm_items", {"operator": "amir", "done": [item]})
        assert await _says(child, "confirm_items", {"operator": "tess", "done": [item]}) == ""
        assert [(m.operator, m.identity) for m in (await view(child)).messages][-1] == ("tess", "tess")


async def test_whoever_started_the_run_cannot_approve_under_another_claim(
    temporal: TemporalServer, tmp_path: Path
) -> None:
    """The request says that olivia asks, but it is amir who started the run."""
    make_sessions(tmp_path)
    client = await temporal.client("amir")
    async with running_rig(client, tmp_path, approval=RULE) as rig:
        run = await rig.provision()
        hash_ = (await until_waiting(run)).plan_hash
        assert "amir started this run" in await _says(run, "approve", {"operator": "amir", "plan_hash": hash_})


async def test_roles_hold_for_claims_and_unknown_names_as_the_policy_says(client: Client, tmp_path: Path) -> None:
    make_sessions(tmp_path)
    async with running_rig(client, tmp_path, approval={"unknown_names": "refuse", "roles": ["manager"]}) as rig:
        Accounts(tmp_path / "accounts.yaml").add("Anna", (Role.MANAGER, Role.OPERATOR), "correct horse")
        run = await rig.provision()
        await until_waiting(run)
        assert "nadia has no account" in await _says(run, "approve", {"operator": "nadia"})
        assert "tess is technician" in await _says(run, "approve", {"operator": "tess"})
        assert "amir is approver and may not approve" in await _says(run, "approve", {"operator": "amir"})
        assert "tess is technician" in await _says(run, "abort", {"operator": "tess"})
        assert await _says(run, "approve", {"operator": "anna"}) == ""
        assert (await run.result()).outcome == "active"
        assert {m.identity for m in (await view(run)).messages} == {"test"}


async def test_a_broken_file_of_accounts_lets_nobody_through_and_says_so(client: Client, tmp_path: Path) -> None:
    make_sessions(tmp_path)
    async with running_rig(client, tmp_path) as rig:
        run = await rig.provision()
        await until_waiting(run)
        good = (tmp_path / "accounts.yaml").read_text()
        (tmp_path / "accounts.yaml").write_text("accounts: [{name: amir, roles: [king]}]")
        assert "cannot be read as accounts" in await _says(run, "approve", {"operator": "amir"})
        (tmp_path / "accounts.yaml").write_text(good)
        assert (await rig.approved(run)).outcome == "active"
