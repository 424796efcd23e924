"""Freehold's own metrics, as Prometheus scrapes them: procedures, people who are waited for, failures."""

from __future__ import annotations

import asyncio
import urllib.request
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from temporalio.client import WorkflowFailureError, WorkflowHandle, WorkflowQueryFailedError
from temporalio.runtime import Runtime

from freehold.metrics.own import OWN, PROCEDURES, WAITING, WAITING_LONGEST, Gauges
from freehold.stack.client import connect, metrics_runtime
from tests.conftest import TemporalServer
from tests.workflows.rig import Rig, running_rig, until_waiting
from workers.gauges import AGES, ProcedureGauges, word_of


@pytest.fixture(scope="module")
def runtime(temporal: TemporalServer) -> Runtime:
    return metrics_runtime(temporal.settings)


@pytest.fixture
async def rig(temporal: TemporalServer, runtime: Runtime, tmp_path: Path) -> AsyncIterator[Rig]:
    client = await connect(temporal.settings, "test", runtime=runtime)
    async with running_rig(client, tmp_path) as made:
        yield made


def scraped(server: TemporalServer, name: str, **labels: str) -> dict[frozenset[tuple[str, str]], float]:
    """Samples with these labels, and what else they bear."""
    url = f"http://127.0.0.1:{server.settings.worker_metrics_port}/metrics"
    with urllib.request.urlopen(url, timeout=10) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    samples = [s for family in families for s in family.samples if s.name == name]
    found = [s for s in samples if labels.items() <= s.labels.items()]
    return {frozenset(s.labels.items()): s.value for s in found}


async def test_procedures_and_waits_are_counted(temporal: TemporalServer, runtime: Runtime, rig: Rig) -> None:
    gauges = ProcedureGauges(rig.client, Gauges(runtime.metric_meter), ["ProvisionInstance", "ScaleUp"])
    run = await rig.provision()
    await until_waiting(run)
    waits: dict[frozenset[tuple[str, str]], float] = {}
    while not waits:  # the server lists it a moment later
        await gauges.look()
        waits = {k: v for k, v in scraped(temporal, WAITING, whom="approvers").items() if v >= 1}
    assert all(("age", "under an hour") in labels for labels in waits)
    (longest,) = scraped(temporal, WAITING_LONGEST, whom="approvers").values()
    assert 0 < longest < 600
    (running,) = scraped(temporal, PROCEDURES, procedure="ProvisionInstance", status="Running").values()
    assert running >= 1
    await run.execute_update("reject", {"operator": "amir"})
    await run.result()
    while max(scraped(temporal, WAITING, whom="approvers").values()) == max(waits.values()):
        await gauges.look()  # what is over is zero, as soon as the server lists it no more
    (now,) = scraped(temporal, PROCEDURES, procedure="ProvisionInstance", status="Running").values()
    assert now == running - 1


async def test_a_run_that_does_not_answer_has_waited_since_it_was_started(
    runtime: Runtime, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever keeps it from answering, the others are counted."""

    async def broken(*_: object, **__: object) -> None:
        raise WorkflowQueryFailedError("its code has changed")

    run = await rig.provision()
    await until_waiting(run)
    gauges = ProcedureGauges(rig.client, Gauges(runtime.metric_meter), ["ProvisionInstance"])
    monkeypatch.setattr(WorkflowHandle, "query", broken)
    while not await gauges.waiting():
        await asyncio.sleep(0.05)
    monkeypatch.undo()
    await run.execute_update("reject", {"operator": "amir"})
    await run.result()


async def test_failed_attempts_are_counted(temporal: TemporalServer, rig: Rig) -> None:
    with pytest.raises(WorkflowFailureError):
        await (await rig.provision(customer="nobody")).result()
    found = scraped(temporal, "freehold_activity_failures_total", activity="place")
    assert sum(found.values()) == 1
    assert {dict(labels)["error"] for labels in found} <= {"BadInput", "NotFound", "CannotPlace"}


@pytest.mark.parametrize(("age_s", "word"), [(0, "under an hour"), (7200, "under a day"), (10**7, "over a day")])
def test_ages_have_words(age_s: float, word: str) -> None:
    assert word_of(age_s) == word
    assert word in {each for _, each in AGES}


async def test_evaluations_and_drift_are_told(temporal: TemporalServer, rig: Rig) -> None:
    from freehold.models.evaluation import EvaluateRequest
    from freehold.models.watch import WatchRequest

    queue = rig.parts.settings.task_queue
    await (await rig.start("EvaluateScaling", f"evaluate-{queue}", EvaluateRequest())).result()
    await (await rig.start("WatchCables", f"watch-{queue}", WatchRequest(every_s=1, for_s=0))).result()
    (at,) = scraped(temporal, "freehold_scaling_evaluated_timestamp_seconds").values()
    assert timedelta() <= datetime.now(UTC) - datetime.fromtimestamp(at, UTC) < timedelta(minutes=2)
    assert set(scraped(temporal, "freehold_drift", what="cables").values()) == {0}
    told = {name for name in OWN if scraped(temporal, name)}
    assert {"freehold_scaling_decisions", "freehold_drift"} <= told
