"""Instances and what was observed of them, for the tests of decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from freehold.models.request import InstanceRequest
from freehold.models.scaling import Contract, Decision, LeadTime, Measure, Mode, Standing
from freehold.models.scaling_policy import ScalingPolicy
from freehold.models.units import DAY_S, GIB
from freehold.models.usage import Observed, Series, Usage
from freehold.planning.scaling.decision import decide
from freehold.services import service

NOW = 1_770_000_000.0
POLICY = ScalingPolicy()
LEAD = LeadTime(usual_s=10 * DAY_S, late_s=14 * DAY_S)
CAPACITY_GIB = 100
CARRIES = {Measure.STORED: float(CAPACITY_GIB * GIB), Measure.REQUESTS: 60.0, Measure.CPU: 1.0, Measure.DISK: 1.0}
DAYS = POLICY.data.history_s // DAY_S
ENDS = tuple(NOW - DAY_S * i for i in range(DAYS - 1, -1, -1))
LATELY = tuple(NOW - 300.0 * i for i in range(6, -1, -1))
HALF = dict.fromkeys(CARRIES, 0.5)


def request(**given: Any) -> InstanceRequest:
    values = {"instance": "acme-1", "customer": "acme", "site": "north", "capacity_gib": CAPACITY_GIB, **given}
    return InstanceRequest(requested_by="olga", **values)


def observed(measure: Measure, now: float, peaks: Sequence[float] | None = None) -> Observed:
    """Shares of what the instance carries: the last half hour, and a peak for each day."""
    unit = CARRIES[measure]
    days = [now] * DAYS if peaks is None else list(peaks)
    return Observed(
        Series(LATELY, [now * unit] * len(LATELY)), Series(ENDS[DAYS - len(days) :], [share * unit for share in days])
    )


def usage(shares: Mapping[Measure, float] = HALF, **given: Any) -> Usage:
    """Every measure as full as that, always."""
    return replace(Usage(NOW, {m: observed(m, share) for m, share in {**HALF, **shares}.items()}), **given)


def seen(measure: Measure, what: Observed, others: Usage | None = None) -> Usage:
    """One measure like this, the others half full."""
    base = others or usage()
    return replace(base, measures={**base.measures, measure: what})


def decided(
    what: Usage,
    *,
    policy: ScalingPolicy = POLICY,
    contract: Contract = Contract(mode=Mode.APPROVE),
    lead: LeadTime = LEAD,
    now: float = NOW,
    changed_at: float = NOW - 90 * DAY_S,
    held_by: str = "",
    **of_request: Any,
) -> Decision:
    standing = Standing(
        request=request(**of_request), changed_at=datetime.fromtimestamp(changed_at, UTC), held_by=held_by
    )
    chosen = service("object-storage")
    return decide(chosen, standing, what, policy, contract, lead, datetime.fromtimestamp(now, UTC))
