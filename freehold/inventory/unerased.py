"""Servers that died with an instance's data on their disks: nobody may have them before it is known to be gone."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from sqlalchemy.orm import Session

from freehold.errors import Conflict, NotFound
from freehold.inventory import records, reservations
from freehold.inventory.documents import parsed
from freehold.inventory.schema import DeviceRow
from freehold.models.hall import Device
from freehold.models.instance import Evidence, EvidenceKind


def give_up(session: Session, instance: str, servers: Iterable[str]) -> None:
    """The instance does without these servers from now on."""
    why = f"it died while it served {instance}, and its disks are not erased"
    for name in servers:
        if row := session.get(DeviceRow, name):
            after = parsed(Device, row.document).model_copy(update={"out_of_use": why, "unerased": instance})
            row.document = after.model_dump_json()


def refuse(device: Device) -> None:
    """Nobody's data goes to the next customer. Raises Conflict that says how to go on."""
    if device.unerased:
        raise Conflict(
            f"{device.name} still has data of {device.unerased} on its disks. Erase or replace them, then say how: "
            f"`freehold inventory erased {device.name} --how TEXT`."
        )


def set_erased(session: Session, server: str, method: str, operator: str) -> Evidence:
    """Whether it can be used again is another question."""
    row = session.get(DeviceRow, server)
    device = parsed(Device, row.document) if row else None
    if row is None or device is None or not device.unerased:
        raise NotFound(f"no instance has given up {server!r} with data on its disks.")
    record = Evidence(
        id=f"erased/{server}/{uuid.uuid4().hex}",
        instance=device.unerased,
        kind=EvidenceKind.ERASE,
        claim=f"the disks of {server} hold no data, says {operator}",
        holds=True,
        observed={"server": server, "disks": [d.name for d in device.disks], "method": method, "operator": operator},
        at=reservations.now(),
    )
    records.keep_evidence(session, [record])
    row.document = device.model_copy(update={"unerased": ""}).model_dump_json()
    return record
