"""Effects of a look at what instances need: decisions with their evidence, and the procedures that follow."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any
from urllib.parse import quote

from temporalio import activity
from temporalio.client import Client, WorkflowExecutionDescription, WorkflowExecutionStatus
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import TemporalError
from temporalio.service import RPCError, RPCStatusCode

from activities.evidence import observation
from freehold.inventory import Inventory
from freehold.metrics.own import DECISIONS, EVALUATED, WORDS
from freehold.metrics.prometheus import Prometheus
from freehold.models.evaluation import Deed, EvaluateInput, EvaluateRequest, Evaluation, Proposal, Settled, StartInput
from freehold.models.instance import Evidence, EvidenceKind
from freehold.models.policy import Procedure
from freehold.models.request import Because, ScaleRequest
from freehold.models.scaling import Action, Decision, Mode
from freehold.models.work import Changed, PlanRef
from freehold.scaling import ScalingRules
from freehold.scheduling import Decided, evaluate
from freehold.settings import Settings
from freehold.web.forecast import forecast_svg

ACTED_ON = 100
"""Proposals that one evaluation acts upon: whatever the metrics say, no more procedures than that start at once."""
ASKED_AT_ONCE = 10
TOLD = 50
"""Refusals and hindrances that are told one by one."""
WORDS_MOST = 500
PROCEDURES: dict[Action, Procedure] = {Action.UP: Procedure.SCALE_UP, Action.DOWN: Procedure.SCALE_DOWN}
VERBS = {Procedure.SCALE_UP: "scale-up", Procedure.SCALE_DOWN: "scale-down"}
RECOMMENDS = "recommend-scaling-"
OPEN = f"WorkflowType = '{Procedure.RECOMMEND}' AND ExecutionStatus = 'Running'"
DECISION = "decision"
"""In the memo of a run: the evidence that it was started for."""


class ScalingActivities:
    """Holds the inventory, the rules, and a client that starts what follows."""

    def __init__(self, inventory: Inventory, rules: ScalingRules, settings: Settings, client: Client) -> None:
        self._inventory, self._rules, self._settings, self._client = inventory, rules, settings, client

    @activity.defn
    async def open_recommendations(self, _: EvaluateRequest) -> tuple[ScaleRequest, ...]:
        """What waits for people, as far as it can be said. Reads only."""
        turn = asyncio.Semaphore(ASKED_AT_ONCE)

        async def asked(workflow_id: str) -> ScaleRequest | None:
            async with turn:
                try:
                    return await self._recommended(workflow_id)
                except (
                    RPCError,
                    TemporalError,
                ):  # it ended just now, or cannot say: it is looked at when it is in the way
                    return None

        runs = [run.id async for run in self._client.list_workflows(OPEN)]
        return tuple(filter(None, await asyncio.gather(*map(asked, runs))))

    @activity.defn
    def evaluate_instances(self, given: EvaluateInput) -> Evaluation:
        """Look at all instances, decide, and keep the reasons of what is to follow. Repeating it decides anew."""
        now = datetime.now(UTC)
        with Prometheus(self._settings.metrics_url) as prometheus:
            decided = evaluate(self._inventory, self._rules, prometheus, now, given.request.instances)
        counts = Counter(each.decision.action for each in decided)
        self._show(counts, now)
        waiting = {request.instance: request for request in given.open}
        urgent = sorted((d for d in decided if d.decision.wanted and not _is_asked(d, waiting)), key=_urgency)
        acted = urgent[:ACTED_ON]
        return Evaluation(
            counts=dict(counts),
            proposals=tuple(self._proposal(each) for each in acted),
            later=len(urgent) - len(acted),
            settled=tuple(d.decision.instance for d in decided if d.decision.instance in waiting and _is_over(d)),
            refused=_some({d.decision.instance: d.decision.summary for d in decided if _is_refused(d)}),
            hindered=_some({d.decision.instance: h for d in decided if (h := d.decision.hindered_by)}),
        )

    def _proposal(self, decided: Decided) -> Proposal:
        """What is to follow, with its reasons kept as evidence."""
        decision, request = decided.decision, decided.standing.request
        assert decision.wanted is not None
        evidence = _evidence(decision)
        self._inventory.keep_evidence(evidence)
        page = f"{self._settings.page_url}/decisions/{quote(evidence.id)}"
        because = Because(decision=evidence.id, words=_cut(decision.summary), page=page)
        return Proposal(
            instance=decision.instance,
            customer=request.customer,
            site=request.site,
            mode=decided.contract.mode,
            procedure=PROCEDURES[decision.action],
            wanted=decision.wanted.model_copy(update={"because": because}),
        )

    def _show(self, counts: Counter[Action], now: datetime) -> None:
        meter = activity.metric_meter()
        gauge = meter.create_gauge(DECISIONS, WORDS[DECISIONS])
        for action in Action:
            gauge.set(counts[action], {"decision": action})
        meter.create_gauge_float(EVALUATED, WORDS[EVALUATED]).set(now.timestamp())

    @activity.defn
    async def recommend(self, proposal: Proposal) -> Deed:
        """Ask people, unless they are asked for the same already; a wish that has changed replaces the old one."""
        workflow_id = f"{RECOMMENDS}{proposal.instance}"
        running = await self._description(workflow_id)
        if running is None or running.status is not WorkflowExecutionStatus.RUNNING:
            if running is not None and await _started_for(running, proposal.wanted):
                return Deed(workflow_id=workflow_id, changed=False, words="was asked before")
            await self._start(Procedure.RECOMMEND, workflow_id, proposal, proposal.wanted)
            return Deed(workflow_id=workflow_id, changed=True, words="asks operators")
        if _same(await self._recommended(workflow_id), proposal.wanted):
            return Deed(workflow_id=workflow_id, changed=False, words="waits for operators")
        await self._client.get_workflow_handle(workflow_id).signal("revise", proposal)
        return Deed(workflow_id=workflow_id, changed=True, words="asks operators for something else now")

    @activity.defn
    async def settle_recommendation(self, settled: Settled) -> Changed:
        """Take a recommendation back that is not needed any more; one that has ended is left alone."""
        try:
            await self._client.get_workflow_handle(f"{RECOMMENDS}{settled.instance}").signal("settle", settled)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            return Changed(changed=False)
        return Changed(changed=True)

    @activity.defn
    async def start_scaling(self, given: StartInput) -> Deed:
        """Start the procedure on its own; what is started already, for this or another decision, is not started twice.

        From then on the cool-down runs, whatever becomes of it.
        """
        proposal = given.proposal
        workflow_id = f"{VERBS[proposal.procedure]}-{proposal.instance}"
        known = await self._description(workflow_id)
        if known is not None and known.status is WorkflowExecutionStatus.RUNNING:
            return Deed(workflow_id=workflow_id, changed=False, words="runs already")
        if known is not None and await _started_for(known, proposal.wanted):
            return Deed(workflow_id=workflow_id, changed=False, words="was started before")
        wanted = proposal.wanted.model_copy(update={"requested_by": given.requested_by})
        # First: who is killed in between finds it started, and would not note it any more.
        self._inventory.note_asked(proposal.instance, datetime.now(UTC))
        await self._start(proposal.procedure, workflow_id, wanted, wanted)
        return Deed(workflow_id=workflow_id, changed=True, words="is started")

    @activity.defn
    def note_dismissed(self, given: PlanRef) -> None:
        """Leave the instance alone for its cool-down."""
        self._inventory.note_asked(given.instance, datetime.now(UTC))

    async def _start(self, procedure: Procedure, workflow_id: str, given: Any, wanted: ScaleRequest) -> None:
        await self._client.start_workflow(
            procedure,
            given,
            id=workflow_id,
            task_queue=self._settings.task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            memo={DECISION: wanted.because.decision if wanted.because else ""},
        )

    async def _recommended(self, workflow_id: str) -> ScaleRequest:
        handle = self._client.get_workflow_handle(workflow_id)
        asked: ScaleRequest = await handle.query("recommended", result_type=ScaleRequest)
        return asked

    async def _description(self, workflow_id: str) -> WorkflowExecutionDescription | None:
        try:
            return await self._client.get_workflow_handle(workflow_id).describe()
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return None
            raise


async def _started_for(known: WorkflowExecutionDescription, wanted: ScaleRequest) -> bool:
    """Whether that run came from this very decision: an activity that is repeated finds its own work done."""
    return wanted.because is not None and (await known.memo()).get(DECISION) == wanted.because.decision


def _same(one: ScaleRequest, other: ScaleRequest) -> bool:
    return one.model_copy(update={"because": None}) == other.model_copy(update={"because": None})


def _is_asked(decided: Decided, waiting: Mapping[str, ScaleRequest]) -> bool:
    """Whether people are asked for just this already: nothing follows then, and no reason is kept again."""
    asked, wanted = waiting.get(decided.decision.instance), decided.decision.wanted
    return decided.contract.mode is Mode.RECOMMEND and asked is not None and wanted is not None and _same(asked, wanted)


def _evidence(decision: Decision) -> Evidence:
    observed = {
        "decision": decision.model_dump(mode="json"),
        "plots": [forecast_svg(forecast, decision) for forecast in decision.forecasts],
    }
    name = f"scaling/{decision.instance}"
    return observation(name, decision.instance, EvidenceKind.SCALING, decision.summary, observed)


def _urgency(decided: Decided) -> tuple[bool, float, str]:
    """Bigger before smaller, and first what is soonest too late."""
    decision = decided.decision
    late = decision.too_late_at.timestamp() if decision.too_late_at else float("inf")
    return decision.action is not Action.UP, late, decision.instance


def _is_refused(decided: Decided) -> bool:
    return decided.decision.action is Action.REFUSED


def _is_over(decided: Decided) -> bool:
    """Whether the need is gone; without trustworthy metrics nobody knows."""
    return decided.decision.need is Action.NONE and not _is_refused(decided)


def _some(told: dict[str, str]) -> dict[str, str]:
    return {name: _cut(words) for name, words in islice(told.items(), TOLD)}


def _cut(words: str) -> str:
    return words if len(words) <= WORDS_MOST else f"{words[: WORDS_MOST - 1]}…"
