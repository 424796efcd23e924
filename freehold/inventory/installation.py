"""Hardware that people brought into the racks or found broken: the hall knows it, whatever becomes of the instance."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlalchemy.orm import Session

from freehold.errors import Conflict, NotFound
from freehold.inventory import records, reservations, unerased
from freehold.inventory.documents import parsed
from freehold.inventory.halls import read_snapshot
from freehold.inventory.reservations import instance
from freehold.inventory.schema import CableRow, DeviceRow
from freehold.models.hall import Device, DeviceKind, Position
from freehold.models.installation import Installed
from freehold.models.instance import Evidence
from freehold.models.plan import Plan
from freehold.planning.snapshot import InventorySnapshot


def install(session: Session, given: Installed) -> bool:
    """Give servers their place and power, and cables their ends, as the instance's plan has them."""
    plan = instance(session, given.instance).newest
    changed = False
    for server in plan.servers:
        row = session.get(DeviceRow, server.server)
        if row is None:
            raise Conflict(f"{server.server} of {given.instance} is not in the inventory any more.")
        before = parsed(Device, row.document)
        update: dict[str, object] = {}
        if server.server in given.mounted and before.position is None:
            update |= {"position": Position(rack=server.rack, unit=server.unit), "feeds": server.feeds}
        if server.server in given.powered and not before.powered:
            update["powered"] = True
        if update:
            row.document = before.model_copy(update=update).model_dump_json()
            changed = True
    for cable in plan.cables:
        if cable.label in given.cables and session.get(CableRow, cable.label) is None:
            session.add(CableRow(name=cable.label, document=cable.model_dump_json()))
            changed = True
    return changed


def set_out_of_use(session: Session, marks: Mapping[str, str]) -> bool:
    """Mark servers (`srv-10`) and switch ports (`leaf1/swp7`); an empty reason puts one back in use."""
    changed = False
    for thing, why in marks.items():
        name, slash, port = thing.partition("/")
        row = session.get(DeviceRow, name)
        before = parsed(Device, row.document) if row else None
        if before is None or (
            port not in {p.name for p in before.ports} if slash else before.kind is not DeviceKind.SERVER
        ):
            raise NotFound(f"{thing!r} is no server and no switch port of the inventory; write srv-10 or leaf1/swp7.")
        assert row is not None
        if not slash and not why:
            unerased.refuse(before)
        ports = tuple(p.model_copy(update={"out_of_use": why}) if p.name == port else p for p in before.ports)
        after = before.model_copy(update={"ports": ports} if slash else {"out_of_use": why})
        if after != before:
            row.document = after.model_dump_json()
            changed = True
    return changed


def replan(
    session: Session,
    standing: Installed,
    make: Callable[[Plan, InventorySnapshot], Plan],
    record: Callable[[Plan, Plan], Evidence],
) -> Plan:
    """Plan anew with the hall as it is, and hold what the new plan holds. Writes the record when the plan changed."""
    install(session, standing)
    session.flush()
    before = instance(session, standing.instance).newest
    after = make(before, read_snapshot(session, None))
    if after.hash != before.hash:
        reservations.exchange(session, after)
        records.keep_evidence(session, [record(before, after)])
    return after
