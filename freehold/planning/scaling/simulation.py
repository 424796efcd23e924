"""What a policy would have done in a history: when it would have scaled, at what cost, how often too late."""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise

from pydantic import Field

from freehold.errors import BadInput
from freehold.models.base import Choice, Model
from freehold.models.request import InstanceRequest, ScaleRequest
from freehold.models.scaling import Action, Contract, Decision, LeadTime, Measure, Mode, Standing
from freehold.models.scaling_policy import ScalingPolicy
from freehold.models.units import DAY_S
from freehold.models.usage import Series
from freehold.planning.scaling.choice import spend
from freehold.planning.scaling.decision import decide
from freehold.planning.scaling.perfect import foreknown
from freehold.planning.scaling.replay import History, carried, usage_at
from freehold.planning.scaling.words import when
from freehold.services.base import Demand, Service, Size


class Way(Choice):
    """What decides."""

    FORECAST = "forecast"  # the policy
    THRESHOLDS = "thresholds"  # the same policy without a forecast
    PERFECT = "perfect"  # somebody who knows the future


class Step(Model):
    """One change of size in a simulation."""

    decided_at: datetime
    action: Action
    effect_at: datetime
    wanted: ScaleRequest
    late: bool = Field(description="whether it was full before the change had its effect")
    summary: str


class Outcome(Model):
    """What became of one history under one way of deciding."""

    trace: str
    policy: Way
    decided_at: datetime | None = Field(description="when it first decided to grow; empty: never")
    ideal_at: datetime | None = Field(description="when growing had to be decided at the latest; empty: never")
    short_share: float = Field(description="share of the time in which more was needed than may be used")
    cost_ratio: float = Field(description="what it cost, of what it costs somebody who knows the future")
    cost: float = Field(description="in the currency of the prices")
    steps: tuple[Step, ...] = ()
    late: int = Field(default=0, description="changes that came too late")
    refused_share: float = Field(default=0.0, description="share of the evaluations in which nothing could be decided")


@dataclass(frozen=True)
class Trial:
    """The circumstances in which ways of deciding are compared."""

    chosen: Service
    policy: ScalingPolicy
    lead: LeadTime
    contract: Contract = field(default_factory=lambda: Contract(mode=Mode.AUTOMATIC))
    every_s: float = DAY_S
    down_lead_s: float = DAY_S
    """Nothing has to be delivered and mounted to become smaller."""


Sizes = list[tuple[float, Size]]
"""From when on the instance has that size."""


def simulate(history: History, trial: Trial) -> tuple[tuple[Outcome, Sizes], ...]:
    """All three ways on the same history."""
    known = foreknown(history, trial.chosen, trial.policy)
    plain = trial.policy.model_copy(update={"forecast": trial.policy.forecast.model_copy(update={"enabled": False})})
    perfect = _outcome(history, trial, Way.PERFECT, known, (), 0.0, None)
    found = [(perfect, known)]
    for way, policy in ((Way.FORECAST, trial.policy), (Way.THRESHOLDS, plain)):
        sizes, steps, refused = _replay(history, trial, policy)
        found.append((_outcome(history, trial, way, sizes, steps, refused, perfect.cost), sizes))
    return tuple(sorted(found, key=lambda each: list(Way).index(each[0].policy)))


def _replay(history: History, trial: Trial, policy: ScalingPolicy) -> tuple[Sizes, tuple[Step, ...], float]:
    """Every evaluation in its turn. A change under way holds the instance, as the procedure would."""
    sizes: Sizes = [(history.begins_at, trial.chosen.size(history.request))]
    steps: list[Step] = []
    now, changed_at, busy_until, refused, count = history.begins_at, history.times[0], 0.0, 0, 0
    while now <= history.times[-1]:
        size = sizes[-1][1] if now >= sizes[-1][0] else sizes[-2][1]
        standing = Standing(
            request=size.request, changed_at=when(changed_at), held_by="a change" if now < busy_until else ""
        )
        if not standing.held_by:
            made = _decide(history, trial, policy, standing, size, now)
            count, refused = count + 1, refused + (made.action is Action.REFUSED)
            if made.wanted is not None:
                lead_s = trial.lead.usual_s if made.action is Action.UP else trial.down_lead_s
                changed_at = busy_until = now + lead_s
                sizes.append((busy_until, trial.chosen.size(made.wanted.applied_to(size.request))))
                steps.append(_step(history, policy, made, size, now, busy_until))
        now += trial.every_s
    return sizes, tuple(steps), refused / max(1, count)


