"""Scaling by schedule on the real Temporal server: devices are data, and the metrics are what a test says."""

from __future__ import annotations

import json
import math
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import (
    Client,
    ScheduleOverlapPolicy,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowUpdateFailedError,
)
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.scaling import ScalingActivities
from freehold.models.evaluation import EvaluateInput, EvaluateRequest, StartInput
from freehold.models.instance import EvidenceKind
from freehold.models.procedure import Outcome, ProcedureView
from freehold.models.request import ScaleRequest
from freehold.models.scaling import Contract, Mode
from freehold.scaling import ScalingRules
from freehold.scheduling import durations
from tests.metrics.server import FakePrometheus, fake_prometheus, usage
from tests.workflows.rig import Rig, running_rig, until_waiting, view
from workers.schedules import bring_about, regulars

RULES: dict[str, Any] = {
    "data": {"step_s": 1, "peak_step_s": 60, "history_s": 1800, "most_age_s": 60, "most_skew_s": 10},
    "up": {"window_s": 10, "cool_down_s": 0},
    "down": {"window_s": 20, "cool_down_s": 0},
}


@pytest.fixture
def metrics() -> Iterator[FakePrometheus]:
    with fake_prometheus() as made:
        yield made


def keep_rules(home: Path, **changes: Any) -> None:
    home.mkdir(parents=True, exist_ok=True)
    (home / "scaling.yaml").write_text(json.dumps({"rules": [RULES | changes]}))


@asynccontextmanager
async def scheduled(client: Client, home: Path, metrics: FakePrometheus, **options: Any) -> AsyncIterator[Rig]:
    """A rig with an instance, of which the metrics tell what `metrics` says."""
    keep_rules(home)
    async with running_rig(client, home, prometheus_server=metrics.url, **options) as rig:
        await rig.approved(await rig.provision())
        yield rig


@pytest.fixture
async def rig(client: Client, tmp_path: Path, metrics: FakePrometheus) -> AsyncIterator[Rig]:
    async with scheduled(client, tmp_path, metrics) as made:
        yield made


def agree(rig: Rig, mode: Mode, name: str = "acme-1", **limits: Any) -> None:
    rig.inventory.set_contract(name, Contract(mode=mode, **limits))


async def evaluate(rig: Rig) -> Outcome:
    """One evaluation, as the schedule starts it."""
    run = f"evaluate-{rig.parts.settings.task_queue}-{time.monotonic_ns()}"
    return await (await rig.start("EvaluateScaling", run, EvaluateRequest())).result()


def run_of(rig: Rig, workflow_id: str) -> WorkflowHandle[Any, Outcome]:
    return rig.client.get_workflow_handle(workflow_id, result_type=Outcome)


async def asked(rig: Rig, workflow_id: str = "recommend-scaling-acme-1") -> ProcedureView:
    return await until_waiting(run_of(rig, workflow_id), "recommendation")


async def started(rig: Rig, kind: str) -> int:
    """Runs of a procedure so far; the server lists them a moment later."""
    query = f"WorkflowType = '{kind}' AND TaskQueue = '{rig.parts.settings.task_queue}'"
    return (await rig.client.count_workflows(query)).count


async def test_without_a_contract_nothing_is_asked_of_anybody(rig: Rig, metrics: FakePrometheus) -> None:
    metrics.instances = {"acme-1": usage(0.99)}
    outcome = await evaluate(rig)
    assert outcome.reason.startswith("nothing to decide: ")
    assert not metrics.asked
    agree(rig, Mode.OFF)
    assert (await evaluate(rig)).reason == outcome.reason


async def test_a_recommendation_is_accepted_and_carried_out(rig: Rig, metrics: FakePrometheus) -> None:
    agree(rig, Mode.RECOMMEND)
    metrics.instances = {"acme-1": usage(0.9)}
    outcome = await evaluate(rig)
    assert "1 to grow, 0 to shrink" in outcome.reason
    seen = await asked(rig)
    assert seen.waiting is not None
    assert (seen.waiting.whom, seen.waiting.messages) == ("operators", ("accept", "dismiss"))
    assert "ScaleUp to capacity_gib 2 is recommended" in seen.waiting.reason
    assert rig.inventory.lease("acme-1") is None, "a recommendation holds nothing"
    await until_listed(rig)
    assert (await evaluate(rig)).details["deeds"] == [], "they are asked already"
    assert len(rig.inventory.evidence("acme-1", EvidenceKind.SCALING)) == 1

    recommendation = run_of(rig, "recommend-scaling-acme-1")
    await recommendation.execute_update("accept", {"operator": "olivia"})
    assert (await recommendation.result()).outcome == "accepted"
    scaling = run_of(rig, "scale-up-acme-1")
    waiting = await until_waiting(scaling)
    assert waiting.because is not None
    assert waiting.because.page.startswith(rig.parts.settings.page_url)
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await scaling.execute_update("approve", {"operator": "olivia"})
    assert isinstance(refused.value.cause, ApplicationError)
    assert "olivia asked for this and cannot approve it" in refused.value.cause.message
    assert (await rig.approved(scaling)).outcome == "active"
    assert rig.inventory.instance("acme-1").plan.request.capacity_gib == 2


