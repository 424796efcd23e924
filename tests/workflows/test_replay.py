"""Runs that began before a change of the code must go on after it: recorded histories, replayed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from freehold.stack.client import DATA
from tests.workflows.record import HISTORIES, RECORDED
from workers.wiring import FAILING, WORKFLOWS


def history(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((HISTORIES / f"{name}.json").read_text())
    return document


async def replay(name: str, document: dict[str, Any]) -> None:
    replayer = Replayer(workflows=WORKFLOWS, data_converter=DATA, workflow_failure_exception_types=FAILING)
    await replayer.replay_workflow(WorkflowHistory.from_json(name, document))


@pytest.mark.parametrize("name", sorted(RECORDED))
async def test_recorded_runs_go_on(name: str) -> None:
    await replay(name, history(name))


def test_every_workflow_is_recorded() -> None:
    assert {name.partition("-")[0] for name in RECORDED} == {workflow.__name__ for workflow in WORKFLOWS}
    assert {path.stem for path in HISTORIES.glob("*.json")} == set(RECORDED)


def test_histories_stay_small() -> None:
    """A history of many megabytes is slow to replay, and a server refuses 50 of them."""
    sizes = {path.name: path.stat().st_size for path in Path(HISTORIES).glob("*.json")}
    assert max(sizes.values()) < 600_000, sizes


async def test_another_order_of_steps_is_noticed() -> None:
    """The recording with two activities changed round is a run of other code, and replaying must say so."""
    document = history("ProvisionInstance-active")
    text = json.dumps(document).replace('"verify_cables"', '"@"')
    text = text.replace('"issue_secrets"', '"verify_cables"').replace('"@"', '"issue_secrets"')
    with pytest.raises(NondeterminismError):
        await replay("changed", json.loads(text))
