"""The plan of an active instance after a change. Pure and deterministic, as provisioning is."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from freehold.errors import BadInput
from freehold.models.plan import Plan
from freehold.models.request import InstanceRequest
from freehold.planning.placement import staying
from freehold.planning.provision import plan_instance
from freehold.planning.snapshot import InventorySnapshot
from freehold.services.base import ServerNeed, Service

UP, DOWN, DRAIN = "scale-up", "scale-down", "consolidate-data"
"""What plans of a change call their procedure."""


def next_plan(
    chosen: Service,
    before: Plan,
    request: InstanceRequest,
    snapshot: InventorySnapshot,
    procedure: str,
    drain: Collection[str] = (),
) -> Plan:
    """The plan after the change, with what the service remembers. Raises BadInput and CannotPlace."""
    snapshot = snapshot.draining(drain)
    chosen.check_change(before.request, request)
    needs = chosen.needs(request)
    check_direction(before, request, needs, chosen.tiers(), procedure)
    return chosen.evolve(before, plan_change(before, request, needs, snapshot, procedure))


def plan_change(
    before: Plan, request: InstanceRequest, needs: tuple[ServerNeed, ...], snapshot: InventorySnapshot, procedure: str
) -> Plan:
    """The plan after the change: what still fits stays as it is, the rest is placed as for a new instance.

    Endpoint and networks stay. Old and new servers have room side by side: none takes the address of another.
    Raises CannotPlace when the hall has too little.
    """
    return plan_instance(request, needs, snapshot, before).model_copy(update={"procedure": procedure})


def is_already(
    before: Plan, request: InstanceRequest, needs: tuple[ServerNeed, ...], snapshot: InventorySnapshot
) -> bool:
    """Whether the instance is what is asked for, and none of its servers needs to be replaced."""
    kept = sum(map(len, staying(before, needs, snapshot)))
    same = _what(before.request) == _what(request)
    return same and kept == sum(need.count for need in needs) == len(before.servers)


def _what(request: InstanceRequest) -> tuple[object, ...]:
    """All of a request but its number of servers, which its needs say, and who asks."""
    return request.tier, request.capacity_gib, request.web, request.storage, set(request.features)


def check_direction(
    before: Plan, request: InstanceRequest, needs: tuple[ServerNeed, ...], tiers: Collection[str], procedure: str
) -> None:
    """Refuse to make an instance smaller by scaling up, or bigger by scaling down. `tiers`: the smallest first."""
    compared = list(_compared(before, request, needs, list(tiers)))
    if procedure == UP and (less := [words for words, was, asked in compared if asked < was]):
        raise BadInput(f"ScaleUp cannot make {request.instance} smaller ({', '.join(less)}); use ScaleDown for that.")
    if procedure == DOWN and (more := [words for words, was, asked in compared if asked > was]):
        raise BadInput(f"ScaleDown cannot make {request.instance} bigger ({', '.join(more)}); use ScaleUp for that.")


def _compared(
    before: Plan, request: InstanceRequest, needs: tuple[ServerNeed, ...], tiers: list[str]
) -> Iterator[tuple[str, int, int]]:
    """What is asked for in words, how much of it there is, and how much there shall be."""
    was = before.request
    yield f"tier {request.tier!r}, now {was.tier!r}", tiers.index(was.tier), tiers.index(request.tier)
    yield f"capacity_gib {request.capacity_gib}, now {was.capacity_gib}", was.capacity_gib, request.capacity_gib
    for feature in sorted({*was.features, *request.features}):
        words = f"with feature {feature!r}" if feature in request.features else f"without feature {feature!r}"
        yield words, feature in was.features, feature in request.features
    if request.tier == was.tier:
        for need in needs:
            there = sum(server.roles == need.roles for server in before.servers)
            yield f"{need.count} servers for {' + '.join(need.roles)}, now {there}", there, need.count