def rising(at: float) -> float:
    """Of the capacity, to 90 % now, from nothing half an hour ago."""
    return max(0.9 + (at - time.time()) / 2000, 0)


async def test_the_reason_is_kept(rig: Rig, metrics: FakePrometheus) -> None:
    agree(rig, Mode.RECOMMEND)
    metrics.instances = {"acme-1": usage(rising)}
    await evaluate(rig)
    seen = await asked(rig)
    (kept,) = rig.inventory.evidence("acme-1", EvidenceKind.SCALING)
    assert seen.because is not None
    assert (seen.because.decision, seen.because.words) == (kept.id, kept.claim)
    assert kept.observed["decision"]["reasons"]
    assert kept.observed["plots"]
    assert all(plot.startswith("<svg") for plot in kept.observed["plots"])


async def test_a_dismissed_recommendation_is_not_made_again_at_once(rig: Rig, metrics: FakePrometheus) -> None:
    agree(rig, Mode.RECOMMEND)
    metrics.instances = {"acme-1": usage(0.9)}
    await evaluate(rig)
    await asked(rig)
    keep_rules(rig.parts.settings.home, up={"window_s": 10, "cool_down_s": 3600})
    recommendation = run_of(rig, "recommend-scaling-acme-1")
    await recommendation.execute_update("dismiss", {"operator": "olivia", "comment": "the customer leaves"})
    outcome = await recommendation.result()
    assert (outcome.outcome, outcome.reason) == ("dismissed", "olivia: the customer leaves")
    again = await evaluate(rig)
    assert "0 to grow" in again.reason
    assert "acme-1: " in again.reason, "what holds the need back is said"
    assert again.details["deeds"] == []


async def test_a_recommendation_that_is_not_needed_any_more_is_taken_back(rig: Rig, metrics: FakePrometheus) -> None:
    agree(rig, Mode.RECOMMEND)
    metrics.instances = {"acme-1": usage(0.9)}
    await evaluate(rig)
    await asked(rig)
    metrics.instances = {}
    await evaluate(rig)
    await asked(rig)  # no metrics are no reason to take it back
    metrics.instances = {"acme-1": usage(0.6)}
    await until_listed(rig)
    await evaluate(rig)
    assert (await run_of(rig, "recommend-scaling-acme-1").result()).outcome == "not needed any more"


async def until_listed(rig: Rig) -> None:
    """Until the server lists the open recommendation."""
    end = time.monotonic() + 30
    while not await started(rig, "RecommendScaling"):
        assert time.monotonic() < end


async def test_a_recommendation_follows_the_figures(rig: Rig, metrics: FakePrometheus) -> None:
    agree(rig, Mode.RECOMMEND)
    metrics.instances = {"acme-1": usage(0.9)}
    await evaluate(rig)
    first = await asked(rig)
    metrics.instances = {"acme-1": usage(1.5)}
    assert (await evaluate(rig)).details["deeds"] == ["recommend-scaling-acme-1 asks operators for something else now"]
    second = await asked(rig)
    assert first.waiting is not None
    assert second.waiting is not None
    assert second.waiting.reason != first.waiting.reason
    assert await started(rig, "RecommendScaling") <= 1


async def test_approve_starts_and_stops_at_the_approval(rig: Rig, metrics: FakePrometheus) -> None:
    agree(rig, Mode.APPROVE)
    metrics.instances = {"acme-1": usage(0.9)}
    assert (await evaluate(rig)).details["deeds"] == ["scale-up-acme-1 is started"]
    scaling = run_of(rig, "scale-up-acme-1")
    await until_waiting(scaling)
    assert (await evaluate(rig)).reason.startswith("nothing to decide: "), "it is being changed"
    assert (await rig.approved(scaling)).outcome == "active"
    metrics.instances = {"acme-1": usage(0.1, 2)}
    assert "scale-down-acme-1 is started" in (await evaluate(rig)).details["deeds"]
    assert (await rig.approved(run_of(rig, "scale-down-acme-1"))).outcome == "active"
    assert rig.inventory.instance("acme-1").plan.request.capacity_gib == 1


