"""Whether approvals are from those who they say they are from."""

from __future__ import annotations

from collections.abc import Mapping

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.identities import IdentityActivities
    from freehold.models.identity import Identities, IdentityQuery
    from freehold.models.request import Approve
    from workflows import policies
    from workflows.calls import call


async def identify(plan_hash: str) -> Identities:
    info = workflow.info()
    given = IdentityQuery(workflow_id=info.workflow_id, run_id=info.run_id, plan_hash=plan_hash)
    return await call(IdentityActivities.identify, given, **policies.QUICK)


def not_theirs(approvals: Mapping[str, Approve], found: Identities) -> tuple[str, ...]:
    """Keys of the approvals that do not count: claimed by others, by no approver, or by who started the run."""
    starter = found.started_by.strip().casefold()
    return tuple(key for key in approvals if key not in found.approvers or key == starter)
