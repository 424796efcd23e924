"""Servers that people could install: where there is room for them in the racks and on the leaf switches. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import replace

from freehold.models.hall import Cable, Device, DeviceKind, Hall, Position, Rack
from freehold.models.network import PortMode, PortRef
from freehold.models.plan import HoldKind, Plan
from freehold.planning.snapshot import InventorySnapshot, natural

COLOURS = ("blue", "yellow")
"""Of the cables of a server's first (front) and second (back) NIC; the others are grey."""
LENGTHS_M = (1.0, 2.0, 3.0, 5.0, 7.0, 10.0, 15.0, 20.0, 30.0, 50.0, 100.0)
"""Cables as they are sold."""
UNIT_M, RACK_M, SLACK_M = 0.045, 0.6, 0.6
OVER_THE_TOP_M = 2.0
"""What leaving a rack costs, up to the tray and down again."""


def still_to_do(plan: Plan, hall: Hall) -> Plan:
    """The plan without the work that is done already: what the inventory has is not asked for again."""
    devices = {d.name: d for d in hall.devices}
    there = {c.label for c in hall.cables}
    installs = tuple(name for name in plan.installs if devices[name].position is None)
    asleep = (*plan.power_on, *(name for name in plan.installs if name not in installs))
    return plan.model_copy(
        update={
            "installs": installs,
            "power_on": tuple(name for name in asleep if not devices[name].powered),
            "cables": tuple(c for c in plan.cables if c.label not in there),
        }
    )


def installable(snapshot: InventorySnapshot, site: str, instance: str) -> tuple[str, ...]:
    """Servers of the site that nobody else holds and that lie in the storeroom or miss a cable."""
    return tuple(
        sorted(
            (
                d.name
                for d in snapshot.devices
                if d.site == site
                and d.kind is DeviceKind.SERVER
                and not d.out_of_use
                and snapshot.holder(HoldKind.SERVER, d.name) in (None, instance)
                and (d.position is None or any((d.name, n.name) not in snapshot.cable_at for n in d.nics))
            ),
            key=natural,
        )
    )


def furnished(
    snapshot: InventorySnapshot,
    site: str,
    instance: str,
    names: Collection[str],
    among: Collection[str] | None = None,
    beside: Collection[str] = (),
) -> InventorySnapshot:
    """The hall as it would be with these servers mounted and cabled; one without room stays where it is.

    Cables lead to the switches `among` these, or to any of the site. Racks that have servers `beside` which these
    are to work come last.
    """
    room = _Room(snapshot, site, instance, among, beside)
    done = {name: made for name in sorted(names, key=natural) if (made := room.take(snapshot.device[name]))}
    devices = tuple(done[d.name][0] if d.name in done else d for d in snapshot.devices)
    cables = (*snapshot.cables, *(cable for _, made in done.values() for cable in made))
    return replace(snapshot, devices=devices, cables=cables)


class _Room:
    """Free rack units and switch ports of a site, as they are taken."""

    def __init__(
        self,
        snapshot: InventorySnapshot,
        site: str,
        instance: str,
        among: Collection[str] | None,
        beside: Collection[str],
    ) -> None:
        self._snapshot, self._site, self._instance = snapshot, site, instance
        self._racks = sorted((r for r in snapshot.racks if r.site == site), key=lambda r: natural(r.name))
        self._number = {rack.name: n for n, rack in enumerate(self._racks)}
        self._filled: dict[str, set[int]] = {r.name: set() for r in self._racks}
        self._labels = {c.label for c in snapshot.cables}
        self._taken: Counter[str] = Counter()
        for device in snapshot.devices:
            if device.site == site and device.position:
                first = device.position.unit
                self._filled[device.position.rack].update(range(first, first + device.position.height))
                self._taken[device.position.rack] += device.name in beside
        self._ports = [
            (d, sorted(self._free_ports(d), key=natural))
            for d in snapshot.devices
            if d.kind is DeviceKind.SWITCH and d.site == site and d.position and (among is None or d.name in among)
        ]

    def _free_ports(self, switch: Device) -> Iterator[str]:
        for port in switch.ports:
            label = f"{switch.name}.{port.name}"
            if (
                port.initial.mode is PortMode.CLOSED
                and not port.out_of_use
                and (switch.name, port.name) not in self._snapshot.cable_at
                and label not in self._labels
                and self._free(HoldKind.PORT, f"{switch.name}/{port.name}")
            ):
                yield port.name

    def _free(self, kind: HoldKind, key: str) -> bool:
        return self._snapshot.holder(kind, key) in (None, self._instance)

    def take(self, server: Device) -> tuple[Device, tuple[Cable, ...]] | None:
        """Mount and cable a server, or None when there is no room for it."""
        nics = [n.name for n in server.nics if (server.name, n.name) not in self._snapshot.cable_at]
        for position, feeds in self._positions(server):
            switches = self._switches(position.rack)
            if sum(len(ports) for _, ports in switches) < len(nics):
                continue
            self._filled[position.rack].add(position.unit)
            self._taken[position.rack] += 1
            cables = tuple(self._cable(server, nic, position, switches) for nic in nics)
            return server.model_copy(update={"position": position, "feeds": feeds}), cables
        return None

    def _positions(self, server: Device) -> Iterator[tuple[Position, tuple[str, ...]]]:
        """Where it could stand: in turn in every rack whose feeds fit, from the bottom."""
        if server.position:
            yield server.position, server.feeds
            return
        for rack in sorted(self._racks, key=lambda r: self._taken[r.name]):
            feeds = server.feeds or rack.feeds[:2]
            unit = self._free_unit(rack)
            if unit and feeds and set(feeds) <= set(rack.feeds):
                yield Position(rack=rack.name, unit=unit), feeds

    def _free_unit(self, rack: Rack) -> int | None:
        for unit in range(1, rack.units + 1):
            if unit not in self._filled[rack.name] and self._free(HoldKind.UNIT, f"{self._site}/{rack.name}/{unit}"):
                return unit
        return None

    def _switches(self, rack: str) -> list[tuple[Device, list[str]]]:
        """Switches of the own rack; if it has none with a free port, those of the nearest one that has."""
        here = self._number[rack]

        def distance(switch: Device) -> int:
            assert switch.position is not None
            return abs(self._number[switch.position.rack] - here)

        free = sorted(((s, p) for s, p in self._ports if p), key=lambda sp: (distance(sp[0]), natural(sp[0].name)))
        return [(s, p) for s, p in free if distance(s) == distance(free[0][0])]

    def _cable(self, server: Device, nic: str, at: Position, switches: list[tuple[Device, list[str]]]) -> Cable:
        switch, ports = next((s, p) for s, p in switches if p)
        port = ports.pop(0)
        assert switch.position is not None
        number = [n.name for n in server.nics].index(nic)
        return Cable(
            label=f"{switch.name}.{port}",
            a=PortRef(device=switch.name, port=port),
            b=PortRef(device=server.name, port=nic),
            length_m=self._length_m(switch.position, at),
            colour=COLOURS[number] if number < len(COLOURS) else "grey",
        )

    def _length_m(self, one: Position, other: Position) -> float:
        apart = abs(self._number[one.rack] - self._number[other.rack])
        metres = abs(one.unit - other.unit) * UNIT_M + SLACK_M
        if apart:
            metres += apart * RACK_M + OVER_THE_TOP_M
        return next((length for length in LENGTHS_M if length >= metres), math.ceil(metres))
