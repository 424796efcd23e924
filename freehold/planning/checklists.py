"""From a plan to the work for hands: items in the order in which a person walks. Pure, with stable ids."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from freehold.models.checklist import Item, ItemKind, Place
from freehold.models.hall import Cable, Device
from freehold.models.plan import Plan, PlannedServer
from freehold.planning.snapshot import natural

Places = Mapping[str, Place]
"""Where devices stand; one that is not in it stands outside the racks."""

PREFIX = {kind: kind.value.replace(" ", "-") for kind in ItemKind}
"""An item's id is this and what it is about: `power-on:srv-10`."""


def item_id(kind: ItemKind, about: str) -> str:
    return f"{PREFIX[kind]}:{about}"


def places_of(devices: Iterable[Device]) -> dict[str, Place]:
    """Where mounted devices are, by name."""
    return {d.name: Place(rack=d.position.rack, unit=d.position.unit) for d in devices if d.position}


def installation(plan: Plan, places: Places) -> tuple[Item, ...]:
    """What people must do before the plan's servers answer: rack by rack, in a rack kind by kind, bottom up.

    A cable is plugged where the walk passes its server; its other end is named with it.
    """
    cables = {server.server: _cables_of(plan, server.server) for server in plan.servers}
    where = {**places, **{s.server: Place(rack=s.rack, unit=s.unit) for s in plan.servers}}
    works: tuple[tuple[Collection[str], Callable[[PlannedServer], list[Item]]], ...] = (
        (plan.installs, lambda s: [_rack(s), _feed(s)]),
        ([name for name, found in cables.items() if found], lambda s: [_cable(s, c, where) for c in cables[s.server]]),
        ((*plan.installs, *plan.power_on), lambda s: [_power_on(s)]),
    )
    return tuple(
        item
        for rack in _racks(plan)
        for concerned, make in works
        for server in sorted(rack, key=lambda s: s.unit)
        if server.server in concerned
        for item in make(server)
    )


def _racks(plan: Plan) -> list[list[PlannedServer]]:
    racks: dict[str, list[PlannedServer]] = {}
    for server in plan.servers:
        racks.setdefault(server.rack, []).append(server)
    return [racks[name] for name in sorted(racks, key=natural)]


def _cables_of(plan: Plan, server: str) -> list[Cable]:
    mine = [c for c in plan.cables if server in (c.a.device, c.b.device)]
    return sorted(mine, key=lambda c: natural(_ends(c, server)[0]))


def _ends(cable: Cable, server: str) -> tuple[str, str]:
    """The port at the server and the one at the other end."""
    here, there = (cable.a, cable.b) if cable.a.device == server else (cable.b, cable.a)
    return str(here), str(there)


def _place(server: PlannedServer) -> Place:
    return Place(rack=server.rack, unit=server.unit)


def _rack(server: PlannedServer) -> Item:
    return Item(
        id=item_id(ItemKind.RACK, server.server),
        kind=ItemKind.RACK,
        device=server.server,
        place=_place(server),
        serial=server.serial,
        instruction=f"Carry {server.server} (serial {server.serial}) from the storeroom and mount it on rails in rack "
        f"{_place(server)}.",
    )


def _feed(server: PlannedServer) -> Item:
    feeds = " and ".join(server.feeds) or "the rack's feed"
    return Item(
        id=item_id(ItemKind.FEED, server.server),
        kind=ItemKind.FEED,
        device=server.server,
        place=_place(server),
        feeds=server.feeds,
        instruction=f"Plug the power supplies of {server.server} (rack {_place(server)}) into {feeds}.",
    )


def _cable(server: PlannedServer, cable: Cable, places: Places) -> Item:
    here, there = _ends(cable, server.server)
    far = cable.b if str(cable.a) == here else cable.a

    def said(end: str, place: Place | None) -> str:
        return f"{end} (rack {place})" if place else end

    return Item(
        id=item_id(ItemKind.CABLE, cable.label),
        kind=ItemKind.CABLE,
        device=server.server,
        place=_place(server),
        cable=cable,
        cable_places=(places.get(cable.a.device), places.get(cable.b.device)),
        instruction=f"Plug cable {cable.label} ({cable.type}, {cable.length_m:g} m, {cable.colour}) into "
        f"{said(here, _place(server))} and {said(there, places.get(far.device))}.",
    )


def _power_on(server: PlannedServer) -> Item:
    return Item(
        id=item_id(ItemKind.POWER_ON, server.server),
        kind=ItemKind.POWER_ON,
        device=server.server,
        place=_place(server),
        instruction=f"Switch {server.server} on (rack {_place(server)}).",
    )
