"""What instances need is looked up, decided and set going; nothing that follows is waited for."""

from __future__ import annotations

import asyncio
from functools import partial

from temporalio import workflow
from temporalio.exceptions import FailureError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.scaling import ScalingActivities
    from freehold.models.evaluation import (
        Deed,
        EvaluateInput,
        EvaluateRequest,
        Evaluation,
        Proposal,
        Settled,
        StartInput,
    )
    from freehold.models.procedure import Outcome
    from freehold.models.scaling import Action, Mode
    from workflows import policies
    from workflows.calls import call
    from workflows.ends import explain
    from workflows.people import answerable
    from workflows.steps import Steps

DECIDE, ACT, TELL = "decide", "set going", "take back what is not needed"
SHOWN = 5


@workflow.defn
@answerable
class EvaluateScaling:
    """Look at what every instance needs, decide for each, and start what follows on its own."""

    @workflow.init
    def __init__(self, request: EvaluateRequest | None = None) -> None:
        self._request = request or EvaluateRequest()
        self.steps = Steps("EvaluateScaling", "all instances", "all customers", "", "the schedule")

    @workflow.run
    async def run(self, request: EvaluateRequest | None = None) -> Outcome:
        self.steps.expect(DECIDE, ACT, TELL)
        return await self.steps.through(self._evaluate, self._outcome)

    async def _evaluate(self) -> Outcome:
        found = await self.steps.do(DECIDE, self._decide, park=False)
        self.steps.note(DECIDE, _words(found))
        deeds = await self.steps.do(ACT, partial(self._act, found.proposals), park=False)
        self.steps.note(ACT, "; ".join(deeds[:SHOWN]))
        await self.steps.do(TELL, partial(self._settle, found.settled), park=False)
        await self.steps.finish("decided")
        return self._outcome("decided", _words(found)).model_copy(update={"details": {"deeds": deeds}})

    async def _decide(self) -> Evaluation:
        waiting = await call(ScalingActivities.open_recommendations, self._request, **policies.QUICK)
        given = EvaluateInput(request=self._request, open=waiting)
        return await call(ScalingActivities.evaluate_instances, given, **policies.EVALUATION)

    async def _act(self, proposals: tuple[Proposal, ...]) -> list[str]:
        """Each on its own: what cannot be started now is proposed again by the next evaluation."""
        return list(await asyncio.gather(*map(self._one, proposals)))

    async def _one(self, proposal: Proposal) -> str:
        try:
            deed = await self._deed(proposal)
        except FailureError as error:
            if is_cancelled_exception(error):
                raise
            return f"{proposal.instance}: could not be set going: {explain(error)}"
        return f"{deed.workflow_id} {deed.words}"

    async def _deed(self, proposal: Proposal) -> Deed:
        if proposal.mode is Mode.RECOMMEND:
            return await call(ScalingActivities.recommend, proposal, summary=proposal.instance, **policies.QUICK)
        given = StartInput(proposal=proposal, requested_by=proposal.wanted.requested_by)
        return await call(ScalingActivities.start_scaling, given, summary=proposal.instance, **policies.QUICK)

    async def _settle(self, instances: tuple[str, ...]) -> None:
        for instance in instances:
            settled = Settled(instance=instance, words="its figures do not ask for it any more")
            await call(ScalingActivities.settle_recommendation, settled, summary=instance, **policies.QUICK)

    def _outcome(self, outcome: str, reason: str = "") -> Outcome:
        return Outcome(instance="all instances", outcome=outcome, reason=reason)


def _words(found: Evaluation) -> str:
    """How many are to grow, to shrink, to stay, and about which nothing can be said, and why."""
    if not found.counts:
        return "nothing to decide: no instance that nobody works on has a contract (freehold instance scaling --help)"
    parts = [f"{found.counts.get(action, 0)} {what}" for action, what in _COUNTED]
    told = [f"{name}: {words}" for name, words in (found.refused | found.hindered).items()]
    more = f"; {found.later} more are to follow later" if found.later else ""
    return "; ".join([", ".join(parts) + more, *told[:SHOWN]])


_COUNTED = (
    (Action.UP, "to grow"),
    (Action.DOWN, "to shrink"),
    (Action.NONE, "stay as they are"),
    (Action.REFUSED, "cannot be decided"),
)