def _decide(
    history: History, trial: Trial, policy: ScalingPolicy, standing: Standing, size: Size, now: float
) -> Decision:
    usage = usage_at(history, policy.data, policy.up.window_s, size, now)
    return decide(trial.chosen, standing, usage, policy, trial.contract, trial.lead, when(now))


def _step(history: History, policy: ScalingPolicy, made: Decision, size: Size, now: float, effect_at: float) -> Step:
    assert made.wanted is not None
    return Step(
        decided_at=made.at,
        action=made.action,
        effect_at=when(effect_at),
        wanted=made.wanted,
        late=made.action is Action.UP and any(_short(history, policy, size, now, effect_at)),
        summary=made.summary,
    )


def _outcome(
    history: History,
    trial: Trial,
    way: Way,
    sizes: Sizes,
    steps: tuple[Step, ...],
    refused: float,
    perfect_cost: float | None,
) -> Outcome:
    ends = [at for at, _ in sizes[1:]] + [history.times[-1]]
    short = sum(sum(_short(history, trial.policy, size, at, end)) for (at, size), end in zip(sizes, ends, strict=True))
    months = [(end - at) / (30 * DAY_S) for (at, _), end in zip(sizes, ends, strict=True)]
    cost = sum(spend(size, trial.policy.prices) * m for (_, size), m in zip(sizes, months, strict=True))
    ideal = ideal_at(history, trial)
    grown = next((step.decided_at for step in steps if step.action is Action.UP), None)
    return Outcome(
        trace=history.name,
        policy=way,
        decided_at=ideal if way is Way.PERFECT else grown,
        ideal_at=ideal,
        short_share=round(short / max(1.0, history.times[-1] - history.begins_at), 4),
        cost_ratio=round(cost / (perfect_cost or cost), 3),
        cost=round(cost, 2),
        steps=steps,
        late=sum(step.late for step in steps),
        refused_share=round(refused, 4),
    )


def ideal_at(history: History, trial: Trial) -> datetime | None:
    """The latest moment to decide so that the first size is never overfull; empty: it never is."""
    first = trial.chosen.size(history.request)
    at = next((t for t, full in _overfull(history, trial.policy, first) if full and t >= history.begins_at), None)
    return None if at is None else when(max(history.begins_at, at - trial.lead.usual_s))


def _short(history: History, policy: ScalingPolicy, size: Size, begins: float, ends: float) -> Iterator[float]:
    """Seconds within a time in which more was needed than this size may be used for."""
    first = bisect.bisect_left(history.times, begins)
    last = bisect.bisect_right(history.times, ends)
    full = list(_overfull(history, policy, size, max(0, first - 1), last))
    for (at, _), (until, is_full) in pairwise(full):
        if is_full:
            yield max(0.0, min(until, ends) - max(at, begins))


def _overfull(
    history: History, policy: ScalingPolicy, size: Size, first: int = 0, last: int | None = None
) -> Iterator[tuple[float, bool]]:
    limits: Mapping[Measure, float] = {
        Measure.STORED: carried(size, Measure.STORED) * policy.stored.full_at,
        Measure.REQUESTS: carried(size, Measure.REQUESTS) * policy.requests.full_at,
    }
    true: list[tuple[Series, float]] = [(s, limits[m]) for m, s in history.true.items() if m in limits]
    for i in range(first, len(history.times) if last is None else last):
        yield history.times[i], any(series.values[i] > limit for series, limit in true)


def sized(chosen: Service, service: str, tier: str, capacity_gib: int, requests_per_s: float = 0.0) -> InstanceRequest:
    """An instance for simulations only: as small as that allows. Raises BadInput when there is none."""
    request = InstanceRequest(
        instance="simulated",
        customer="simulated",
        site="simulated",
        service=service,
        tier=tier,
        capacity_gib=capacity_gib,
        requested_by="simulation",
    )
    least = chosen.size(request)
    demand = Demand(capacity_gib=capacity_gib, requests_per_s=max(requests_per_s, least.requests_per_s))
    found = chosen.size_for(request, demand, (tier,))
    if found is None:
        raise BadInput(
            f"tier {tier!r} of {service} cannot carry {capacity_gib:,} GiB and {requests_per_s:,.4g} requests a second"
        )
    return found.request
