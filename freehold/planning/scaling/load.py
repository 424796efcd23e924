"""How much an instance has to do: shares of what it carries, over the windows of the policy."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from freehold.models.scaling import Measure
from freehold.models.scaling_policy import ScalingPolicy, Thresholds
from freehold.models.units import GIB
from freehold.models.usage import Observed, Series, Usage
from freehold.planning.scaling.trust import within
from freehold.planning.scaling.words import moment, percent, span
from freehold.services.base import Size


@dataclass(frozen=True)
class Load:
    """One measure against what the instance carries of it."""

    measure: Measure
    carries: float
    thresholds: Thresholds
    of_web: bool
    """Whether web servers carry it, else it is storage."""
    usage: Usage
    policy: ScalingPolicy
    now: float

    @property
    def seen(self) -> Observed:
        return self.usage.measures.get(self.measure, Observed())

    @cached_property
    def lately(self) -> list[float]:
        """Shares in the window after which an instance grows; empty where nothing was seen of late."""
        rules = self.policy.data
        after, until = self.now - self.policy.up.window_s - rules.step_s, self.now + rules.most_skew_s
        return [value / self.carries for _, value in within(self.seen.recent, after, until)]

    @property
    def least(self) -> float:
        return min(self.lately, default=0.0)

    @cached_property
    def most(self) -> float:
        """The greatest share in the window after which an instance shrinks."""
        peaks = (v / self.carries for _, v in self._low_window() if math.isfinite(v))
        return max((*self.lately, *peaks), default=0.0)

    def presses(self, symptoms: bool) -> bool:
        """Whether it was too much all the time. What customers feel lets it count when it is only near."""
        margin = -self.thresholds.tolerance if symptoms else self.thresholds.tolerance
        return bool(self.lately) and self.least > self.thresholds.up_at + margin

    @property
    def is_low(self) -> bool:
        """Whether it was little all the time, and that is known of the whole time."""
        return self.most < self.thresholds.down_at - self.thresholds.tolerance and not self.unknown

    @cached_property
    def unknown(self) -> str:
        """Why it is not known that it was little all the time; empty: it is known. A gap is no low use."""
        rules, window_s = self.policy.data, self.policy.down.window_s
        steps = self._low_window()
        if any(not math.isfinite(value) for _, value in steps):
            return f"{self.measure} was not always a figure in the last {span(window_s)}"
        # A peak tells of the step before its time; the recent values tell of what came after the newest.
        whole = [at for at, _ in steps if at not in self._seldom_seen]
        known_from = [at - rules.peak_step_s for at in whole] + [self.now - self.policy.up.window_s - rules.step_s]
        known_until = [self.now - window_s, *whole]
        holes = [(a, b) for a, b in zip(known_until, known_from, strict=True) if b - a > rules.peak_step_s / 2]
        if holes:
            begin, end = holes[-1]
            return (
                f"{self.measure} was not seen well enough from {moment(begin)} to {moment(end)}; "
                "what was not seen is not taken for little"
            )
        return ""

    def _low_window(self) -> list[tuple[float, float]]:
        until = self.now + self.policy.data.peak_step_s  # the newest may be of a step that is not over
        return within(self.seen.peaks, self.now - self.policy.down.window_s, until)

    @cached_property
    def _seldom_seen(self) -> set[float]:
        seen, least, step_s = self.usage.coverage, self.policy.data.least_coverage, self.policy.data.peak_step_s
        if all(map(least.__le__, seen.values)):
            return set()
        shares = zip(seen.times, seen.values, strict=True)
        # Of a step that is not over, no more than what is over can have been seen.
        return {at for at, share in shares if not share >= least * (1 - max(0.0, at - self.now) / step_s)}

    def history(self) -> Series:
        """Peaks to learn from: of steps that are over and were seen well, and without NaN."""
        peaks = zip(self.seen.peaks.times, self.seen.peaks.values, strict=True)
        until, seldom = self.now + self.policy.data.most_skew_s, self._seldom_seen
        kept = [(t, v) for t, v in peaks if t <= until and math.isfinite(v) and v >= 0 and t not in seldom]
        return Series([t for t, _ in kept], [v for _, v in kept])

    def words(self) -> str:
        """How much it was, and where that stands."""
        t, window_s = self.thresholds, self.policy.up.window_s
        if not self.lately:
            return f"{self.measure}: nothing was seen of late"
        low, high = percent(self.least), percent(max(self.lately))
        spread = low if low == high else f"{low} to {high}"
        return (
            f"{self.measure}: {spread} of {self.carried()} in the last {span(window_s)}, at most {percent(self.most)} "
            f"in the last {span(self.policy.down.window_s)}; bigger above {percent(t.up_at)}, smaller below "
            f"{percent(t.down_at)}, each by {percent(t.tolerance)}"
        )

    def carried(self) -> str:
        match self.measure:
            case Measure.STORED:
                return f"{self.carries / GIB:,.4g} GiB"
            case Measure.REQUESTS:
                return f"{self.carries:,.4g}"
            case _:
                return "what there is"


def loads(size: Size, usage: Usage, policy: ScalingPolicy, now: float) -> Iterator[Load]:
    """What can ask for another size; a measure that the service does not limit asks for nothing."""
    for measure, carries, thresholds, of_web in (
        (Measure.STORED, float(size.request.capacity_gib * GIB), policy.stored, False),
        (Measure.DISK, 1.0, policy.disk, False),
        (Measure.REQUESTS, size.requests_per_s, policy.requests, True),
        (Measure.CPU, 1.0, policy.cpu, True),
    ):
        if carries > 0:
            yield Load(measure, carries, thresholds, of_web, usage, policy, now)


def symptoms(usage: Usage, policy: ScalingPolicy, now: float) -> tuple[str, ...]:
    """What customers feel now, in words."""
    after, until = now - policy.up.window_s - policy.data.step_s, now + policy.data.most_skew_s

    def middle(measure: Measure) -> float:
        values = sorted(v for _, v in within(usage.measures.get(measure, Observed()).recent, after, until))
        return values[len(values) // 2] if values else 0.0

    found, limits = [], policy.symptoms
    if (latency := middle(Measure.LATENCY)) > limits.latency_s:
        found.append(f"1 of 100 requests takes longer than {latency:.3g} s; {limits.latency_s:g} s are too long")
    failed, asked = middle(Measure.ERRORS), middle(Measure.REQUESTS)
    if asked > 0 and failed / asked > limits.error_share:
        found.append(
            f"{percent(failed / asked)} of all requests fail; more than {percent(limits.error_share)} is too many"
        )
    return tuple(found)
