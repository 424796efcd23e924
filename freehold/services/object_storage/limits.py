"""What a change must not cost: the last replica of anything, or the spread over racks that replicas are there for."""

from __future__ import annotations

from freehold.errors import CannotPlace
from freehold.models.plan import Plan
from freehold.services.object_storage.blueprint import Blueprint, Role
from freehold.services.object_storage.layout import Layout


def check(before: Plan, after: Plan, blueprint: Blueprint) -> None:
    """Refuse it at once, before anything is touched. Raises CannotPlace."""
    _refuse_loss(before, after, blueprint)
    _refuse_one_rack(before, after, blueprint)


def _refuse_loss(before: Plan, after: Plan, blueprint: Blueprint) -> None:
    """Without the dead servers at least one replica of everything must be left."""
    if not after.dead:
        return
    layout = Layout.of(before, blueprint)
    dead = {key for s in layout.with_role(Role.STORAGE) if s.server in after.dead for key in layout.keys(s)}
    primaries = layout.rings["object"].primaries
    gone = sum(dead.issuperset(where) for where in primaries)
    if gone:
        raise CannotPlace(
            f"{', '.join(after.dead)} {'has' if len(after.dead) == 1 else 'have'} every replica of {gone} of the "
            f"{len(primaries)} partitions of {before.instance}: without {'it' if len(after.dead) == 1 else 'them'} "
            "those data are lost. Bring one back, and drain it as a server that lives."
        )


def _refuse_one_rack(before: Plan, after: Plan, blueprint: Blueprint) -> None:
    """Where replicas lay in several racks they do so afterwards."""
    replicas = blueprint.tier(after.request).replicas
    was, is_ = _racks(before), _racks(after)
    if len(is_) < min(replicas, len(was)):
        raise CannotPlace(
            f"the storage servers of {before.instance} would all be in {', '.join(sorted(is_))}, and what fails there "
            f"takes all {replicas} replicas away; add a storage server in another rack, e.g. "
            f"{', '.join(sorted(was - is_))}, or keep one there."
        )


def _racks(plan: Plan) -> set[str]:
    return {s.rack for s in plan.servers if Role.STORAGE in s.roles}