async def test_a_start_that_is_repeated_finds_its_own_work_done(rig: Rig, metrics: FakePrometheus) -> None:
    """Also when what it started has ended meanwhile."""
    agree(rig, Mode.APPROVE)
    metrics.instances = {"acme-1": usage(0.9)}
    activities = ScalingActivities(
        rig.inventory, ScalingRules(rig.parts.settings.scaling_file), rig.parts.settings, rig.client
    )
    found = ActivityEnvironment().run(activities.evaluate_instances, EvaluateInput(request=EvaluateRequest()))
    (proposal,) = found.proposals
    given = StartInput(proposal=proposal, requested_by=proposal.wanted.requested_by)
    assert (await activities.start_scaling(given)).changed
    assert not (await activities.start_scaling(given)).changed
    scaling = run_of(rig, "scale-up-acme-1")
    await until_waiting(scaling)
    await scaling.execute_update("reject", {"operator": "amir"})
    assert (await scaling.result()).outcome == "rejected"
    assert (await activities.start_scaling(given)).words == "was started before"


WAIVED = {"approval": {"waive_scheduled": True}}


async def automatic(
    client: Client, home: Path, metrics: FakePrometheus, rules: dict[str, Any], **limits: Any
) -> tuple[str, ProcedureView | None]:
    """What becomes of a need in mode automatic: the outcome of the procedure, or where it waits."""
    keep_rules(home)
    async with running_rig(client, home, prometheus_server=metrics.url, **rules) as rig:
        await rig.approved(await rig.provision())
        agree(rig, Mode.AUTOMATIC, **limits)
        metrics.instances = {"acme-1": usage(0.9)}
        outcome = await evaluate(rig)
        if not outcome.details["deeds"]:
            return outcome.reason, None
        run = run_of(rig, "scale-up-acme-1")
        if not rules:
            return "", await until_waiting(run)
        return (await run.result()).outcome, await view(run)


async def test_automatic_needs_nobody_within_the_contract(
    client: Client, tmp_path: Path, metrics: FakePrometheus
) -> None:
    outcome, seen = await automatic(client, tmp_path, metrics, WAIVED, most_capacity_gib=4, most_spend=10_000)
    assert outcome == "active"
    assert seen is not None
    (approval,) = [step for step in seen.steps if step.name == "approval"]
    assert approval.note.startswith("waived by policy: decided by the schedule, within the customer's contract")


async def test_automatic_asks_where_the_rules_do_not_waive(
    client: Client, tmp_path: Path, metrics: FakePrometheus
) -> None:
    _, seen = await automatic(client, tmp_path, metrics, {})
    assert seen is not None
    assert seen.waiting is not None


@pytest.mark.parametrize(
    "limits",
    [{"most_capacity_gib": 1}, {"most_spend": 0.01}],
)
async def test_nothing_goes_beyond_the_contract(
    client: Client, tmp_path: Path, metrics: FakePrometheus, limits: dict[str, Any]
) -> None:
    words, seen = await automatic(client, tmp_path, metrics, WAIVED, **limits)
    assert seen is None
    assert "0 to grow" in words
    assert "acme-1: " in words


async def test_who_claims_to_be_the_schedule_needs_an_approval(
    client: Client, tmp_path: Path, metrics: FakePrometheus
) -> None:
    """What waives it is the decision that is kept, for exactly this change, and young."""
    async with scheduled(client, tmp_path, metrics, **WAIVED) as rig:
        agree(rig, Mode.RECOMMEND)
        metrics.instances = {"acme-1": usage(0.9)}
        await evaluate(rig)
        because = (await asked(rig)).because
        agree(rig, Mode.AUTOMATIC)
        assert because is not None
        claims = (
            {"capacity_gib": 2},
            {"capacity_gib": 2, "web_servers": 1, "because": because},
            {"capacity_gib": 2, "because": because.model_copy(update={"decision": "made/up"})},
        )
        for claim in claims:
            given = ScaleRequest(instance="acme-1", requested_by="evaluate-scaling", **claim)  # type: ignore[arg-type]
            run = await rig.start("ScaleUp", "scale-up-acme-1", given)
            await until_waiting(run)
            await run.execute_update("reject", {"operator": "amir"})
            assert (await run.result()).outcome == "rejected"


