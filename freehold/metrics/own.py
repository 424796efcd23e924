"""Freehold's own metrics, on the workers' port beside those of Temporal's SDK."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from temporalio.common import MetricMeter

PROCEDURES: Final = "freehold_procedures"
WAITING: Final = "freehold_waiting"
WAITING_LONGEST: Final = "freehold_waiting_longest_seconds"
FAILURES: Final = "freehold_activity_failures"
DRIFT: Final = "freehold_drift"
DECISIONS: Final = "freehold_scaling_decisions"
EVALUATED: Final = "freehold_scaling_evaluated_timestamp_seconds"

WORDS: Final[Mapping[str, str]] = {
    PROCEDURES: "runs of each procedure by their status",
    WAITING: "runs that wait for people, by whom they wait for and for how long",
    WAITING_LONGEST: "how long the oldest of them has waited",
    FAILURES: "failed attempts of activities",
    DRIFT: "instances that are not as they were proven",
    DECISIONS: "instances by what the newest evaluation decided",
    EVALUATED: "when the newest evaluation ended",
}
OWN: Final = tuple(f"{name}_total" if name == FAILURES else name for name in WORDS)
"""As Prometheus sees them."""


class Gauges:
    """Numbers by label. What is not said any more is zero: an exporter would go on telling the old number."""

    def __init__(self, meter: MetricMeter) -> None:
        self._meter = meter
        self._said: dict[str, set[tuple[tuple[str, str], ...]]] = defaultdict(set)

    def say(self, name: str, values: Mapping[tuple[tuple[str, str], ...], float]) -> None:
        gauge = self._meter.create_gauge_float(name, WORDS[name])
        for labels in self._said[name] | set(values):
            gauge.set(values.get(labels, 0.0), dict(labels))
        self._said[name] |= set(values)
