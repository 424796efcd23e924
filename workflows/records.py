"""What procedures write down about themselves: who approved what, and that an undo was complete."""

from __future__ import annotations

from collections.abc import Sequence

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from freehold.models.checklist import Checklist
    from freehold.models.installation import Reissue
    from freehold.models.instance import Evidence, EvidenceKind
    from freehold.models.plan import Plan
    from freehold.models.procedure import MessageRecord
    from freehold.models.request import Approve
    from freehold.models.watch import PortDeed
    from freehold.models.work import LeaseInput, StepTime


def lease(instance: str, took: Sequence[StepTime] = ()) -> LeaseInput:
    """The lease of the running procedure on an instance."""
    info = workflow.info()
    return LeaseInput(
        instance=instance,
        procedure=info.workflow_type,
        workflow_id=info.workflow_id,
        run_id=info.run_id,
        took=tuple(took),
    )


def approval_evidence(plan: Plan, approvals: Sequence[Approve], messages: Sequence[MessageRecord] = ()) -> Evidence:
    """Who approved, and everything that was said until then: who sent it, and what came of it."""
    claim = f"plan {plan.hash} was approved by {', '.join(a.operator for a in approvals)}"
    observed: dict[str, object] = {
        "plan_hash": plan.hash,
        "approvals": [a.model_dump(mode="json") for a in approvals],
        "messages": [m.model_dump(mode="json") for m in messages],
    }
    return _evidence(f"approval/{plan.hash}", plan.instance, EvidenceKind.APPROVAL, claim, observed)


def undo_evidence(plan: Plan) -> Evidence:
    devices = [*plan.switches(), *(s.server for s in plan.servers)]
    claim = "after the undo every device of the plan is as it was before"
    return _evidence("undo", plan.instance, EvidenceKind.UNDO, claim, {"plan_hash": plan.hash, "devices": devices})


def installation_evidence(instance: str, checklist: Checklist, reissued: Sequence[Reissue]) -> Evidence:
    items = [i.model_dump(mode="json", include={"id", "issue", "by", "at"}) for i in checklist.items]
    observed: dict[str, object] = {"items": items, "reissued": [r.model_dump(mode="json") for r in reissued]}
    claim = f"all {len(items)} items in the hall are done, as machines saw"
    return _evidence("installation", instance, EvidenceKind.CABLING, claim, observed)


def port_evidence(deed: PortDeed, what: str, number: int) -> Evidence:
    """That a port was closed or opened because of what is plugged there; the run's `number`th."""
    observed: dict[str, object] = {"change": deed.change.model_dump(mode="json"), "because": deed.words}
    claim = f"{deed.port} was {what}: {deed.words}"
    return _evidence(f"port/{number}", deed.instance, EvidenceKind.CABLING, claim, observed)


def removal_evidence(
    instance: str, servers: Sequence[str], checklist: Checklist, reissued: Sequence[Reissue]
) -> Evidence:
    items = [i.model_dump(mode="json", include={"id", "issue", "by", "at"}) for i in checklist.items]
    observed: dict[str, object] = {
        "servers": list(servers),
        "items": items,
        "reissued": [r.model_dump(mode="json") for r in reissued],
    }
    claim = f"{', '.join(servers)}: cables are pulled, nothing answers, and the storeroom has it back"
    return _evidence("removal", instance, EvidenceKind.CABLING, claim, observed)


def _evidence(name: str, instance: str, kind: EvidenceKind, claim: str, observed: dict[str, object]) -> Evidence:
    info = workflow.info()
    return Evidence(
        id=f"{info.run_id}/{name}",
        instance=instance,
        kind=kind,
        claim=claim,
        holds=True,
        observed=observed,
        workflow_id=info.workflow_id,
        run_id=info.run_id,
        at=workflow.now(),
    )
