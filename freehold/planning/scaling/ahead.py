"""The forecast of one instance's load against the time that a change takes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from freehold.models.scaling import Forecast, ForecastPoint, LeadTime
from freehold.models.usage import Series
from freehold.planning.scaling.forecast import Outlook, cannot_reach, foresee
from freehold.planning.scaling.load import Load
from freehold.planning.scaling.words import day, percent, span, when

SHOWN = 240
"""No plot has more points of a history than that."""


@dataclass(frozen=True)
class Ahead:
    """What a load will be, in its own unit."""

    load: Load
    lead: LeadTime
    history: Series
    outlook: Outlook

    @property
    def effect_at(self) -> float:
        """When a change begun now has its effect, if it takes long."""
        return self.load.now + self.lead.late_s

    @property
    def lasts_until(self) -> float:
        return self.effect_at + self.load.policy.forecast.lasts_s

    @property
    def full(self) -> float:
        return self.load.thresholds.full_at * self.load.carries

    @cached_property
    def presses(self) -> bool:
        """Whether it may be full before a change begun now has its effect; one strange value is not enough for that."""
        if self.outlook.highest(self.effect_at) < self.full:
            return False
        load, horizon_s = self.load, self.lead.late_s
        before = Series(self.history.times[:-1], self.history.values[:-1])
        without = foresee(
            before.times, before.values, load.policy.data.peak_step_s, load.now, horizon_s, load.policy.forecast
        )
        return without is None or without.highest(self.effect_at) >= self.full

    @property
    def too_late_at(self) -> float | None:
        full_at = self.outlook.reaches(self.full)
        return None if full_at is None else full_at - self.lead.late_s

    def share_needed(self) -> float:
        """How many times of what the instance carries now is enough until a bigger size has lasted as it shall."""
        most = max(self.outlook.likely_highest(self.lasts_until), self.outlook.highest(self.effect_at))
        return most / self.load.thresholds.up_at / self.load.carries

    def share_to_keep(self) -> float:
        """How much of that must stay so that a smaller size is not outgrown soon, also if what was comes again."""
        since = self.load.now - self.load.policy.forecast.lasts_s
        seen = max((v for t, v in zip(self.history.times, self.history.values, strict=True) if t > since), default=0.0)
        thresholds = self.load.thresholds
        most = max(self.outlook.highest(self.lasts_until) / thresholds.up_at, seen / thresholds.target_at)
        return most / self.load.carries

    def words(self) -> str:
        rules, outlook = self.load.policy.forecast, self.outlook
        sure, full = percent(rules.quantile), percent(self.load.thresholds.full_at)
        lead = f"a change begun now has its effect by {day(self.effect_at)} ({span(self.lead.late_s)})"
        at, likely = outlook.reaches(self.full), outlook.reaches(self.full, likely=True)
        if at is None:
            return (
                f"{self.load.measure}: with {sure} certainty below {full} of {self.load.carried()} until "
                f"{day(float(outlook.times[-1]))} ({outlook.method}); {lead}"
            )
        expected = f"likely on {day(likely)}" if likely is not None else f"not likely before {day(outlook.times[-1])}"
        return (
            f"{self.load.measure}: comes to {full} of {self.load.carried()} as early as {day(at)}, {expected} "
            f"({outlook.method}; {sure} certainty); {lead}"
        )

    def model(self) -> Forecast:
        o = self.outlook
        at, likely = o.reaches(self.full), o.reaches(self.full, likely=True)
        past = list(zip(self.history.times, self.history.values, strict=True))[-SHOWN:]
        every = max(1, len(o.times) // SHOWN)
        ahead = list(zip(o.times, o.low, o.likely, o.high, strict=True))[::every]
        return Forecast(
            measure=self.load.measure,
            carries=self.load.carries,
            full=self.full,
            history=tuple((when(t), v) for t, v in past),
            ahead=tuple(
                ForecastPoint(at=when(float(t)), low=float(low), likely=float(mid), high=float(high))
                for t, low, mid, high in ahead
            ),
            full_at=None if at is None else when(at),
            likely_full_at=None if likely is None else when(likely),
            method=o.method,
        )


def look_ahead(load: Load, lead: LeadTime, *, always: bool = False) -> Ahead | None:
    """None when the rules want no forecast, too little is known, or (unless `always`) it could change nothing."""
    rules, data = load.policy.forecast, load.policy.data
    if not rules.enabled:
        return None
    history = load.history()
    if len(history.values) < rules.least_steps:
        return None
    horizon_s = lead.late_s + rules.lasts_s
    full, effect_at = load.thresholds.full_at * load.carries, load.now + lead.late_s
    if not always and cannot_reach(history.times, history.values, load.now, effect_at, rules, full):
        return None
    outlook = foresee(history.times, history.values, data.peak_step_s, load.now, horizon_s, rules)
    if outlook is None:
        return None
    return Ahead(load, lead, history, outlook)
