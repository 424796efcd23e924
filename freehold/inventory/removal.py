"""Hardware that people took out of the racks: it lies in the storeroom again."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy.orm import Session

from freehold.inventory.schema import CableRow, DeviceRow
from freehold.models.hall import Device
from freehold.models.removal import Removed


def remove(session: Session, given: Removed) -> bool:
    """Take cables away, and servers out of their places. Repeating it changes nothing."""
    changed = False
    for label in given.cables:
        if (cable := session.get(CableRow, label)) is not None:
            session.delete(cable)
            changed = True
    for name, update in _updates(given):
        row = session.get(DeviceRow, name)
        if row is None:
            continue  # a hall without it was brought in meanwhile
        before = Device.model_validate_json(row.document)
        after = before.model_copy(update=update)
        if after != before:
            row.document = after.model_dump_json()
            changed = True
    return changed


def _updates(given: Removed) -> Iterator[tuple[str, dict[str, object]]]:
    for name in given.switched_off:
        yield name, {"powered": False}
    for name in given.taken_out:
        yield name, {"position": None, "feeds": ()}
