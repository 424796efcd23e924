"""What a measure will be: its trend, its days and weeks, and how sure that is.

A regression in which newer values count more and outliers less (statsmodels' WLS): it has a closed form, so that
thousands of instances are forecast in seconds; gaps are simply left out; and its intervals hold for errors that depend
on one another (Newey-West).
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from freehold.models.scaling_policy import ForecastRules
from freehold.models.units import DAY_S

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# These matrices are tiny: several threads would only wait for one another. Read by the library when it is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

SEASONS_S = (DAY_S, 7 * DAY_S)
CYCLES = 3
"""A season is looked for in no less than so many of it."""
HARMONICS = 3
DOUBT = 2.5
"""So many times the greatest distance from a straight line is more than what waves and uncertainty come to."""
STRANGE = 3.0
"""Where no value is farther from the trend than so many times the usual distance, all count alike."""
TAME = 1.5
"""Values farther from the trend than so many times the usual distance count less (Huber)."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """A forecast at times (seconds since 1970), lowest first."""

    times: Floats
    low: Floats
    likely: Floats
    high: Floats
    method: str

    def highest(self, until: float) -> float:
        """The greatest upper bound up to then."""
        return float(self.high[self.times <= until].max(initial=self.high[0]))

    def likely_highest(self, until: float) -> float:
        return float(self.likely[self.times <= until].max(initial=self.likely[0]))

    def reaches(self, value: float, *, likely: bool = False) -> float | None:
        """When the upper bound (or the likely value) is first as great as that; None: not in sight."""
        found = (self.likely if likely else self.high) >= value
        return float(self.times[found.argmax()]) if found.any() else None


def cannot_reach(
    times: Sequence[float], values: Sequence[float], now: float, until: float, rules: ForecastRules, value: float
) -> bool:
    """Whether a forecast would surely stay below `value` up to then, so that none need be made.

    A straight line through the values, and a wide margin for waves and doubt: a fraction of what a forecast costs.
    """
    import numpy as np  # noqa: PLC0415 (as statsmodels below: seconds of a command's start, and few commands forecast)

    seen = np.asarray(values, dtype=np.float64)
    days, level, slope = _line(tuple(times), now, rules.half_life_s)
    begin, rise = float(level @ seen), float(slope @ seen)
    off = np.abs(seen - begin - rise * days)
    doubt = DOUBT * float(off.max())
    # The trend may be steeper by as much as the values differ from it over the time in which they count.
    ahead = (until - now) / DAY_S
    steeper = doubt * ahead / (3 * rules.half_life_s / DAY_S)
    return max(begin, float(seen[-1])) + max(0.0, rise) * ahead + doubt + steeper < value


@lru_cache(maxsize=64)
def _line(times: tuple[float, ...], now: float, half_life_s: float) -> tuple[Floats, Floats, Floats]:
    """Days from now, and what to multiply values with for the level now and the trend per day."""
    import numpy as np  # noqa: PLC0415

    days = (np.asarray(times, dtype=np.float64) - now) / DAY_S
    weights = 0.5 ** (-days * DAY_S / half_life_s)
    terms = np.column_stack([np.ones_like(days), days])
    level, slope = np.linalg.pinv(terms * np.sqrt(weights)[:, None]) * np.sqrt(weights)
    return days, level, slope


def foresee(
    times: Sequence[float], values: Sequence[float], step_s: float, now: float, horizon_s: float, rules: ForecastRules
) -> Outlook | None:
    """The forecast from `now` on; None when there are too few values. Gaps are left out, never filled."""
    import numpy as np  # noqa: PLC0415

    known = [(t, v) for t, v in zip(times, values, strict=True) if math.isfinite(v)]
    if len(known) < rules.least_steps:
        return None
    frame = _frame(tuple(t for t, _ in known), step_s, now, horizon_s, rules.half_life_s)
    seen = np.asarray([v for _, v in known], dtype=np.float64)
    weights = frame.weights * _tamed(frame, seen)
    # On average 1: to the regression a weight says how exact a value is, here it says how much it still tells.
    weights = weights * (len(weights) / weights.sum())
    likely, deviation = _fit(frame, seen, weights, _lags(frame.seasons, step_s, len(seen)))
    worth = float(weights.sum() ** 2 / (weights**2).sum())
    far = _sureness(rules.quantile, max(3, round(worth) - frame.past.shape[1])) * deviation
    ahead, seasons = frame.ahead, frame.seasons
    named = [name for length, name in zip(SEASONS_S, ("day", "week"), strict=True) if length in seasons]
    method = f"trend{''.join(f' and season of a {name}' for name in named)} of {len(seen)} values"
    zero = np.zeros_like(likely)
    return Outlook(
        ahead, np.maximum(likely - far, zero), np.maximum(likely, zero), np.maximum(likely + far, zero), method
    )


@dataclass(frozen=True, slots=True)
class _Frame:
    """All of a forecast but the values. Instances that were seen at the same times share it."""

    ahead: Floats
    past: Floats
    future: Floats
    weights: Floats
    """By age alone."""
    solves: Floats
    """Times the values: the regression by these weights."""
    seasons: tuple[int, ...]


@lru_cache(maxsize=16)
def _frame(times: tuple[float, ...], step_s: float, now: float, horizon_s: float, half_life_s: float) -> _Frame:
    import numpy as np  # noqa: PLC0415

    at = np.asarray(times, dtype=np.float64)
    ahead = now + step_s * np.arange(math.ceil(horizon_s / step_s) + 1, dtype=np.float64)
    seasons = _seasons(times[-1] - times[0], step_s)
    past, future = (_terms((t - now) / step_s, step_s, now, seasons) for t in (at, ahead))
    if len(times) < 2 * past.shape[1]:
        past, future, seasons = past[:, :2], future[:, :2], ()
    weights = 0.5 ** ((now - at) / half_life_s)
    root = np.sqrt(weights)
    solves: Floats = np.asarray(np.linalg.pinv(past * root[:, None]) * root, dtype=np.float64)
    return _Frame(ahead, past, future, weights, solves, seasons)


def _seasons(span_s: float, step_s: float) -> tuple[int, ...]:
    return tuple(length for length in SEASONS_S if span_s >= (CYCLES - 0.5) * length and length >= 3 * step_s)


def _terms(steps: Floats, step_s: float, now: float, seasons: tuple[int, ...]) -> Floats:
    """Columns of the regression: level, trend, and waves for each season."""
    import numpy as np  # noqa: PLC0415

    columns = [np.ones_like(steps), steps]
    for length in seasons:
        for wave in range(1, min(HARMONICS, (int(length / step_s) - 1) // 2) + 1):
            angle = 2 * np.pi * wave * (steps * step_s + now % length) / length
            columns += [np.sin(angle), np.cos(angle)]
    return np.column_stack(columns)


def _tamed(frame: _Frame, seen: Floats) -> Floats:
    """How much each value counts beside its age: one strange day must not look like a trend."""
    import numpy as np  # noqa: PLC0415

    factor: Floats = np.ones_like(seen)
    solution: Any = frame.solves @ seen
    for again in (True, False):
        off = np.abs(seen - frame.past @ solution)
        usual = 1.4826 * float(np.sort(off)[len(off) // 2])
        if off.max() <= STRANGE * usual or usual <= 1e-9 * max(1.0, float(np.abs(seen).max())):
            break
        factor = np.minimum(1.0, TAME * usual / np.maximum(off, 1e-12))
        if again:
            root = np.sqrt(frame.weights * factor)
            solution = np.linalg.lstsq(frame.past * root[:, None], seen * root, rcond=None)[0]
    return factor


def _fit(frame: _Frame, seen: Floats, weights: Floats, lags: int) -> tuple[Floats, Floats]:
    """The likely values ahead, and their standard deviations."""
    from statsmodels.regression.linear_model import WLS  # noqa: PLC0415

    fit: Any = WLS(seen, frame.past, weights=weights).fit(cov_type="HAC", cov_kwds={"maxlags": lags})
    ahead = fit.get_prediction(frame.future)
    return ahead.predicted_mean, ahead.se_obs


def _lags(seasons: tuple[int, ...], step_s: float, count: int) -> int:
    longest = max(seasons, default=0) / step_s
    return int(min(max(longest, 4 * (count / 100) ** (2 / 9)), count // 3))


@lru_cache(maxsize=1024)
def _sureness(quantile: float, degrees: int) -> float:
    from scipy.stats import t  # noqa: PLC0415

    return float(t.ppf(quantile, degrees))
