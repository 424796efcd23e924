"""How long a decision takes until it has an effect, learned from earlier procedures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import NormalDist

from freehold.models.scaling import LeadPart, LeadPartTime, LeadTime
from freehold.models.scaling_policy import Guess, LeadTimeRules

SHORTEST_S = 1.0
"""Durations are compared by their ratios, so none may be nothing."""
_GUESSED_LATE = NormalDist().inv_cdf(0.9)


def lead_parts(*, installed: bool, in_storeroom: bool, asks: bool) -> tuple[LeadPart, ...]:
    """What has to happen: whether the servers are installed, or at least there, and whether somebody is asked."""
    parts = {
        LeadPart.DELIVERY: not installed and not in_storeroom,
        LeadPart.RACKING: not installed,
        LeadPart.APPROVAL: asks,
        LeadPart.WORK: True,
    }
    return tuple(part for part, happens in parts.items() if happens)


def learn_lead_time(
    durations: Mapping[LeadPart, Sequence[float]], rules: LeadTimeRules, parts: Iterable[LeadPart]
) -> LeadTime:
    """The time that these parts take together. `durations`: seconds that each took in earlier procedures.

    With none the guesses of the rules stand; every procedure seen moves them, until they no longer weigh much.
    """
    learned = tuple(_learn(part, durations.get(part, ()), rules) for part in parts)
    usual = sum(part.usual_s for part in learned)
    # Parts are not all late at once: what each is late by adds up as independent errors do.
    late = usual + math.hypot(*(part.late_s - part.usual_s for part in learned))
    return LeadTime(usual_s=usual, late_s=late, parts=learned)


def _learn(part: LeadPart, seen: Sequence[float], rules: LeadTimeRules) -> LeadPartTime:
    """Durations of people's work spread by factors, so their logarithms are normal; the guess is their prior."""
    logs = [math.log(max(seconds, SHORTEST_S)) for seconds in seen if math.isfinite(seconds) and seconds >= 0]
    middle, spread = _normal(rules.guesses[part])
    weighs, count = rules.guess_weighs, len(logs)
    mean = (weighs * middle + sum(logs)) / (weighs + count)
    # What earlier procedures differ by among themselves, and what the guess was wrong by.
    squares = weighs * (spread**2 + (middle - mean) ** 2) + sum((log - mean) ** 2 for log in logs)
    deviation = math.sqrt(squares / (weighs + count))
    late = mean + NormalDist().inv_cdf(rules.quantile) * deviation
    return LeadPartTime(part=part, usual_s=math.exp(mean), late_s=math.exp(late), learned_from=count)


def _normal(guess: Guess) -> tuple[float, float]:
    middle = math.log(guess.usual_s)
    return middle, (math.log(guess.late_s) - middle) / _GUESSED_LATE
