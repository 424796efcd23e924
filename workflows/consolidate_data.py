"""Take named servers out of an instance, emptied and proven empty before. It serves all the time."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from freehold.models.policy import Procedure
    from freehold.models.procedure import Outcome
    from freehold.models.request import ConsolidateRequest
    from workflows.ends import needed
    from workflows.people import answerable
    from workflows.scaling import Scaling


@workflow.defn
@answerable
class ConsolidateData:
    """Drain servers of an active instance: others take their place, and what leaves is proven to hold nothing."""

    @workflow.init
    def __init__(self, request: ConsolidateRequest | None = None) -> None:
        self._scaling = Scaling(Procedure.CONSOLIDATE, needed(request).as_scaling())
        self.steps = self._scaling.steps

    @workflow.run
    async def run(self, request: ConsolidateRequest | None = None) -> Outcome:
        return await self._scaling.run()
