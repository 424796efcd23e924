"""Everything an operator and an approver do, in the Temporal Web UI alone."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect

from freehold.inventory import Inventory
from freehold.models.instance import InstanceState
from tests.ui.pages import WebUi, fresh_examples
from tests.workflows.rig import Rig, request, until_waiting
from workers.examples import EXAMPLES, make_examples

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]


def a_request(name: str = "acme-1", **fields: Any) -> dict[str, Any]:
    return request(name, **fields).model_dump(mode="json")


async def test_from_the_start_form_to_an_active_instance(rig: Rig, ui: WebUi, examples: None) -> None:
    """The form fills itself in; the details say what to answer; the answer is copied from there."""
    await ui.open_form("ProvisionInstance")
    await expect(ui.input).to_contain_text('"instance": "example"')
    filled_in = json.loads(await ui.input.inner_text())
    wanted = {**filled_in, "instance": "acme-1", "requested_by": "olivia", "dry_run": False}
    await ui.start("ProvisionInstance", "provision-acme-1", wanted)

    waiting = await until_waiting(rig.client.get_workflow_handle("provision-acme-1"))
    details = await ui.open_details("provision-acme-1")
    await expect(details.get_by_role("heading")).to_contain_text("Waits for approvers until")
    await expect(details.get_by_role("row", name="plan").first).to_contain_text(waiting.plan_hash)
    answer = await details.get_by_role("row", name="approve").locator("code").inner_text()
    await ui.send("Update", "approve", answer.replace("YOUR NAME", "amir"))
    await ui.open_run("provision-acme-1")
    await ui.until_ended("Completed")
    assert rig.inventory.instance("acme-1").state is InstanceState.ACTIVE

    for words in ("preview_switch • plan: leaf1", "install object storage: srv-", "probe • prove isolation"):
        await expect(ui.page.get_by_text(words).first).to_be_attached()
    details = await ui.open_details("provision-acme-1")
    await expect(details.get_by_role("heading")).to_have_text("ProvisionInstance of acme-1: active")
    await expect(details.get_by_role("row", name="approval")).to_contain_text("approved by amir")


async def test_a_signal_from_the_dialog_approves(rig: Rig, ui: WebUi) -> None:
    handle = await rig.provision()
    waiting = await until_waiting(handle)
    await ui.open_run(handle.id)
    await ui.send("Signal", "approve", {"operator": "amir", "plan_hash": waiting.plan_hash})
    assert (await handle.result()).outcome == "active"


REFUSED: list[tuple[str, object, str]] = [
    ("approve", {"operator": "olivia"}, "operator: olivia asked for this and cannot approve it; somebody else must"),
    ("approve", {"operator": "amir", "plan_hash": "0"}, "plan_hash '0' is not the current plan"),
    ("approve", {"operator": "YOUR NAME"}, "operator: put your own name in the place of YOUR NAME"),
    ("approve", {}, "operator is missing"),
    ("approve", ["amir"], "the input must be one JSON object (given: ['amir'])"),
    ("retry", {"operator": "amir"}, "retry is not what this run waits for now"),
]


async def test_a_refused_update_says_why_in_its_dialog(rig: Rig, ui: WebUi) -> None:
    handle = await rig.provision()
    await until_waiting(handle)
    await ui.open_run(handle.id)
    for name, message, sentence in REFUSED:
        await ui.send("Update", name, message)
        dialog = ui.page.get_by_role("dialog")
        await expect(dialog.get_by_role("alert")).to_contain_text(sentence)
        assert "Traceback" not in (shown := await dialog.inner_text()) and ".py" not in shown
        assert (await until_waiting(handle)).waiting
        await ui.close_dialog()


async def test_dialogs_describe_what_can_be_said(rig: Rig, ui: WebUi) -> None:
    handle = await rig.provision()
    await until_waiting(handle)
    await ui.open_run(handle.id)
    for how in ("Update", "Signal"):
        await ui.open_dialog(how)
        for name, words in (("approve", "Yes to the plan"), ("reject", "No to the plan"), ("abort", "undo")):
            await expect(ui.option(name)).to_contain_text(words)
        await ui.close_dialog()


async def test_the_list_is_filtered_by_customer_and_by_whom_it_waits_for(rig: Rig, ui: WebUi) -> None:
    ours, theirs = await asyncio.gather(rig.provision("acme-1"), rig.provision("beta-1"))
    await asyncio.gather(until_waiting(ours), until_waiting(theirs))
    await ui.until_listed('FreeholdCustomer="acme" AND ExecutionStatus="Running"', ours.id)
    await expect(ui.row(theirs.id)).to_have_count(0)
    await ui.until_listed('FreeholdWaitingFor="approvers"', ours.id, theirs.id)
    await rig.approved(theirs)
    await ui.until_listed('FreeholdWaitingFor="approvers"', ours.id)
    await expect(ui.row(theirs.id)).to_have_count(0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("olivia wants storage", None),
        ('"olivia wants storage"', "the input must be one JSON object (given: 'olivia wants storage')"),
        (a_request() | {"colour": "blue"}, "colour is not a field (given: 'blue')"),
        (a_request() | {"capacity_gib": "much"}, "capacity_gib: it should be a valid integer"),
        (a_request() | {"instance": "Acme 1"}, "instance must be lower-case letters, digits and single dashes"),
        (a_request() | {"site": "moon"}, "site 'moon'"),
        (a_request() | {"capacity_gib": 999_999}, "capacity_gib"),
    ],
    ids=["no JSON", "text", "unknown field", "wrong type", "bad name", "unknown site", "too much"],
)
async def test_wrong_input_fails_at_once_with_one_message(
    rig: Rig, ui: WebUi, given: object, message: str | None
) -> None:
    workflow_id = f"wrong-{rig.parts.settings.task_queue}"
    await ui.open_form("ProvisionInstance", workflow_id)
    await ui.type_json(given)
    if message is None:
        await expect(ui.page.get_by_role("button", name="Start Workflow")).to_be_disabled()
        return
    await ui.submit_form()
    await ui.open_run(workflow_id)
    await ui.until_ended("Failed")
    await expect(ui.page.get_by_text(re.compile(re.escape(f'"{message}'))).first).to_be_visible()
    assert not rig.inventory.instances()


async def test_an_instance_is_ended_from_the_example_of_its_kind(rig: Rig, ui: WebUi) -> None:
    await rig.approved(await rig.provision())
    assert set(await fresh_examples(rig)) == {*EXAMPLES} - {"example-scale-down"}
    await ui.open_form("DecommissionInstance", "example-decommission")
    await expect(ui.input).to_contain_text('"dry_run": true')
    wanted = json.loads(await ui.input.inner_text()) | {"requested_by": "olivia", "dry_run": False}
    await ui.start("DecommissionInstance", "decommission-acme-1", wanted)
    handle = rig.client.get_workflow_handle("decommission-acme-1")
    waiting = await until_waiting(handle)
    details = await ui.open_details(handle.id)
    await expect(details.locator("body")).to_contain_text("this destroys all data of acme-1 for ever")
    await ui.send("Update", "approve", {"operator": "amir", "plan_hash": waiting.plan_hash})
    await ui.open_run(handle.id)
    await ui.until_ended("Completed")
    assert rig.inventory.instance("acme-1").state is InstanceState.GONE


async def test_examples_are_made_once_and_hold_nothing(rig: Rig) -> None:
    before = rig.everything()
    assert await fresh_examples(rig) == ("example-provision",)
    assert await make_examples(rig.client, rig.parts.settings.task_queue, rig.inventory) == ()
    assert rig.everything() == before


def test_without_a_hall_nothing_can_be_an_example(tmp_path: Path) -> None:
    inventory = Inventory(f"sqlite:///{tmp_path}/empty.db")
    assert not any(make(inventory) for _, make in EXAMPLES.values())
    inventory.close()
