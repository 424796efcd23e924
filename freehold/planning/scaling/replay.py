"""A history as it would have been read at each of its moments."""

from __future__ import annotations

import bisect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from freehold.models.request import InstanceRequest
from freehold.models.scaling import Measure
from freehold.models.scaling_policy import DataRules, Pace, ScalingPolicy
from freehold.models.units import GIB
from freehold.models.usage import Observed, Series, Usage
from freehold.planning.scaling.traces import CAPACITY, STEP_S, Trace
from freehold.services.base import Size

TRACE_GIB = 20_000
"""Of an instance whose traces are simulated: enough for the number of its servers to follow its capacity."""


@dataclass(frozen=True)
class History:
    """What was seen of an instance over a long time, and what was truly needed."""

    name: str
    request: InstanceRequest
    """What it was at the beginning."""
    step_s: float
    begins_at: float
    """From then on a policy decides; what was before is what it learns from."""
    seen: Mapping[Measure, Series]
    true: Mapping[Measure, Series]
    """All with the same times."""

    @cached_property
    def times(self) -> Sequence[float]:
        return next(iter(self.true.values())).times


def history_of(trace: Trace, request: InstanceRequest) -> History:
    """A trace as the stored bytes of an instance with that capacity. Its requests ask for nothing."""
    unit = request.capacity_gib * GIB / CAPACITY

    def stored(series: Series) -> Mapping[Measure, Series]:
        return {Measure.STORED: Series(series.times, tuple(v * unit for v in series.values))}

    return History(trace.name, request, STEP_S, trace.begins_at, stored(trace.seen), stored(trace.true))


def carried(size: Size, measure: Measure) -> float:
    return size.requests_per_s if measure is Measure.REQUESTS else float(size.request.capacity_gib * GIB)


def usage_at(history: History, rules: DataRules, up_s: float, size: Size, now: float) -> Usage:
    """What would have been read at `now`. What the history does not say is in the middle, and asks for nothing."""
    ends = _ends(now, rules)
    measures: dict[Measure, Observed] = {}
    coverage: Series | None = None
    for measure, series in history.seen.items():
        recent = _between(series, now - up_s - history.step_s, now)
        peaks, shares = _peaks(series, ends, rules.peak_step_s, history.step_s)
        measures[measure] = Observed(recent, peaks)
        coverage = coverage or shares
    some = next(iter(measures.values()))
    if Measure.REQUESTS not in measures:
        measures[Measure.REQUESTS] = _level(some, 0.5 * size.requests_per_s)
    if Measure.DISK not in measures and Measure.STORED in measures:
        measures[Measure.DISK] = _scaled(measures[Measure.STORED], 1 / carried(size, Measure.STORED))
    if Measure.CPU not in measures:
        measures[Measure.CPU] = (
            _scaled(measures[Measure.REQUESTS], 0.9 / size.requests_per_s) if size.requests_per_s else some
        )
    return Usage(read_at=now, measures=measures, coverage=coverage or Series())


def fitted(policy: ScalingPolicy, step_s: float) -> ScalingPolicy:
    """The policy for a history that is coarser than what it would read: its windows are no shorter than a step."""
    data = policy.data
    update = {
        "step_s": max(data.step_s, int(step_s)),
        "peak_step_s": max(data.peak_step_s, int(step_s)),
        "most_age_s": max(data.most_age_s, int(2 * step_s)),
    }
    up = Pace(window_s=max(policy.up.window_s, int(step_s)), cool_down_s=policy.up.cool_down_s)
    return policy.model_copy(update={"data": data.model_copy(update=update), "up": up})


def _ends(now: float, rules: DataRules) -> tuple[float, ...]:
    count = int(rules.history_s / rules.peak_step_s)
    return tuple(now - rules.peak_step_s * i for i in range(count - 1, -1, -1))


def _between(series: Series, after: float, until: float) -> Series:
    a, b = bisect.bisect_right(series.times, after), bisect.bisect_right(series.times, until)
    return Series(series.times[a:b], series.values[a:b])


def _peaks(series: Series, ends: tuple[float, ...], peak_step_s: float, step_s: float) -> tuple[Series, Series]:
    """The peak of each step that has a value, and the share of each step that was seen."""
    expected = max(1, int(peak_step_s / step_s))
    times, peaks, shares = [], [], []
    for end in ends:
        within = _between(series, end - peak_step_s, end).values
        known = [v for v in within if math.isfinite(v)]
        shares.append(min(1.0, len(known) / expected))
        if known:
            times.append(end)
            peaks.append(max(known))
    return Series(times, peaks), Series(ends, shares)


def _level(like: Observed, value: float) -> Observed:
    return Observed(*(Series(s.times, [value] * len(s.times)) for s in (like.recent, like.peaks)))


def _scaled(seen: Observed, factor: float) -> Observed:
    return Observed(*(Series(s.times, [min(1.0, v * factor) for v in s.values]) for s in (seen.recent, seen.peaks)))
