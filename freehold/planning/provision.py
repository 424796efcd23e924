"""The plan of a new instance. Pure and deterministic: same request, needs and snapshot, same plan, same hash."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from freehold.errors import BadInput, CannotPlace
from freehold.models.hall import Cable, Customer, CustomerNetwork, Device, Site
from freehold.models.network import QUARANTINE_VLAN, PortChange, PortConfig, PortMode, TrunkChange
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
from freehold.planning.paths import islands, trunks_between
from freehold.planning.placement import NIC_OF, Field, racks_used
from freehold.planning.refusal import too_few_servers
from freehold.planning.snapshot import InventorySnapshot, collecting_later, natural
from freehold.planning.storeroom import furnished, installable
from freehold.services.base import ServerNeed

BACK_PREFIX_LENGTH = 26
DOMAIN = "freehold.internal"


def plan_instance(request: InstanceRequest, needs: tuple[ServerNeed, ...], snapshot: InventorySnapshot) -> Plan:
    """All that provisioning will take and change. What the instance itself holds counts as free.

    Takes servers out of the storeroom, and asks for cables, only when what is installed does not suffice.
    Raises BadInput when the request names what does not exist, CannotPlace when the hall has too little.
    """
    with collecting_later():
        try:
            return _Planner(request, needs, snapshot).plan()
        except CannotPlace:
            idle = installable(snapshot, request.site, request.instance)
            if not idle:
                raise
            return _with_fewest_installs(request, needs, snapshot, idle)


def _with_fewest_installs(
    request: InstanceRequest, needs: tuple[ServerNeed, ...], snapshot: InventorySnapshot, idle: tuple[str, ...]
) -> Plan:
    """A plan of which no installation can be left out."""

    def planned(names: Iterable[str]) -> Plan:
        imagined = furnished(snapshot, request.site, request.instance, tuple(names))
        return _Planner(request, needs, imagined, snapshot).plan()

    plan = planned(idle)
    used = touched_by_hand(plan)
    for name in used:
        try:
            plan = planned(n for n in touched_by_hand(plan) if n != name)
        except CannotPlace:
            continue
    return plan


def touched_by_hand(plan: Plan) -> tuple[str, ...]:
    """Servers that people must mount or cable."""
    ends = {end.device for cable in plan.cables for end in (cable.a, cable.b)}
    return tuple(s.server for s in plan.servers if s.server in ends or s.server in plan.installs)


class _Planner:
    """`now` is the hall as it is; the snapshot may have servers mounted and cabled that still lie in the storeroom."""

    def __init__(
        self,
        request: InstanceRequest,
        needs: tuple[ServerNeed, ...],
        snapshot: InventorySnapshot,
        now: InventorySnapshot | None = None,
    ) -> None:
        self.request = request
        self.needs = needs
        self.snapshot = snapshot
        self.now = now or snapshot
        self.site = _site(request, snapshot)
        self.front = _front(request, snapshot)
        self.fabric = snapshot.fabric(request.site)
        self.hosts = snapshot.host_switches(request.customer, request.site)

    def plan(self) -> Plan:
        chosen = self._choose()
        networks = self._networks(sum(len(servers) for servers in chosen))
        servers = self._servers(chosen, networks)
        endpoint = Endpoint(
            address=IPv4Interface((self._endpoint_address(), self.front.prefix.prefixlen)),
            name=f"{self.request.instance}.{self.request.customer}.{DOMAIN}",
        )
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
        )

    def _installs(self, servers: tuple[PlannedServer, ...]) -> tuple[str, ...]:
        return tuple(s.server for s in servers if self.now.device[s.server].position is None)

    def _new_cables(self, servers: tuple[PlannedServer, ...]) -> tuple[Cable, ...]:
        there = {c.label for c in self.now.cables}
        names = {s.server for s in servers}
        return tuple(
            c for c in self.snapshot.cables if c.label not in there and not names.isdisjoint((c.a.device, c.b.device))
        )

    def _choose(self) -> list[tuple[Device, ...]]:
        """Servers per need: front NICs on the customer's switches, back NICs all on switches that trunks join."""
        field = Field.of(self.needs, self.snapshot, self.site.name, self.request.instance)
        groups = islands(self.fabric)
        fields = [field]
        if len(groups) > 1:
            fields = [
                field.reachable(self.snapshot, {NetworkPurpose.FRONT: front, NetworkPurpose.BACK: back})
                for front in groups
                if self._reaches_hosts(front)
                for back in groups
            ]
        choices = [chosen for f in fields if (chosen := f.choose()) is not None]
        if not choices:
            raise too_few_servers(self.request, min(fields, key=Field.missing, default=field), self.snapshot)
        return max(choices, key=lambda chosen: sum(racks_used(servers) for servers in chosen))

    def _reaches_hosts(self, switches: set[str]) -> bool:
        inside = switches.intersection(self.hosts)
        if inside and inside != set(self.hosts):
            raise CannotPlace(
                f"{self.request.customer}'s hosts at site {self.site.name} are on switches that no trunk joins: "
                f"{', '.join(self.hosts)}. Cable a trunk between them."
            )
        return bool(inside) or not self.hosts

    def _free(self, kind: HoldKind, key: str) -> bool:
        return self.snapshot.holder(kind, key) in (None, self.request.instance)

    def _networks(self, servers: int) -> tuple[PlannedNetwork, ...]:
        wanted = {purpose for need in self.needs for purpose in need.networks}
        front = PlannedNetwork(purpose=NetworkPurpose.FRONT, vlan=self.front.vlan, prefix=self.front.prefix)
        if NetworkPurpose.BACK not in wanted:
            return (front,)
        prefix = self._back_prefix()
        if servers > prefix.num_addresses - 2:
            raise CannotPlace(
                f"{self.request.instance} needs {servers} servers; a back network ({prefix}) has room "
                f"for {prefix.num_addresses - 2}. Ask for a smaller instance."
            )
        return front, PlannedNetwork(purpose=NetworkPurpose.BACK, vlan=self._back_vlan(), prefix=prefix)

    def _back_vlan(self) -> int:
        first, last = self.site.vlans
        used = {n.vlan for c in self.snapshot.customers for n in c.networks if n.site == self.site.name}
        for device in self.snapshot.devices:
            if device.site == self.site.name:
                for port in device.ports:
                    used |= {port.initial.vlan or QUARANTINE_VLAN, *port.initial.trunk_vlans}
        used.add(QUARANTINE_VLAN)
        for vlan in range(first, last + 1):
            if vlan not in used and self._free(HoldKind.VLAN, f"{self.site.name}/{vlan}"):
                return vlan
        raise CannotPlace(
            f"{self.request.instance} needs 1 VLAN for its back network; site {self.site.name} has none free "
            f"between {first} and {last}. Free one or widen the site's range."
        )

    def _back_prefix(self) -> IPv4Network:
        pool = self.site.back_prefixes
        size = max(pool.prefixlen, BACK_PREFIX_LENGTH)
        # A server would not know which way to send what lies in two of its networks.
        avoided = (self.front.prefix, self.snapshot.management)
        for prefix in pool.subnets(new_prefix=size):
            if self._free(HoldKind.PREFIX, f"{self.site.name}/{prefix}") and not any(
                prefix.overlaps(other) for other in avoided
            ):
                return prefix
        raise CannotPlace(
            f"{self.request.instance} needs 1 back network (/{size}); site {self.site.name} has none free in {pool}. "
            "Free one or give the site a bigger pool."
        )

    def _endpoint_address(self) -> IPv4Address:
        first, last = self.front.endpoints
        taken = {d.address.ip for d in self.snapshot.devices if d.address and d.site == self.site.name}
        for number in range(int(first), int(last) + 1):
            address = IPv4Address(number)
            if address not in taken and self._free(HoldKind.ADDRESS, f"{self.site.name}/{address}"):
                return address
        raise CannotPlace(
            f"{self.request.instance} needs 1 endpoint address; {self.request.customer} has none free at site "
            f"{self.site.name} between {first} and {last}. Free one or widen the customer's range."
        )

    def _servers(
        self, chosen: list[tuple[Device, ...]], networks: tuple[PlannedNetwork, ...]
    ) -> tuple[PlannedServer, ...]:
        back = next((n.prefix for n in networks if n.purpose is NetworkPurpose.BACK), None)
        planned = []
        number = 1
        for need, devices in zip(self.needs, chosen, strict=True):
            for device in sorted(devices, key=lambda d: natural(d.name)):
                address = None
                if back is not None and NetworkPurpose.BACK in need.networks:
                    address = IPv4Interface((back.network_address + number, back.prefixlen))
                    number += 1
                planned.append(self._server(need, device, address))
        return tuple(planned)

    def _server(self, need: ServerNeed, device: Device, back: IPv4Interface | None) -> PlannedServer:
        assert device.position is not None  # placement takes mounted servers only
        return PlannedServer(
            server=device.name,
            serial=device.serial,
            rack=device.position.rack,
            unit=device.position.unit,
            feeds=device.feeds,
            roles=need.roles,
            nics=tuple(
                self._nic(device, purpose, back if purpose is NetworkPurpose.BACK else None)
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
        ports = [
            PlannedPort(
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
        """The network's VLAN on both ends of every trunk between the switches that it needs."""
        ends = sorted({nic.switch for s in servers for nic in s.nics if nic.network is network.purpose})
        root = next(iter(ends), None)
        if network.purpose is NetworkPurpose.FRONT:
            # All instances of a customer share this VLAN, so they must agree on the root.
            ends = sorted({*ends, *self.hosts})
            root = next(iter(self.hosts), None)
        trunks = [
            PlannedTrunk(switch=end.device, change=TrunkChange(port=end.port, vlan=network.vlan, present=True))
            for cable in trunks_between(self.fabric, ends, root)
            for end in (cable.a, cable.b)
            # What passes before any instance must still pass after the last one.
            if network.vlan not in self.snapshot.initial[end.device, end.port].trunk_vlans
        ]
        return tuple(sorted(trunks, key=lambda t: (natural(t.switch), natural(t.change.port))))

    def _holds(
        self, servers: tuple[PlannedServer, ...], networks: tuple[PlannedNetwork, ...], endpoint: Endpoint
    ) -> tuple[Hold, ...]:
        site = self.site.name
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


def _site(request: InstanceRequest, snapshot: InventorySnapshot) -> Site:
    for site in snapshot.sites:
        if site.name == request.site:
            return site
    raise BadInput(f"site {request.site!r} is not known; it is one of: {_listed(s.name for s in snapshot.sites)}.")


def _front(request: InstanceRequest, snapshot: InventorySnapshot) -> CustomerNetwork:
    customer = _customer(request, snapshot)
    for network in customer.networks:
        if network.site == request.site:
            return network
    raise BadInput(
        f"site {request.site!r}: customer {customer.name} has no private network there; "
        f"it has one at: {_listed(n.site for n in customer.networks)}."
    )


def _customer(request: InstanceRequest, snapshot: InventorySnapshot) -> Customer:
    for customer in snapshot.customers:
        if customer.name == request.customer:
            return customer
    names = _listed(c.name for c in snapshot.customers)
    raise BadInput(f"customer {request.customer!r} is not known; it is one of: {names}.")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
