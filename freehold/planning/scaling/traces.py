"""Ten histories of an instance's use, made from a seed: what a policy is tried on before it is trusted."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from freehold.models.units import DAY_S, HOUR_S
from freehold.models.usage import Series

STEP_S = 6 * HOUR_S
DAYS = 200
CAPACITY = 100.0
"""What the instance carries at the beginning; all values are in per cent of that."""
BEGIN = 1_767_571_200.0
"""2026-01-05, a Monday."""

Shape = Callable[[float, random.Random], float]
"""The value on a day (counted from 0, with fractions)."""


@dataclass(frozen=True, slots=True)
class Trace:
    """One history: what was seen, and what was truly used, also while nothing was seen."""

    name: str
    words: str
    seen: Series
    true: Series
    begins_at: float
    """From then on a policy decides; what was before is what it learns from."""


def _noise(sigma: float) -> Shape:
    return lambda _, chance: chance.gauss(0, sigma)


def _growth(day: float, _: random.Random) -> float:
    return 3 + 1.3 * day


def _daily(day: float, size: float) -> float:
    return size * math.sin(2 * math.pi * (day - 0.3))


def _weekly(day: float, size: float) -> float:
    return size * math.sin(2 * math.pi * day / 7)


def _season(day: float, _: random.Random) -> float:
    return 45 + _daily(day, 8) + _weekly(day, 6)


def _growing_season(day: float, _: random.Random) -> float:
    return (22 + 0.42 * day) * (1 + _daily(day, 0.15) + _weekly(day, 0.12))


def _spike(day: float, _: random.Random) -> float:
    return 40 + (70 * math.exp(-(((day - 120) / 0.25) ** 2)))


def _decay(day: float, _: random.Random) -> float:
    return 12 + 58 * math.exp(-max(0.0, day - 40) / 45)


def _step(day: float, _: random.Random) -> float:
    return 35 if day < 130 else 75 + 0.1 * (day - 130)


def _oscillation(day: float, _: random.Random) -> float:
    return 76 + 8 * math.sin(2 * math.pi * day / 2.7)


def _saturating(day: float, _: random.Random) -> float:
    return 25 + 65 / (1 + math.exp(-(day - 110) / 18))


_SHAPES: tuple[tuple[str, str, tuple[Shape, ...]], ...] = (
    ("growth", "steady growth", (_growth, _noise(0.6))),
    ("season", "days and weeks around the same level", (_season, _noise(1.5))),
    ("growing-season", "weeks that grow, and their waves with them", (_growing_season, _noise(1.0))),
    ("spike", "one day of twice and a half the load", (_spike, _noise(1.5))),
    ("decay", "a customer who leaves", (_decay, _noise(0.6))),
    ("step", "twice the use from one day to the next", (_step, _noise(0.8))),
    ("gap", "steady growth, and nine days in which nothing was seen", (_growth, _noise(0.6))),
    ("noise", "half full, and nothing but noise", (lambda *_: 50.0, _noise(7.0))),
    ("oscillation", "up and down around the threshold", (_oscillation, _noise(0.5))),
    ("saturating", "fast growth that ends short of what there is", (_saturating, _noise(0.6))),
)
"""Name, what it is, and what it is the sum of."""

LEARNING_DAYS = 35
_GAP = (46.0, 55.0)


def traces(seed: int = 6, days: int = DAYS) -> tuple[Trace, ...]:
    """The ten, always the same for the same seed."""
    return tuple(_trace(name, words, shapes, random.Random(f"{seed} {name}"), days) for name, words, shapes in _SHAPES)


def _trace(name: str, words: str, shapes: Sequence[Shape], chance: random.Random, days: int) -> Trace:
    count = int(days * DAY_S / STEP_S)
    times = tuple(BEGIN + STEP_S * (i + 1) for i in range(count))
    values = tuple(max(0.0, sum(shape((i + 1) * STEP_S / DAY_S, chance) for shape in shapes)) for i in range(count))
    true = Series(times, values)
    return Trace(name, words, _with_gap(true) if name == "gap" else true, true, BEGIN + LEARNING_DAYS * DAY_S)


def _with_gap(true: Series) -> Series:
    first, last = (BEGIN + day * DAY_S for day in _GAP)
    kept = [(t, v) for t, v in zip(true.times, true.values, strict=True) if not first < t <= last]
    return Series(tuple(t for t, _ in kept), tuple(v for _, v in kept))
