"""Writing down what an activity observed, with the run that it belongs to."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from temporalio import activity

from freehold.models.instance import Evidence, EvidenceKind


def observation(
    name: str, instance: str, kind: EvidenceKind, claim: str, observed: dict[str, Any], *, holds: bool = True
) -> Evidence:
    """`name` tells it from what else the same run observes; kept twice under it, only the first stands."""
    info = activity.info()
    return Evidence(
        id=f"{info.workflow_run_id}/{name}",
        instance=instance,
        kind=kind,
        claim=claim,
        holds=holds,
        observed=observed,
        workflow_id=info.workflow_id or "",
        run_id=info.workflow_run_id or "",
        at=datetime.now(UTC),
    )
