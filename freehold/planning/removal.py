"""Taking hardware out: what people must do, and whether machines see that it is done. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from freehold.errors import DeviceUnreachable, ProofFailed
from freehold.models.cabling import CableFinding, Sight, Verdict
from freehold.models.checklist import Item, ItemKind, ItemState, Place
from freehold.models.hall import Cable, Device
from freehold.models.instance import Evidence, EvidenceKind, Instance
from freehold.models.network import PortRef
from freehold.models.removal import Removed
from freehold.planning.checklists import item_id
from freehold.planning.hands import Items
from freehold.planning.snapshot import natural


def removal(servers: Sequence[Device], cables: Iterable[Cable], places: Mapping[str, Place]) -> tuple[Item, ...]:
    """Rack by rack: pull the cables, while the servers are on; then switch off and take out, from the top."""
    standing = sorted(
        (s for s in servers if s.position), key=lambda s: (natural(places[s.name].rack), -places[s.name].unit)
    )
    mine = {s.name: [c for c in cables if s.name in (c.a.device, c.b.device)] for s in standing}
    racks = dict.fromkeys(places[s.name].rack for s in standing)
    pulled = [_uncable(s, c, places) for s in standing for c in sorted(mine[s.name], key=lambda c: natural(c.label))]
    taken = [
        make(s, places[s.name])
        for rack in racks
        for make in (_power_off, _unrack)
        for s in standing
        if places[s.name].rack == rack
    ]
    return (*pulled, *taken)


def _uncable(server: Device, cable: Cable, places: Mapping[str, Place]) -> Item:
    return Item(
        id=item_id(ItemKind.UNCABLE, cable.label),
        kind=ItemKind.UNCABLE,
        device=server.name,
        place=places[server.name],
        cable=cable,
        cable_places=(places.get(cable.a.device), places.get(cable.b.device)),
        instruction=f"Pull cable {cable.label} ({cable.colour}) out of {cable.a} and {cable.b}. "
        f"Leave {server.name} on: machines look whether the cable is gone.",
    )


def _power_off(server: Device, place: Place) -> Item:
    return Item(
        id=item_id(ItemKind.POWER_OFF, server.name),
        kind=ItemKind.POWER_OFF,
        device=server.name,
        place=place,
        instruction=f"Switch {server.name} off (rack {place}).",
    )


def _unrack(server: Device, place: Place) -> Item:
    return Item(
        id=item_id(ItemKind.UNRACK, server.name),
        kind=ItemKind.UNRACK,
        device=server.name,
        place=place,
        serial=server.serial,
        feeds=server.feeds,
        instruction=f"Unplug {server.name} (serial {server.serial}) from {' and '.join(server.feeds) or 'its feeds'}, "
        f"take it out of rack {place} and carry it to the storeroom.",
    )


def still_plugged(cables: Iterable[Cable], sights: Iterable[Sight]) -> tuple[CableFinding, ...]:
    """Of cables that should be gone, those of which an end still sees somebody.

    A server that does not answer any more has nothing to say; a switch must. Raises DeviceUnreachable.
    """
    seen = {s.port: s for s in sights if s.answered}
    found = []
    for cable in cables:
        if cable.a not in seen:
            raise DeviceUnreachable(f"{cable.a.device} does not say what {cable.a} sees; is cable {cable.label} gone?")
        words = [_sees(end, seen[end].neighbours) for end in (cable.a, cable.b) if end in seen and seen[end].neighbours]
        if words:
            cure = f"Cable {cable.label} is still plugged: {', '.join(words)}. Pull it out of {cable.a} and {cable.b}."
            found.append(CableFinding(cable=cable, verdict=Verdict.UNEXPECTED, words=cure))
    return tuple(found)


def _sees(end: PortRef, neighbours: Iterable[PortRef]) -> str:
    return f"{end} sees {', '.join(map(str, neighbours))}"


def refuse_unerased(instance: Instance, servers: Iterable[Device], kept: Iterable[Evidence]) -> None:
    """Nothing leaves with data on it. Raises ProofFailed that names the disk without an erase record.

    A record of an earlier instance of the same name is none.
    """
    erased = {
        (e.observed.get("server"), e.observed.get("disk"))
        for e in kept
        if e.kind is EvidenceKind.ERASE and e.holds and e.at >= instance.created_at
    }
    planned = {s.server: s.disks for s in (*instance.plan.servers, *instance.plan.disabled)}
    for server in servers:
        for disk in planned.get(server.name, tuple(d.name for d in server.disks)):
            if (server.name, disk) not in erased:
                raise ProofFailed(
                    f"{server.name} {disk} has no erase record of {instance.name}; erase it before the server leaves."
                )


def removed(items: Items) -> Removed:
    """What the inventory may know by now."""

    def seen(kind: ItemKind) -> list[Item]:
        return [i for i in items.values() if i.kind is kind and i.state is ItemState.VERIFIED]

    return Removed(
        cables=tuple(i.cable.label for i in seen(ItemKind.UNCABLE) if i.cable),
        switched_off=tuple(i.device for i in seen(ItemKind.POWER_OFF)),
        taken_out=tuple(i.device for i in seen(ItemKind.UNRACK)),
    )
