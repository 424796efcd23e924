"""Take from an instance what it does not need any more, emptied and proven empty before. It serves all the time."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from freehold.models.policy import Procedure
    from freehold.models.procedure import Outcome
    from freehold.models.request import ScaleRequest
    from workflows.ends import needed
    from workflows.people import answerable
    from workflows.scaling import Scaling


@workflow.defn
@answerable
class ScaleDown:
    """Bring an active instance to less than it has. Ends at once when it already is what is asked for."""

    @workflow.init
    def __init__(self, request: ScaleRequest | None = None) -> None:
        self._scaling = Scaling(Procedure.SCALE_DOWN, needed(request))
        self.steps = self._scaling.steps

    @workflow.run
    async def run(self, request: ScaleRequest | None = None) -> Outcome:
        return await self._scaling.run()
