"""The hall in the inventory: bringing it in, reading it back, how to reach its devices."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from ipaddress import IPv4Network
from typing import TypeVar

from pydantic import BaseModel
from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from freehold.errors import Conflict, NotFound
from freehold.inventory import reservations, unerased
from freehold.inventory.documents import parsed
from freehold.inventory.schema import CableRow, CustomerRow, DeviceRow, HallRow, HoldRow, InstanceRow, RackRow, SiteRow
from freehold.models.access import Access
from freehold.models.base import Model
from freehold.models.hall import Cable, Customer, Device, DeviceKind, Hall, Rack, Site
from freehold.models.instance import InstanceState
from freehold.models.plan import HoldKind
from freehold.planning.snapshot import InventorySnapshot, collecting_later, natural

M = TypeVar("M", bound=BaseModel)
Table = type[SiteRow] | type[RackRow] | type[DeviceRow] | type[CableRow] | type[CustomerRow]


class ImportCounts(Model):
    """What an import changed: things of every kind together."""

    added: int = 0
    changed: int = 0
    removed: int = 0
    unchanged: int = 0


def import_hall(session: Session, hall: Hall, host_keys: Mapping[str, str], credential: str) -> ImportCounts:
    """Make the inventory's hall this one. Refuses to take away or rewire what an instance holds."""
    _refuse_to_lose_what_is_held(session, hall)
    known = _documents(session, DeviceRow.document, Device)
    _refuse_to_mix(session, hall, known)
    devices = _with_marks(hall.devices, known)
    session.execute(delete(HallRow))
    session.execute(insert(HallRow), {"name": hall.name, "management": str(hall.management)})
    known_keys = dict(session.execute(select(DeviceRow.name, DeviceRow.host_key)).all())

    def device_columns(device: Device) -> dict[str, str]:
        key = host_keys.get(device.name, known_keys.get(device.name, ""))
        return {"site": device.site, "kind": device.kind, "host_key": key, "credential": credential}

    def nothing(_: Model) -> dict[str, str]:
        return {}

    done = [
        _sync(session, SiteRow, {s.name: s for s in hall.sites}, nothing),
        _sync(session, RackRow, {f"{r.site}/{r.name}": r for r in hall.racks}, nothing),
        _sync(session, DeviceRow, {d.name: d for d in devices}, device_columns),
        _sync(session, CableRow, {c.label: c for c in hall.cables}, nothing),
        _sync(session, CustomerRow, {c.name: c for c in hall.customers}, nothing),
    ]
    return ImportCounts(**{field: sum(getattr(c, field) for c in done) for field in ImportCounts.model_fields})


def _with_marks(devices: Iterable[Device], known: Sequence[Device]) -> Iterable[Device]:
    """What was found out of use, or holds somebody's data, stays so until somebody says otherwise."""
    data = {d.name: d.unerased for d in known}
    marks = {d.name: d.out_of_use for d in known} | {(d.name, p.name): p.out_of_use for d in known for p in d.ports}
    for d in devices:
        ports = tuple(
            p.model_copy(update={"out_of_use": p.out_of_use or marks.get((d.name, p.name), "")}) for p in d.ports
        )
        kept = {"out_of_use": d.out_of_use or marks.get(d.name, ""), "unerased": d.unerased or data.get(d.name, "")}
        yield d.model_copy(update={**kept, "ports": ports})


def _sync(session: Session, table: Table, wanted: Mapping[str, M], more: Callable[[M], dict[str, str]]) -> ImportCounts:
    there = {row.pop("name"): row for r in session.execute(select(table.__table__)).mappings() for row in (dict(r),)}
    rows = {name: {"document": model.model_dump_json(), **more(model)} for name, model in wanted.items()}
    new = [{"name": name, **row} for name, row in rows.items() if name not in there]
    changed = [{"name": name, **row} for name, row in rows.items() if name in there and there[name] != row]
    gone = sorted(there.keys() - rows.keys())
    if new:
        session.execute(insert(table), new)
    if changed:
        session.execute(update(table), changed)
    for names in _chunks(gone):
        session.execute(delete(table).where(table.name.in_(names)))
    return ImportCounts(
        added=len(new), changed=len(changed), removed=len(gone), unchanged=len(rows) - len(new) - len(changed)
    )


def _chunks(names: list[str], size: int = 500) -> Iterable[list[str]]:
    return (names[i : i + size] for i in range(0, len(names), size))


