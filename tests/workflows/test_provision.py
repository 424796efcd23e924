"""`ProvisionInstance` and `DecommissionInstance` on the real server, with devices that exist only as data."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError

from freehold.models.instance import EvidenceKind, InstanceState
from freehold.models.network import PortMode
from freehold.models.procedure import StepState
from tests.workflows.rig import Rig, make_hall, request, running_rig, until_waiting, view


async def test_request_to_active_and_back_to_the_pool(rig: Rig) -> None:
    before = rig.everything()
    handle = await rig.provision()
    waiting = await until_waiting(handle)
    assert waiting.plan is not None and waiting.plan.diffs, "the approver sees exact changes"
    assert not rig.devices.everything(), "nothing is touched before the approval"

    ended = await rig.approved(handle)
    assert ended.outcome == "active" and ended.endpoint.startswith("https://198.18.64.")
    steps = {s.name: s.state for s in (await view(handle)).steps}
    assert steps.pop("install hardware") is StepState.SKIPPED, "nothing is to be done by hand"
    assert set(steps.values()) == {StepState.DONE}
    instance = rig.inventory.instance("acme-1")
    assert instance.state is InstanceState.ACTIVE
    port = instance.plan.ports[0]
    state = rig.devices.state(port.switch)[port.change.port]
    assert state["mode"] == PortMode.ACCESS
    kinds = {e.kind for e in rig.inventory.evidence("acme-1")}
    assert {EvidenceKind.APPROVAL, EvidenceKind.SERVICE, EvidenceKind.ISOLATION} <= kinds

    assert (await rig.approved(await rig.decommission())).outcome == "gone"
    assert rig.everything() == before
    erased = rig.inventory.evidence("acme-1", EvidenceKind.ERASE)
    assert erased and all(e.holds for e in erased)


async def test_dry_run_returns_the_plan_and_takes_nothing(rig: Rig) -> None:
    before = rig.everything()
    ended = await (await rig.provision(dry_run=True)).result()
    assert ended.outcome == "planned" and ended.plan is not None
    assert any(d.commands for d in ended.plan.diffs)
    assert ended.plan.hash == ended.plan_hash
    assert rig.everything() == before


async def test_the_same_request_twice_gives_one_instance(rig: Rig) -> None:
    one, two = await rig.provision(), await rig.provision()
    assert one.id == two.id
    await rig.approved(one)
    again = await (await rig.provision()).result()
    assert again.outcome == "active" and "before" in again.reason
    assert len(rig.inventory.instances()) == 1


async def test_two_customers_at_the_same_time_share_nothing(rig: Rig) -> None:
    handles = [await rig.provision("acme-1"), await rig.provision("beta-1")]
    ended = await asyncio.gather(*(rig.approved(h) for h in handles))
    assert {e.outcome for e in ended} == {"active"}
    one, two = (rig.inventory.instance(n).plan for n in ("acme-1", "beta-1"))
    assert not {(h.kind, h.key) for h in one.holds} & {(h.kind, h.key) for h in two.holds}


async def test_two_requests_for_the_last_server(client: Client, tmp_path: Path) -> None:
    hall = make_hall()
    servers = [d.name for d in hall.devices if d.kind == "server" and d.site == "north"]
    gone = set(servers[1:])
    hall = hall.model_copy(
        update={
            "devices": tuple(d for d in hall.devices if d.name not in gone),
            "cables": tuple(c for c in hall.cables if not {c.a.device, c.b.device} & gone),
        }
    )
    async with running_rig(client, tmp_path, hall) as rig:
        handles = [await rig.provision("acme-1"), await rig.provision("beta-1")]
        results = await asyncio.gather(*(rig.approved(h) for h in handles), return_exceptions=True)
        won = [r for r in results if not isinstance(r, BaseException)]
        assert [w.outcome for w in won] == ["active"]
        lost = handles[next(i for i, r in enumerate(results) if isinstance(r, BaseException))]
        with pytest.raises(WorkflowFailureError) as refused:
            await lost.result()
        cause = refused.value.cause
        assert isinstance(cause, ApplicationError) and cause.type == "CannotPlace"
        assert "server" in cause.message and "north" in cause.message


async def test_rejection_gives_everything_back(rig: Rig) -> None:
    before = rig.everything()
    handle = await rig.provision()
    await until_waiting(handle)
    await handle.signal("reject", {"operator": "amir", "comment": "too dear"})
    ended = await handle.result()
    assert ended.outcome == "rejected" and "too dear" in ended.reason
    assert rig.everything() == before


async def test_a_lapsed_approval_gives_everything_back(client: Client, tmp_path: Path) -> None:
    async with running_rig(client, tmp_path, approval={"within_hours": 1 / 3600}) as rig:
        before = rig.everything()
        ended = await (await rig.provision()).result()
        assert ended.outcome == "lapsed" and "nobody approved" in ended.reason
        assert rig.everything() == before


async def test_cancelling_undoes(rig: Rig) -> None:
    before = rig.everything()
    handle = await rig.provision()
    await until_waiting(handle)
    await handle.cancel()
    with pytest.raises(WorkflowFailureError):
        await handle.result()
    assert rig.everything() == before


async def test_policy_may_waive_the_approval(client: Client, tmp_path: Path) -> None:
    async with running_rig(client, tmp_path, approval={"waive_installed": True}) as rig:
        handle = await rig.provision()
        assert (await handle.result()).outcome == "active"
        step = next(s for s in (await view(handle)).steps if s.name == "approval")
        assert step.state is StepState.SKIPPED and "waived" in step.note


@pytest.mark.parametrize(
    ("fields", "type_", "words"),
    [
        ({"customer": "nobody"}, "BadInput", "customer"),
        ({"site": "moon"}, "BadInput", "site"),
        ({"tier": "huge"}, "BadInput", "tier"),
        ({"service": "mail"}, "BadInput", "service"),
        ({"capacity_gib": 999_999}, "BadInput", "capacity_gib"),
    ],
)
async def test_impossible_requests_fail_at_once_in_one_sentence(
    rig: Rig, fields: dict[str, object], type_: str, words: str
) -> None:
    before = rig.everything()
    with pytest.raises(WorkflowFailureError) as refused:
        await (await rig.provision(**fields)).result()
    cause = refused.value.cause
    assert isinstance(cause, ApplicationError)
    assert (cause.type, words in cause.message) == (type_, True), cause.message
    assert rig.everything() == before


@pytest.mark.parametrize(
    "given",
    [{}, {"instance": "Not A Name"}, {"instance": "x", "surprise": 1}, "text", 7, None, [1, 2]],
    ids=["empty", "bad name", "unknown field", "text", "number", "null", "list"],
)
async def test_bad_json_from_the_start_form_fails_at_once(rig: Rig, given: object) -> None:
    await _fails_at_once(await rig.start("ProvisionInstance", "from-the-form", given))


async def test_an_empty_start_form_fails_at_once(rig: Rig) -> None:
    handle = await rig.client.start_workflow(
        "DecommissionInstance", id="from-the-empty-form", task_queue=rig.parts.settings.task_queue
    )
    await _fails_at_once(handle)


async def _fails_at_once(handle: WorkflowHandle[Any, Any]) -> None:
    async with asyncio.timeout(15):
        with pytest.raises(WorkflowFailureError):
            await handle.result()


async def test_a_second_procedure_on_an_instance_is_told_which_holds_it(rig: Rig) -> None:
    handle = await rig.provision()
    await until_waiting(handle)
    other = await rig.start("ProvisionInstance", "another-way-in", request())
    with pytest.raises(WorkflowFailureError) as refused:
        await other.result()
    cause = refused.value.cause
    assert isinstance(cause, ApplicationError) and cause.type == "LeaseHeld"
    assert "provision-acme-1" in cause.message
    assert (await rig.approved(handle)).outcome == "active"
