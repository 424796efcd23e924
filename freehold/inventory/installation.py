"""Hardware that people brought into the racks: it stays part of the hall, whatever becomes of the instance."""

from __future__ import annotations

from sqlalchemy.orm import Session

from freehold.errors import Conflict
from freehold.inventory.reservations import instance
from freehold.inventory.schema import CableRow, DeviceRow
from freehold.models.hall import Device, Position
from freehold.models.installation import Installed


def install(session: Session, given: Installed) -> bool:
    """Give servers their place and power, and cables their ends, as the instance's plan has them."""
    plan = instance(session, given.instance).plan
    changed = False
    for server in plan.servers:
        row = session.get(DeviceRow, server.server)
        if row is None:
            raise Conflict(f"{server.server} of {given.instance} is not in the inventory any more.")
        before = Device.model_validate_json(row.document)
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
