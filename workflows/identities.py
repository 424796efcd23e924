"""Who a message is from: asked of the history and the accounts for every message, before it has any effect."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.identities import IdentityActivities
    from freehold.models.identity import Identities, IdentityQuery
    from freehold.models.plan import Plan
    from workflows import policies
    from workflows.calls import call


@dataclass(frozen=True)
class Sender:
    """Behind one message of those that were asked for together."""

    ref: str
    found: Identities

    @property
    def identity(self) -> str:
        return self.found.senders.get(self.ref, "")


async def identify(refs: Iterable[str], names: Iterable[str], plan: Plan | None) -> Identities:
    info = workflow.info()
    given = IdentityQuery(
        workflow_id=info.workflow_id,
        run_id=info.run_id,
        procedure=info.workflow_type,
        service=plan.request.service if plan else "",
        tier=plan.request.tier if plan else "",
        refs=tuple(refs),
        names=tuple(dict.fromkeys(names)),
    )
    return await call(IdentityActivities.identify, given, summary="who sent it", **policies.QUICK)
