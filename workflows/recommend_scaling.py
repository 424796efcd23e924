"""A change that the figures ask for is laid before people, who start it or let it be."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.scaling import ScalingActivities
    from freehold.models.evaluation import Deed, Proposal, Settled, StartInput
    from freehold.models.procedure import Outcome
    from freehold.models.request import Abort, Accept, ScaleRequest
    from freehold.models.work import PlanRef
    from workflows import policies
    from workflows.calls import call
    from workflows.ends import Undone, needed
    from workflows.people import Said, answerable
    from workflows.steps import Steps

DECISION, START = "decision of operators", "start the procedure"


@workflow.defn
@answerable
class RecommendScaling:
    """Ask operators whether an instance shall change its size. Nothing is reserved and nothing is touched."""

    @workflow.init
    def __init__(self, proposal: Proposal | None = None) -> None:
        self._proposal = needed(proposal)
        self._revised = False
        self._settled: Settled | None = None
        given = self._proposal
        self.steps = Steps("RecommendScaling", given.instance, given.customer, given.site, given.wanted.requested_by)
        self.steps.because(given.wanted.because)
        self.steps.people.other_signals |= {"revise": self._revise, "settle": self._settle}

    @workflow.run
    async def run(self, proposal: Proposal | None = None) -> Outcome:
        self.steps.expect(DECISION, START)
        return await self.steps.through(self._recommend, self._outcome)

    @workflow.query
    def recommended(self) -> ScaleRequest:
        """What is recommended now."""
        return self._proposal.wanted

    async def _recommend(self) -> Outcome:
        said = await self.steps.do(DECISION, self._asked, park=False)
        if said is None:
            assert self._settled is not None
            return await self._end("not needed any more", self._settled.words)
        if isinstance(said, Abort):
            raise Undone("aborted", f"{said.operator} aborted it")
        if not isinstance(said, Accept):
            await call(ScalingActivities.note_dismissed, PlanRef(instance=self._proposal.instance), **policies.QUICK)
            return await self._end("dismissed", f"{said.operator}: {said.comment}" if said.comment else said.operator)
        deed = await self.steps.do(START, lambda: self._start(said.operator))
        return await self._end("accepted", f"{deed.workflow_id} {deed.words}")

    async def _asked(self) -> Said | None:
        """What people say; None when the figures do not ask for it any more."""
        until = workflow.now() + policies.RECOMMENDED_FOR
        while self._settled is None:
            self._revised = False
            said = await self.steps.wait_for_hands(
                "operators", self._words(), until, ("accept", "dismiss"), self._over, kind="recommendation"
            )
            if said is not None:
                return said
        return None

    def _over(self) -> bool:
        return self._revised or self._settled is not None

    async def _start(self, operator: str) -> Deed:
        given = StartInput(proposal=self._proposal, requested_by=operator)
        return await call(ScalingActivities.start_scaling, given, **policies.QUICK)

    async def _end(self, outcome: str, reason: str) -> Outcome:
        await self.steps.finish(outcome)
        return self._outcome(outcome, reason)

    def _words(self) -> str:
        wanted = self._proposal.wanted
        asked = wanted.model_dump(exclude={"instance", "requested_by", "because"}, exclude_defaults=True)
        change = ", ".join(f"{name} {value}" for name, value in asked.items())
        because = f": {wanted.because.words}" if wanted.because else ""
        return f"{self._proposal.procedure} to {change} is recommended{because}"

    def _revise(self, given: Any) -> None:
        try:
            self._proposal = Proposal.model_validate(given)
        except ValidationError:
            return  # from somebody who does not know what is said here
        self.steps.because(self._proposal.wanted.because)
        self._revised = True

    def _settle(self, given: Any) -> None:
        try:
            self._settled = Settled.model_validate(given)
        except ValidationError:
            return

    def _outcome(self, outcome: str, reason: str = "") -> Outcome:
        return Outcome(instance=self._proposal.instance, outcome=outcome, reason=reason)
