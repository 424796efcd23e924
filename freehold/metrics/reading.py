"""What Prometheus knows of many instances, in a number of questions that does not depend on how many they are."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Mapping

from freehold.errors import MetricsUnavailable
from freehold.metrics.prometheus import Prometheus, Row, Span
from freehold.models.scaling import FORESEEN, Measure
from freehold.models.scaling_policy import DataRules, ScalingPolicy
from freehold.models.units import HOUR_S
from freehold.models.usage import Observed, Series, Usage
from freehold.planning.snapshot import collecting_later

SERIES: Mapping[Measure, str] = {
    Measure.STORED: "freehold:instance_stored_bytes",
    Measure.CAPACITY: "freehold:instance_capacity_bytes",
    Measure.OBJECTS: "freehold:instance_objects",
    Measure.REQUESTS: "freehold:instance_requests_per_s",
    Measure.ERRORS: "freehold:instance_errors_per_s",
    Measure.LATENCY: 'freehold:instance_latency_seconds{quantile="0.99"}',
    Measure.CPU: "freehold:instance_cpu_ratio",
    Measure.DISK: "freehold:instance_disk_used_ratio",
}
PEAKS = (Measure.STORED, Measure.REQUESTS, Measure.CPU, Measure.DISK)
"""What has a history: a long one where it is foreseen."""
SEEN = Measure.STORED
"""An instance is seen when this is."""
SEEN_SHARE = "freehold:instance_seen:share1h"
MEASURED_AT = "freehold:instance_measured_at_seconds"
LEAST_VALUES = 7
ROLLED_UP_FROM_S = 7200
"""Steps of at least this length are made of the values that rules keep of every hour; shorter ones of all values."""


def questions(policy: ScalingPolicy) -> str:
    """Instances whose policies give the same are asked for together."""
    return f"{policy.data.model_dump_json()} {policy.up.window_s} {policy.down.window_s}"


def read_usage(
    prometheus: Prometheus, instances: Collection[str], policy: ScalingPolicy, now: float
) -> dict[str, Usage]:
    """What there is about each of these instances. Raises MetricsUnavailable when the answers cannot be trusted."""
    rules = policy.data
    clock = prometheus.clock()
    if abs(clock - now) > rules.most_skew_s:
        raise MetricsUnavailable(
            f"Prometheus' clock and ours are {abs(clock - now):.0f} s apart, at most {rules.most_skew_s} are allowed; "
            "nothing is decided until that is put right."
        )
    with collecting_later():
        return _read(prometheus, instances, policy, clock)


def _read(prometheus: Prometheus, instances: Collection[str], policy: ScalingPolicy, clock: float) -> dict[str, Usage]:
    rules, found = policy.data, _Found(instances)
    recent_s = max(policy.up.window_s, LEAST_VALUES * rules.step_s)
    recent = [((m, "recent"), str(m), Span(of, clock - recent_s, clock, rules.step_s)) for m, of in SERIES.items()]
    peaks = [((m, "peaks"), f"history of {m}", _steps(_peak(SERIES[m], rules), m, policy, clock)) for m in PEAKS]
    asked = [*recent, *peaks, ("coverage", "coverage", _steps(_seldom_seen(rules), SEEN, policy, clock))]
    for (kind, words, _), rows in zip(asked, prometheus.ranges([span for *_, span in asked]), strict=True):
        found.take(kind, rows, words)
    found.take("measured", prometheus.instant(MEASURED_AT, clock), "age")
    return {name: found.usage(name, clock) for name in instances}


def _steps(query: str, measure: Measure, policy: ScalingPolicy, clock: float) -> Span:
    """As far back as forecasts learn from; what is not foreseen, only as far back as decisions look."""
    step = policy.data.peak_step_s
    back_s = policy.data.history_s if measure in FORESEEN else policy.down.window_s + step
    end = math.ceil(clock / step) * step
    return Span(query, end - math.ceil(back_s / step) * step, end, step)


def _peak(series: str, rules: DataRules) -> str:
    kept = f"{series}:max1h" if rules.peak_step_s >= ROLLED_UP_FROM_S else series
    return f"max_over_time({kept}[{rules.peak_step_s}s])"


def _seldom_seen(rules: DataRules) -> str:
    """Which share of a step the instance was seen in, where that is not enough: nearly always there is no answer."""
    step = rules.peak_step_s
    if step >= ROLLED_UP_FROM_S:
        share = f"sum_over_time({SEEN_SHARE}[{step}s]) / {step / HOUR_S:g}"
    else:
        looks = max(1, min(step // rules.step_s, 60))
        share = f"count_over_time({SERIES[SEEN]}[{step}s:{max(step // looks, 1)}s]) / {looks}"
    return f"{share} < {rules.least_coverage:g}"


class _Found:
    """The answers, by instance."""

    def __init__(self, instances: Collection[str]) -> None:
        self._series: dict[str, dict[object, Series]] = {name: {} for name in instances}
        self._complaints: dict[str, list[str]] = defaultdict(list)

    def take(self, kind: object, rows: list[Row], words: str) -> None:
        for row in rows:
            mine = self._series.get(row.labels.get("instance", ""))
            if mine is None:
                continue
            if kind in mine:
                who = row.labels["instance"]
                self._complaints[who].append(f"Prometheus has two series for the {words} of {who}: whose are they?")
            mine[kind] = row.series

    def usage(self, name: str, clock: float) -> Usage:
        mine = self._series[name]
        measured = mine.get("measured")
        return Usage(
            read_at=clock,
            measures={
                measure: Observed(
                    recent=mine.get((measure, "recent"), Series()), peaks=mine.get((measure, "peaks"), Series())
                )
                for measure in SERIES
            },
            coverage=mine.get("coverage", Series()),
            measured_at=measured.values[-1] if measured else None,
            complaints=tuple(self._complaints[name]),
        )
