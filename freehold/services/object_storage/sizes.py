"""Which sizes an instance can have, and what each carries: the answers to a scaling decision."""

from __future__ import annotations

import math
from collections.abc import Collection

from freehold.errors import BadInput
from freehold.models.request import InstanceRequest
from freehold.services.base import Demand, Size
from freehold.services.object_storage.blueprint import Blueprint, Tier

ROUNDING = 1e-9


def size(blueprint: Blueprint, request: InstanceRequest) -> Size:
    """What a request gives. Raises BadInput when there is no such tier."""
    tier = blueprint.tier(request)
    counts = [(kind, kind.count_for(request, tier.replicas)) for kind in tier.servers]
    workers = tier.software(request).workers
    return Size(
        request=request,
        requests_per_s=sum(count * kind.requests_per_s * workers for kind, count in counts),
        servers=sum(count for _, count in counts),
    )


def size_for(
    blueprint: Blueprint, request: InstanceRequest, demand: Demand, tiers: Collection[str] = ()
) -> Size | None:
    """The first tier that can carry the demand, with as few servers as that takes; the blueprint's order is by size."""
    rate_now = size(blueprint, request).requests_per_s
    for name, tier in blueprint.tiers.items():
        if tiers and name not in tiers:
            continue
        wanted = _in_tier(name, tier, request, rate_now, demand)
        try:
            blueprint.check_size(wanted)
        except BadInput:
            continue
        if (found := size(blueprint, wanted)).requests_per_s >= demand.requests_per_s - ROUNDING:
            return found
    return None


def _in_tier(name: str, tier: Tier, now: InstanceRequest, rate_now: float, demand: Demand) -> InstanceRequest:
    """The rate brings programs and web servers, the capacity storage servers; so counts are rarely said."""
    rate = math.ceil(demand.requests_per_s - ROUNDING)
    by_itself = tier.web.count * tier.web.requests_per_s
    counts: dict[str, int | None] = {"web_servers": None, "storage_servers": None}
    if name == now.tier:
        # What was asked for by people stays when it grows; they may know of reasons for more storage servers.
        grows = demand.requests_per_s >= rate_now - ROUNDING
        web_servers = now.web_servers if grows or now.web_servers is None else tier.web.count
        counts = {"web_servers": web_servers, "storage_servers": now.storage_servers}
    said = rate if now.requests_per_s is not None or rate > by_itself else None
    if name == now.tier and abs(demand.requests_per_s - rate_now) <= ROUNDING:
        said = now.requests_per_s
    elif name == now.tier and said and now.requests_per_s and demand.requests_per_s < rate_now:
        # What it carries is more than what was asked for, as programs and servers are whole ones.
        said = min(said, now.requests_per_s)
    wanted = {"tier": name, "capacity_gib": demand.capacity_gib, "requests_per_s": said and max(1, said), **counts}
    return now.model_copy(update=wanted)
