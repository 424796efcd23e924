"""A recorded history from a file: CSV with a column `time` and one for each measure."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import pairwise
from statistics import median

from freehold.errors import BadInput
from freehold.models.request import InstanceRequest
from freehold.models.scaling import Measure
from freehold.models.usage import Series
from freehold.planning.scaling.replay import History

COLUMNS = {
    "stored_bytes": Measure.STORED,
    "requests_per_s": Measure.REQUESTS,
    "errors_per_s": Measure.ERRORS,
    "latency_s": Measure.LATENCY,
    "cpu": Measure.CPU,
    "disk": Measure.DISK,
}
LEARNING_SHARE = 0.2
"""Of a recorded history so much is only learned from, before the policy begins to decide."""


def recorded(name: str, lines: Iterable[str], request: InstanceRequest) -> History:
    """Raises BadInput in one sentence. An empty cell is a gap, `NaN` stays what it is."""
    rows = list(csv.DictReader(lines))
    named = [column for column in COLUMNS if rows and column in rows[0]]
    if not named or "time" not in rows[0]:
        raise BadInput(
            f"{name}: the first line must name the columns: time, and of {', '.join(COLUMNS)} what there is."
        )
    series: dict[Measure, Series] = {}
    for column in named:
        points = [
            (_time(name, number, row["time"]), _number(name, number, column, row[column]))
            for number, row in enumerate(rows, start=2)
            if row[column]
        ]
        series[COLUMNS[column]] = Series([t for t, _ in points], [v for _, v in points])
    return as_history(name, series, request)


def as_history(name: str, series: dict[Measure, Series], request: InstanceRequest) -> History:
    """What was seen as a history to replay. What was needed in a gap is taken to be what was seen before it."""
    times = sorted({t for each in series.values() for t in each.times})
    if len(times) < 10:
        raise BadInput(f"{name}: there are {len(times)} moments in it; at least 10 are needed to simulate anything.")
    step_s = median(b - a for a, b in pairwise(times))
    grid = [times[0] + step_s * i for i in range(int((times[-1] - times[0]) / step_s) + 1)]
    true: dict[Measure, Series] = {
        measure: _held(series[measure], grid) for measure in (Measure.STORED, Measure.REQUESTS) if measure in series
    }
    if not true:
        raise BadInput(f"{name}: neither {Measure.STORED} nor {Measure.REQUESTS} are in it.")
    begins_at = grid[int(LEARNING_SHARE * len(grid))]
    return History(name, request, step_s, begins_at, series, true)


def _held(seen: Series, grid: list[float]) -> Series:
    values, last, at = [], 0.0, 0
    for moment in grid:
        while at < len(seen.times) and seen.times[at] <= moment:
            last = seen.values[at] if math.isfinite(seen.values[at]) else last
            at += 1
        values.append(last)
    return Series(grid, values)


def _time(name: str, number: int, given: str) -> float:
    try:
        return float(given)
    except ValueError:
        pass
    try:
        found = datetime.fromisoformat(given)
    except ValueError:
        raise BadInput(
            f"{name}: line {number}: {given!r} is no time; allowed: 2026-11-27T14:00:00Z, or seconds since 1970."
        ) from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _number(name: str, number: int, column: str, given: str) -> float:
    try:
        return float(given)
    except ValueError:
        raise BadInput(f"{name}: line {number}: {column} {given!r} is no number.") from None
