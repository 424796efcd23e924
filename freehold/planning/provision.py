"""The plan of a new instance. Pure and deterministic: same request, needs and snapshot, same plan, same hash."""

from __future__ import annotations

from collections.abc import Iterable

from freehold.errors import CannotPlace
from freehold.models.plan import Plan
from freehold.models.request import InstanceRequest
from freehold.planning.placement import staying
from freehold.planning.planner import Planner
from freehold.planning.snapshot import InventorySnapshot, collecting_later
from freehold.planning.storeroom import furnished, installable
from freehold.services.base import ServerNeed


def plan_instance(
    request: InstanceRequest,
    needs: tuple[ServerNeed, ...],
    snapshot: InventorySnapshot,
    before: Plan | None = None,
) -> Plan:
    """All that provisioning will take and change. What the instance itself holds counts as free.

    Takes servers out of the storeroom, and asks for cables, only when what is installed does not suffice.
    With the plan `before` of an active instance, what still fits of it stays as it is.
    Raises BadInput when the request names what does not exist, CannotPlace when the hall has too little.
    """
    with collecting_later():
        try:
            return Planner(request, needs, snapshot, before=before).plan()
        except CannotPlace:
            own = {s.server for s in before.servers} if before else set()
            idle = [name for name in installable(snapshot, request.site, request.instance) if name not in own]
            if not idle:
                raise
            return _with_fewest_installs(request, needs, snapshot, before, idle)


def _with_fewest_installs(
    request: InstanceRequest,
    needs: tuple[ServerNeed, ...],
    snapshot: InventorySnapshot,
    before: Plan | None,
    idle: Iterable[str],
) -> Plan:
    """A plan of which no installation can be left out."""
    beside = {s.server for kept in staying(before, needs, snapshot) for s in kept}

    def planned(names: Iterable[str]) -> Plan:
        imagined = furnished(snapshot, request.site, request.instance, tuple(names), beside=beside)
        return Planner(request, needs, imagined, snapshot, before).plan()

    plan = planned(idle)
    used = touched_by_hand(plan)
    for name in used:
        try:
            plan = planned(n for n in touched_by_hand(plan) if n != name)
        except CannotPlace:
            continue
    return plan


def touched_by_hand(plan: Plan) -> tuple[str, ...]:
    """Servers that people must mount or cable."""
    ends = {end.device for cable in plan.cables for end in (cable.a, cable.b)}
    return tuple(s.server for s in plan.servers if s.server in ends or s.server in plan.installs)
