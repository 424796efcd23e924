"""Puts a plan together: servers, their networks and ports, what it holds, what people must do for it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Interface

from freehold.errors import CannotPlace
from freehold.models.hall import Cable, Device
from freehold.models.network import PortChange, PortConfig, PortMode, TrunkChange
from freehold.models.plan import (
    Endpoint,
    Hold,
    HoldKind,
    NetworkPurpose,
    Plan,
    PlannedNetwork,
    PlannedNic,
    PlannedPort,
    PlannedServer,
    PlannedTrunk,
)
from freehold.models.request import InstanceRequest
from freehold.planning.networking import Networking
from freehold.planning.paths import islands, trunks_between, trunks_joining
from freehold.planning.placement import NIC_OF, Field, racks_used, staying
from freehold.planning.refusal import too_few_servers
from freehold.planning.snapshot import InventorySnapshot, natural
from freehold.services.base import ServerNeed


class Planner:
    """`now` is the hall as it is; the snapshot may have servers mounted and cabled that still lie in the storeroom.

    `before` is the plan of an active instance that is to change: what still fits of it stays as it is.
    """

    def __init__(
        self,
        request: InstanceRequest,
        needs: tuple[ServerNeed, ...],
        snapshot: InventorySnapshot,
        now: InventorySnapshot | None = None,
        before: Plan | None = None,
    ) -> None:
        self.request = request
        self.needs = needs
        self.snapshot = snapshot
        self.now = now or snapshot
        self.before = before
        self.networking = Networking(request, snapshot, before)
        self.staying = staying(before, needs, snapshot)
        self.fabric = snapshot.fabric(request.site)
        self.hosts = snapshot.host_switches(request.customer, request.site)

    def plan(self) -> Plan:
        chosen = self._choose()
        networks = self.networking.networks({purpose for need in self.needs for purpose in need.networks})
        endpoint = self.networking.endpoint()
        return self.assemble(self._servers(chosen, networks, endpoint), networks, endpoint)

    def assemble(
        self, servers: tuple[PlannedServer, ...], networks: tuple[PlannedNetwork, ...], endpoint: Endpoint
    ) -> Plan:
        """The plan of these servers: their ports, trunks, cables and work for hands, and all that it holds."""
        ports = self._ports(servers, networks)
        trunks = tuple(t for network in networks for t in self._trunks(network, servers))
        touched = {s.server for s in servers} | {p.switch for p in ports} | {t.switch for t in trunks}
        return Plan(
            procedure="provision-instance",
            request=self.request,
            servers=servers,
            networks=networks,
            endpoint=endpoint,
            ports=ports,
            trunks=trunks,
            holds=self._holds(servers, networks, endpoint),
            management=tuple((n, self.snapshot.device[n].management.address) for n in sorted(touched)),
            installs=self._installs(servers),
            power_on=tuple(s.server for s in servers if not s.powered and s.server not in self._installs(servers)),
            cables=self._new_cables(servers),
            leaves=self._leaves(servers),
        )

    def _leaves(self, servers: tuple[PlannedServer, ...]) -> tuple[str, ...]:
        there = {s.server for s in servers}
        return tuple(s.server for s in self._servers_before if s.server not in there)

    @property
    def _servers_before(self) -> tuple[PlannedServer, ...]:
        return self.before.servers if self.before else ()

    def _installs(self, servers: tuple[PlannedServer, ...]) -> tuple[str, ...]:
        return tuple(s.server for s in servers if self.now.device[s.server].position is None)

    def _new_cables(self, servers: tuple[PlannedServer, ...]) -> tuple[Cable, ...]:
        there = {c.label for c in self.now.cables}
        names = {s.server for s in servers}
        return tuple(
            c for c in self.snapshot.cables if c.label not in there and not names.isdisjoint((c.a.device, c.b.device))
        )

    def _choose(self) -> list[tuple[Device, ...]]:
        """New servers per need: front NICs on the customer's switches, back NICs all on switches that trunks join."""
        missing = [need.count - len(kept) for need, kept in zip(self.needs, self.staying, strict=True)]
        wanted = [n for n, count in enumerate(missing) if count]
        field = Field.of(
            tuple(self.needs[n].model_copy(update={"count": missing[n]}) for n in wanted),
            self.snapshot,
            self.request.site,
            self.request.instance,
            {s.server for s in self._servers_before},
            {s.server: s.roles for s in self.before.disabled} if self.before else None,
        )
        kept = [[self.snapshot.device[s.server] for s in servers] for servers in self.staying]
        fields = self._reachable(field)
        choices = [chosen for f in fields if (chosen := f.choose([kept[n] for n in wanted], kept)) is not None]
        if not choices:
            least = min(fields, key=Field.missing, default=field)
            raise too_few_servers(self.request, least, self.snapshot, sum(map(len, kept)))
        best = dict(zip(wanted, max(choices, key=lambda c: sum(racks_used(servers) for servers in c)), strict=True))
        return [best.get(n, ()) for n in range(len(self.needs))]

    def _reachable(self, field: Field) -> list[Field]:
        """The field, once for every pair of switch islands in which the two networks can be."""
        groups = islands(self.fabric)
        if len(groups) == 1:
            return [field]
        fronts, backs = ([g for g in groups if self._joins(p, g)] for p in (NetworkPurpose.FRONT, NetworkPurpose.BACK))
        return [
            field.reachable(self.snapshot, {NetworkPurpose.FRONT: front, NetworkPurpose.BACK: back})
            for front in fronts
            if self._reaches_hosts(front)
            for back in backs
        ]

    def _joins(self, purpose: NetworkPurpose, switches: set[str]) -> bool:
        """Whether a network of the plan before can grow here."""
        there = {nic.switch for s in self._servers_before for nic in s.nics if nic.network is purpose}
        if not switches.isdisjoint(there) and not there <= switches:
            raise CannotPlace(
                f"{self.request.instance} has servers on switches that no trunk joins any more: "
                f"{', '.join(sorted(there, key=natural))}. Cable a trunk between them."
            )
        return there <= switches

    def _reaches_hosts(self, switches: set[str]) -> bool:
        inside = switches.intersection(self.hosts)
        if inside and inside != set(self.hosts):
            raise CannotPlace(
                f"{self.request.customer}'s hosts at site {self.request.site} are on switches that no trunk joins: "
                f"{', '.join(self.hosts)}. Cable a trunk between them."
            )
        return bool(inside) or not self.hosts

    def _servers(
        self, chosen: list[tuple[Device, ...]], networks: tuple[PlannedNetwork, ...], endpoint: Endpoint
    ) -> tuple[PlannedServer, ...]:
        """Need by need the servers that stay, as they are, and the new ones with free addresses."""
        free: dict[NetworkPurpose, Iterator[IPv4Interface]] = {}
        for network in networks:
            count = sum(len(c) for n, c in zip(self.needs, chosen, strict=True) if network.purpose in n.networks)
            free[network.purpose] = iter(
                self.networking.front_addresses(count, endpoint)
                if network.purpose is NetworkPurpose.FRONT
                else self.networking.back_addresses(count, network.prefix)
            )
        planned: list[PlannedServer] = []
        for need, kept, devices in zip(self.needs, self.staying, chosen, strict=True):
            new = [
                self.server(need, device, {purpose: next(free[purpose]) for purpose in need.networks})
                for device in sorted(devices, key=lambda d: natural(d.name))
            ]
            planned += sorted((*kept, *new), key=lambda s: natural(s.server))
        return tuple(planned)

    def server(
        self, need: ServerNeed, device: Device, addresses: Mapping[NetworkPurpose, IPv4Interface | None]
    ) -> PlannedServer:
        assert device.position is not None  # placement takes mounted servers only
        return PlannedServer(
            server=device.name,
            serial=device.serial,
            rack=device.position.rack,
            unit=device.position.unit,
            feeds=device.feeds,
            roles=need.roles,
            nics=tuple(
                self._nic(device, purpose, addresses[purpose])
                for purpose in sorted(need.networks, key=NIC_OF.__getitem__)
            ),
            disks=tuple(disk.name for disk in device.disks if disk.size_gib >= need.disk_gib)[: need.disks],
            powered=device.powered,
        )

    def _nic(self, device: Device, purpose: NetworkPurpose, address: IPv4Interface | None) -> PlannedNic:
        nic = device.nics[NIC_OF[purpose]]
        end = self.snapshot.switch_port(device.name, nic.name)
        assert end is not None  # placement takes cabled servers only
        return PlannedNic(
            nic=nic.name,
            mac=nic.mac,
            network=purpose,
            switch=end[0],
            switch_port=end[1],
            cable=self.snapshot.cable_at[end],
            address=address,
        )

    def _ports(
        self, servers: tuple[PlannedServer, ...], networks: tuple[PlannedNetwork, ...]
    ) -> tuple[PlannedPort, ...]:
        vlans = {n.purpose: n.vlan for n in networks}
        there = {(p.switch, p.change.port): p for p in self.before.ports} if self.before else {}
        ports = [
            there.get((nic.switch, nic.switch_port))
            or PlannedPort(
                switch=nic.switch,
                change=PortChange(
                    port=nic.switch_port,
                    config=PortConfig(
                        mode=PortMode.ACCESS,
                        vlan=vlans[nic.network],
                        description=f"{self.request.instance} {server.server}"[:64],
                    ),
                ),
                before=self.snapshot.initial[nic.switch, nic.switch_port],
            )
            for server in servers
            for nic in server.nics
        ]
        return tuple(sorted(ports, key=lambda p: (natural(p.switch), natural(p.change.port))))

    def _trunks(self, network: PlannedNetwork, servers: tuple[PlannedServer, ...]) -> tuple[PlannedTrunk, ...]:
        """The network's VLAN on both ends of every trunk between the switches that it needs.

        What leaves counts too: until it has left, data moves between it and what stays.
        """
        every = (*self._servers_before, *servers)
        ends = sorted({nic.switch for s in every for nic in s.nics if nic.network is network.purpose})
        if network.purpose is NetworkPurpose.FRONT:
            # All instances of a customer share this VLAN, so they must agree on the root.
            passed = trunks_between(self.fabric, sorted({*ends, *self.hosts}), next(iter(self.hosts), None))
        else:
            there = (
                {(t.switch, t.change.port) for t in self.before.trunks if t.change.vlan == network.vlan}
                if self.before
                else set()
            )
            passed = trunks_joining(self.fabric, ends, there)
        trunks = [
            PlannedTrunk(switch=end.device, change=TrunkChange(port=end.port, vlan=network.vlan, present=True))
            for cable in passed
            for end in (cable.a, cable.b)
            # What passes before any instance must still pass after the last one.
            if network.vlan not in self.snapshot.initial[end.device, end.port].trunk_vlans
        ]
        return tuple(sorted(trunks, key=lambda t: (natural(t.switch), natural(t.change.port))))

    def _holds(
        self, servers: tuple[PlannedServer, ...], networks: tuple[PlannedNetwork, ...], endpoint: Endpoint
    ) -> tuple[Hold, ...]:
        site = self.request.site
        holds = {(HoldKind.ENDPOINT_NAME, endpoint.name), (HoldKind.ADDRESS, f"{site}/{endpoint.address.ip}")}
        for network in networks:
            if network.purpose is NetworkPurpose.BACK:
                holds |= {(HoldKind.VLAN, f"{site}/{network.vlan}"), (HoldKind.PREFIX, f"{site}/{network.prefix}")}
        for server in servers:
            holds.add((HoldKind.SERVER, server.server))
            holds |= {(HoldKind.PORT, f"{nic.switch}/{nic.switch_port}") for nic in server.nics}
            holds |= {(HoldKind.ADDRESS, f"{site}/{nic.address.ip}") for nic in server.nics if nic.address}
            if server.server in self._installs(servers):
                holds.add((HoldKind.UNIT, f"{site}/{server.rack}/{server.unit}"))
        holds |= {(HoldKind.PORT, str(cable.a)) for cable in self._new_cables(servers)}
        return tuple(Hold(kind=kind, key=key) for kind, key in sorted(holds))
