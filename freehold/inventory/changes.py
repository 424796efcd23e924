"""An active instance on its way from one plan to the next: it holds what either of them names, until one is left."""

from __future__ import annotations

from collections.abc import Callable, Collection

from sqlalchemy import delete
from sqlalchemy.orm import Session

from freehold.errors import Conflict, NotFound
from freehold.inventory.documents import parsed
from freehold.inventory.halls import read_snapshot
from freehold.inventory.reservations import find, hold, now, without_needed
from freehold.inventory.schema import FileRow, InstanceRow
from freehold.inventory.unerased import give_up
from freehold.models.change import Change
from freehold.models.instance import InstanceState
from freehold.models.plan import Plan
from freehold.models.request import ScaleRequest
from freehold.planning.snapshot import InventorySnapshot


def place_change(session: Session, request: ScaleRequest, make: Callable[[Plan, InventorySnapshot], Plan]) -> Change:
    """Plan the change and take what it adds; or find it placed."""
    row = find(session, request.instance)
    before = parsed(Plan, row.plan)
    if row.target is not None:
        after = parsed(Plan, row.target)
        if after.request == request.applied_to(before.request):
            return Change(before=before, after=after)
    if row.state != InstanceState.ACTIVE:
        raise Conflict(f"{row.name} is {row.state}; only an active instance can be changed.")
    after = make(before, read_snapshot(session, None))
    if not request.dry_run:
        hold(session, row.name, {*before.holds, *after.holds})
        row.target = after.model_dump_json()
        row.state = InstanceState.CHANGING
    return Change(before=before, after=after)


def change(session: Session, name: str) -> Change:
    row = find(session, name)
    return Change(before=parsed(Plan, row.plan), after=_target(row))


def keep_target(session: Session, plan: Plan) -> None:
    """Replace the target, e.g. once the devices were read. What it holds must stay the same."""
    row = find(session, plan.instance)
    if set(_target(row).holds) != set(plan.holds):
        raise Conflict(f"The new target of {row.name} takes other things than were reserved; plan the change again.")
    row.target = plan.model_dump_json()


def leaving(session: Session, name: str) -> Plan:
    """What the new plan does not need any more, without what other instances do."""
    return _give_up(session, name, "plan", change(session, name).leaving)


def joining(session: Session, name: str) -> Plan:
    """What the old plan does not need, to be taken back; without what other instances need."""
    return _give_up(session, name, "target", change(session, name).joining)


def _give_up(session: Session, name: str, which: str, part: Plan) -> Plan:
    """From now on the instance needs no trunk for that plan: of two that give one up together, the last takes it."""
    find(session, name).given_up = which
    return without_needed(session, part)


def settle(session: Session, name: str, forget: Collection[str]) -> bool:
    """The target is the instance's plan now; what left is free. False when there is no change (any more)."""
    row = find(session, name)
    if row.target is None:
        return False
    give_up(session, row.name, parsed(Plan, row.target).dead)
    row.plan = row.target
    row.changed_at = now().isoformat()
    _end(session, row, forget)
    return True


def drop(session: Session, name: str, forget: Collection[str]) -> bool:
    """The instance keeps its plan; what had joined is free. False when there is no change (any more)."""
    row = find(session, name)
    if row.target is None:
        return False
    _end(session, row, forget)
    return True


def _end(session: Session, row: InstanceRow, forget: Collection[str]) -> None:
    row.target = row.given_up = None
    row.state = InstanceState.ACTIVE
    hold(session, row.name, parsed(Plan, row.plan).holds)
    session.execute(delete(FileRow).where(FileRow.instance == row.name, FileRow.name.in_(forget)))


def _target(row: InstanceRow) -> Plan:
    if row.target is None:
        raise NotFound(f"{row.name} is not being changed; it is {row.state}.")
    return parsed(Plan, row.target)
