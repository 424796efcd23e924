"""Which sizes an instance can have: enough for the demand, and no bigger than that takes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.models.request import InstanceRequest
from freehold.services import service
from freehold.services.base import Demand

CHOSEN = service("object-storage")
NOW = InstanceRequest(instance="acme-1", customer="acme", site="north", capacity_gib=10, requested_by="olga")


@pytest.mark.parametrize(
    ("capacity_gib", "requests_per_s", "tier", "servers"),
    [
        (10, 10, "compact", 1),
        (600, 10, "distributed", 5),
        (10, 61, "compact", 1),
        (10, 121, "distributed", 5),
        (10, 450, "distributed", 6),
        (10, 1000, "distributed", 8),
    ],
)
def test_the_smallest_that_is_enough(capacity_gib: int, requests_per_s: float, tier: str, servers: int) -> None:
    found = CHOSEN.size_for(NOW, Demand(capacity_gib=capacity_gib, requests_per_s=requests_per_s))
    assert found is not None
    assert (found.request.tier, found.servers) == (tier, servers)


def test_there_is_an_end_to_it() -> None:
    assert CHOSEN.size_for(NOW, Demand(capacity_gib=10, requests_per_s=10_000)) is None
    assert CHOSEN.size_for(NOW, Demand(capacity_gib=600), tiers=("compact",)) is None


def test_what_a_tier_cannot_do_is_not_taken_away() -> None:
    versioned = NOW.model_copy(update={"tier": "distributed", "features": ("versioning",)})
    found = CHOSEN.size_for(versioned, Demand(capacity_gib=1))
    assert found is not None
    assert found.request.tier == "distributed"


@settings(deadline=None)
@given(st.integers(1, 90_000), st.floats(0, 3200))
def test_it_carries_what_was_asked_for_and_can_be_built(capacity_gib: int, requests_per_s: float) -> None:
    demand = Demand(capacity_gib=capacity_gib, requests_per_s=requests_per_s)
    found = CHOSEN.size_for(NOW, demand)
    assert found is not None
    CHOSEN.check_change(NOW, found.request)
    assert found.requests_per_s >= requests_per_s
    assert found.request.capacity_gib == capacity_gib
    assert found.servers == sum(need.count for need in CHOSEN.needs(found.request))
    assert CHOSEN.size(found.request) == found


@settings(deadline=None)
@given(st.integers(1, 120), st.integers(1, 100), st.floats(0.1, 1.0))
def test_less_is_never_said_with_a_higher_rate(rate: int, capacity_gib: int, share: float) -> None:
    """What an instance carries is more than what was asked for: as many whole programs as that takes."""
    now = NOW.model_copy(update={"capacity_gib": 100, "requests_per_s": rate})
    demand = Demand(capacity_gib=capacity_gib, requests_per_s=CHOSEN.size(now).requests_per_s * share)
    found = CHOSEN.size_for(now, demand, ("compact",))
    assert found is not None
    assert (found.request.requests_per_s or 0) <= rate
    assert found.requests_per_s >= demand.requests_per_s - 1e-6
