"""Which size an instance shall have: what it needs, as the service can be and the contract allows."""

from __future__ import annotations

import math
from dataclasses import dataclass

from freehold.models.request import ScaleRequest
from freehold.models.scaling import Contract
from freehold.models.scaling_policy import Prices, ScalingPolicy
from freehold.services.base import Demand, Service, Size

ROUNDING = 1e-9


@dataclass(frozen=True)
class Need:
    """How many times of what it carries now the instance must carry; 1: as it is."""

    storage: float = 1.0
    web: float = 1.0


@dataclass(frozen=True)
class Choice:
    """The size for a need, or why there is none; `cut` when the contract allows only a part of it."""

    size: Size | None
    why_not: str = ""
    cut: str = ""


def spend(size: Size, prices: Prices) -> float:
    """What a size costs a month."""
    return size.servers * prices.server + size.request.capacity_gib * prices.gib


def bigger(chosen: Service, now: Size, need: Need, policy: ScalingPolicy, contract: Contract) -> Choice:
    """The smallest size that carries the need and is nowhere smaller than now."""
    capacity, had = now.request.capacity_gib, now.request.capacity_gib
    if need.storage > 1:
        capacity = max(_whole(had * need.storage), _whole(had * (1 + policy.least_step)))
    cut = ""
    if contract.most_capacity_gib is not None and capacity > max(contract.most_capacity_gib, had):
        cut = f"{capacity:,} GiB are needed, the contract allows {contract.most_capacity_gib:,} GiB"
        capacity = max(contract.most_capacity_gib, had)
    demand = Demand(
        capacity_gib=max(capacity, contract.least_capacity_gib), requests_per_s=now.requests_per_s * max(1.0, need.web)
    )
    found = chosen.size_for(now.request, demand, contract.tiers)
    if found is None:
        allowed = f" in {' or '.join(contract.tiers)}, which the contract allows" if contract.tiers else ""
        return Choice(
            None,
            f"no size carries {demand.capacity_gib:,} GiB and {demand.requests_per_s:,.4g} requests a second{allowed}",
        )
    if not _differs(now, found):
        return Choice(None, cut or "no other size carries more")
    if beyond := _beyond(found, policy.prices, contract):
        return Choice(None, beyond)
    return Choice(found, cut=cut)


def smaller(chosen: Service, now: Size, need: Need, policy: ScalingPolicy, contract: Contract) -> Size | None:
    """The smallest size that still carries the need, if that is worth a change; None: it stays as it is."""
    had = now.request.capacity_gib
    capacity = max(_whole(had * need.storage), contract.least_capacity_gib)
    if capacity > had * (1 - policy.least_step):
        capacity = had
    demand = Demand(capacity_gib=capacity, requests_per_s=now.requests_per_s * min(1.0, need.web))
    found = chosen.size_for(now.request, demand, contract.tiers)
    if found is None or found.servers > now.servers or found.requests_per_s > now.requests_per_s:
        return None
    return found if _differs(now, found) and not _is_above(chosen, found, now) else None


def change(now: Size, to: Size, asked_by: str) -> ScaleRequest:
    """The request for that change; what stays as it is is left out."""
    was, wanted = now.request, to.request
    fields = ("tier", "capacity_gib", "requests_per_s", "web_servers", "storage_servers")
    differs = {name: getattr(wanted, name) for name in fields if getattr(wanted, name) != getattr(was, name)}
    return ScaleRequest(instance=was.instance, requested_by=asked_by, **differs)


def words(now: Size, to: Size) -> str:
    """`tier distributed instead of compact, 40 GiB instead of 20, 5 servers instead of 1`."""
    was, wanted = now.request, to.request
    said = [f"tier {wanted.tier} instead of {was.tier}"] if wanted.tier != was.tier else []
    if wanted.capacity_gib != was.capacity_gib:
        said.append(f"{wanted.capacity_gib:,} GiB instead of {was.capacity_gib:,}")
    if to.requests_per_s != now.requests_per_s:
        said.append(f"{to.requests_per_s:,.4g} requests a second instead of {now.requests_per_s:,.4g}")
    if to.servers != now.servers:
        said.append(f"{to.servers} servers instead of {now.servers}")
    return ", ".join(said)


def _beyond(size: Size, prices: Prices, contract: Contract) -> str:
    if contract.most_servers is not None and size.servers > contract.most_servers:
        return f"{size.servers} servers are needed, the contract allows {contract.most_servers}"
    costs = spend(size, prices)
    if contract.most_spend is not None and costs > contract.most_spend:
        return f"it would cost {costs:,.2f} {prices.currency} a month, the contract allows {contract.most_spend:,.2f}"
    return ""


def _differs(now: Size, to: Size) -> bool:
    def what(size: Size) -> tuple[object, ...]:
        return size.request.tier, size.request.capacity_gib, size.requests_per_s, size.servers

    return what(now) != what(to)


def _is_above(chosen: Service, one: Size, other: Size) -> bool:
    tiers = list(chosen.tiers())
    return tiers.index(one.request.tier) > tiers.index(other.request.tier)


def _whole(gib: float) -> int:
    return max(1, math.ceil(gib - ROUNDING))