def _refuse_to_lose_what_is_held(session: Session, hall: Hall) -> None:
    devices = {d.name: d for d in hall.devices}
    ports = {f"{d.name}/{p.name}" for d in hall.devices for p in d.ports}
    for hold in session.scalars(select(HoldRow).order_by(HoldRow.kind, HoldRow.key)):
        if (hold.kind == HoldKind.SERVER and hold.key not in devices) or (
            hold.kind == HoldKind.PORT and hold.key not in ports
        ):
            raise Conflict(
                f"{hold.kind} {hold.key} is not in hall {hall.name}, but {hold.instance} holds it; "
                f"decommission {hold.instance} first."
            )
    cables = {c.label: c for c in hall.cables}
    customers = {c.name: c for c in hall.customers}
    for row in session.scalars(select(InstanceRow).where(InstanceRow.state != InstanceState.GONE)):
        plans = reservations.plans_of(row)
        if (customer := plans[0].request.customer) not in customers:
            raise Conflict(
                f"customer {customer} owns {row.name}, but is not in hall {hall.name}; decommission {row.name} first."
            )
        for server in (server for plan in plans for server in plan.servers):
            if (device := devices.get(server.server)) and device.serial != server.serial:
                raise Conflict(
                    f"{server.server} has serial {device.serial} in hall {hall.name} and {server.serial} in the plan "
                    f"of {row.name}, which holds it; decommission {row.name} first."
                )
            for nic in server.nics:
                cable = cables.get(nic.cable.label)
                if cable is None or {cable.a, cable.b} != {nic.cable.a, nic.cable.b}:
                    raise Conflict(
                        f"cable {nic.cable.label} leads elsewhere in hall {hall.name}, but {row.name} uses it "
                        f"({nic.cable.a} to {nic.cable.b}); decommission {row.name} first."
                    )


def _refuse_to_mix(session: Session, hall: Hall, known: Sequence[Device]) -> None:
    """Nobody's data come back with a server that was taken out and put in again, and no VLAN serves two."""
    names = {d.name for d in hall.devices}
    for device in known:
        if device.name not in names:
            unerased.refuse(device)
    held = {hold.key: hold.instance for hold in session.scalars(select(HoldRow).where(HoldRow.kind == HoldKind.VLAN))}
    for customer in hall.customers:
        for network in customer.networks:
            if by := held.get(f"{network.site}/{network.vlan}"):
                raise Conflict(
                    f"VLAN {network.vlan} at {network.site} is that of customer {customer.name} in hall {hall.name}, "
                    f"but {by} has it for its own servers; give {customer.name} another one or decommission {by} first."
                )


def _documents(session: Session, column: InstrumentedAttribute[str], model: type[M], *where: object) -> tuple[M, ...]:
    query = select(column)
    if where:
        query = query.where(*where)  # type: ignore[arg-type]
    return tuple(parsed(model, document) for document in session.scalars(query))


def read_hall(session: Session) -> Hall:
    """The whole hall, sorted by name. Checked when it was brought in, so not a second time."""
    row = session.scalars(select(HallRow)).first()
    if row is None:
        raise NotFound("The inventory is empty; bring a hall in with `freehold inventory import PATH`.")
    with collecting_later():
        return Hall.model_construct(
            name=row.name,
            management=IPv4Network(row.management),
            sites=_sorted(_documents(session, SiteRow.document, Site)),
            racks=_sorted(_documents(session, RackRow.document, Rack)),
            devices=_sorted(_documents(session, DeviceRow.document, Device)),
            cables=tuple(sorted(_documents(session, CableRow.document, Cable), key=lambda c: natural(c.label))),
            customers=_sorted(_documents(session, CustomerRow.document, Customer)),
        )


def _sorted(things: tuple[M, ...]) -> tuple[M, ...]:
    return tuple(sorted(things, key=lambda t: natural(getattr(t, "name"))))  # noqa: B009


def read_snapshot(session: Session, site: str | None) -> InventorySnapshot:
    hall = read_hall(session)
    if site is not None:
        devices = {d.name: d for d in hall.devices if d.site == site}
        cables = tuple(c for c in hall.cables if c.a.device in devices and c.b.device in devices)
        hall = hall.model_copy(update={"devices": tuple(devices.values()), "cables": cables})
    held = session.execute(select(HoldRow.kind, HoldRow.key, HoldRow.instance))
    return InventorySnapshot.of(hall, {(HoldKind(kind), key): who for kind, key, who in held})


def device(session: Session, name: str) -> Device:
    return parsed(Device, _row(session, name).document)


def _row(session: Session, name: str) -> DeviceRow:
    row = session.get(DeviceRow, name)
    if row is None:
        raise NotFound(f"device {name!r} is not in the inventory.")
    return row


def access(session: Session, name: str) -> Access:
    """How to reach a device."""
    row = _row(session, name)
    if not row.host_key:
        raise NotFound(f"{name} has no host key in the inventory; import the hall with its known_hosts.")
    device = parsed(Device, row.document)
    return Access(
        device=name,
        address=device.management.address,
        port=device.management.port,
        user=device.management.user,
        host_key=row.host_key,
        credential=row.credential,
        dialect=device.dialect,
    )


def hosts(session: Session, customer: str | None) -> tuple[Device, ...]:
    """Customers' own machines, of one customer or of all."""
    found = _sorted(_documents(session, DeviceRow.document, Device, DeviceRow.kind == DeviceKind.HOST))
    return tuple(d for d in found if customer in (None, d.customer))