@pytest.mark.parametrize(
    ("ill", "words"),
    [
        ({}, "there is no figure of stored bytes"),
        (usage(math.nan), "stored bytes was nan"),
        (usage(0.9, measured_at_seconds=lambda at: at - 3600), "old; at most"),
        (usage(0.9, measured_at_seconds=lambda at: at + 3600), "its own clock is"),
        (usage(0.9, 2), "it says that it has 2 GiB, its plan says 1 GiB"),
        (usage(0.9, objects=0), "in no object at all"),
    ],
    ids=["missing", "NaN", "old", "of another time", "another size", "contradictory"],
)
async def test_one_that_tells_nonsense_is_left_alone_and_the_others_are_served(
    rig: Rig, metrics: FakePrometheus, ill: dict[str, Any], words: str
) -> None:
    await rig.approved(await rig.provision("beta-1"))
    for name in ("acme-1", "beta-1"):
        agree(rig, Mode.APPROVE, name)
    metrics.instances = {"acme-1": ill, "beta-1": usage(0.9)}
    outcome = await evaluate(rig)
    assert outcome.details["deeds"] == ["scale-up-beta-1 is started"]
    assert "1 to grow, 0 to shrink, 0 stay as they are, 1 cannot be decided" in outcome.reason
    assert words in outcome.reason
    assert not await started(rig, "ScaleDown")


@pytest.mark.parametrize("how", ["stopped", "empty words", "another time", "full of errors"])
async def test_without_metrics_nothing_is_decided(rig: Rig, metrics: FakePrometheus, how: str) -> None:
    agree(rig, Mode.APPROVE)
    metrics.instances = {"acme-1": usage(0.9)}
    words = {
        "stopped": "does not answer as it should",
        "empty words": "not in the words of Prometheus",
        "another time": "clock and ours are",
        "full of errors": "too many samples",
    }[how]
    if how == "another time":
        metrics.clock = lambda: time.time() - 7200
    else:
        metrics.raw = {"stopped": b"", "empty words": b"{}"}.get(
            how, b'{"status": "error", "error": "would load too many samples"}'
        )
    before = rig.everything()
    with pytest.raises(WorkflowFailureError) as failed:
        await evaluate(rig)
    assert isinstance(failed.value.cause, ApplicationError)
    assert words in failed.value.cause.message
    assert failed.value.cause.type == "MetricsUnavailable"
    assert rig.everything() == before
    metrics.raw, metrics.clock = None, time.time
    assert (await evaluate(rig)).details["deeds"] == ["scale-up-acme-1 is started"], "the next one goes on"


async def test_a_week_that_was_missed_is_not_made_up_for(client: Client, rig: Rig) -> None:
    """What is late is started once and never beside another; a paused schedule stays paused."""
    queue = rig.parts.settings.task_queue
    (regular,) = [r for r in regulars(rig.parts.settings) if r.procedure == "EvaluateScaling"]
    mine = replace(regular, id=f"evaluate-{queue}", every_s=3600)
    await bring_about(client, mine, queue)
    try:
        policy = (await client.get_schedule_handle(mine.id).describe()).schedule.policy
        assert policy.overlap is ScheduleOverlapPolicy.SKIP
        assert policy.catchup_window <= timedelta(minutes=1)
        await client.get_schedule_handle(mine.id).trigger()
        while not (ran := (await client.get_schedule_handle(mine.id).describe()).info.recent_actions):
            pass
        run = client.get_workflow_handle(ran[0].action.workflow_id, result_type=Outcome)  # type: ignore[union-attr]
        assert (await run.result()).outcome == "decided"
    finally:
        await bring_about(client, replace(mine, every_s=0), queue)


async def test_how_long_procedures_took_is_remembered(rig: Rig) -> None:
    await rig.approved(await rig.scale_up(capacity_gib=2))
    timings = rig.inventory.newest_evidence(EvidenceKind.TIMING, 10)
    assert [t.observed["procedure"] for t in timings] == ["ScaleUp", "ProvisionInstance"]
    found = durations(timings)
    assert {part.value: len(values) for part, values in found.items()} == {"approval": 2, "work": 2}
    assert all(value > 0 for values in found.values() for value in values)
