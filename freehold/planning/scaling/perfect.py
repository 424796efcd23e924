"""The sizes that somebody would choose who knows the future: always just enough, and no size for a short time only."""

from __future__ import annotations

import bisect
import math

from freehold.models.scaling import Measure
from freehold.models.scaling_policy import ScalingPolicy
from freehold.models.units import GIB
from freehold.planning.scaling.replay import History, carried
from freehold.services.base import Demand, Service, Size


def foreknown(history: History, chosen: Service, policy: ScalingPolicy) -> list[tuple[float, Size]]:
    """From when on which size. A size must be enough until the policy could shrink it again."""
    first = chosen.size(history.request)
    limits = {Measure.STORED: policy.stored.full_at, Measure.REQUESTS: policy.requests.full_at}
    sizes: list[tuple[float, Size]] = []
    lasts_s = policy.down.window_s + policy.down.cool_down_s
    begin = bisect.bisect_left(history.times, history.begins_at)
    for i in range(begin, len(history.times)):
        until = bisect.bisect_right(history.times, history.times[i] + lasts_s)
        most = {m: max(s.values[i:until]) / limits[m] for m, s in history.true.items() if m in limits}
        demand = Demand(
            capacity_gib=max(1, math.ceil(most.get(Measure.STORED, carried(first, Measure.STORED)) / GIB)),
            requests_per_s=most.get(Measure.REQUESTS, 0.0),
        )
        size = chosen.size_for(history.request, demand) or first
        if not sizes or (size.request, size.servers) != (sizes[-1][1].request, sizes[-1][1].servers):
            sizes.append((history.times[i] if sizes else history.begins_at, size))
    return sizes
