"""An instance as its servers see it at one moment: what templates and intents need to know, found once."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from pydantic import TypeAdapter

from freehold.errors import BadInput
from freehold.models.names import Address
from freehold.models.plan import NetworkPurpose, Plan, PlannedNic, PlannedServer
from freehold.models.server import secret_token
from freehold.services.object_storage.blueprint import Blueprint, Objects, Role, Software, Tier
from freehold.services.object_storage.rings import Generation, Key, Ring, RingDevice, ring_of

LOOPBACK = "127.0.0.1"
NODE = "/srv/node"
"""Swift's devices are directories below it, one per disk."""
CONF = "/etc/swift/freehold"
"""Beside Debian's samples, which stay as they are: upgrades ask nothing, and undo has nothing to restore."""

HAPROXY_CONF = "/etc/haproxy/haproxy.cfg"


def server_conf(kind: str) -> str:
    """The configuration of Swift's account, container, object or proxy server."""
    return f"{CONF}/{kind}-server.conf"


_GENERATIONS = TypeAdapter(tuple[Generation, ...])
_REGIONS = {Objects.MARIADB: 1, Objects.DISK: 2}
"""A region each, so that while both are in a ring every partition has its replicas on either technology."""


def secret_name(plan: Plan, what: str) -> str:
    return f"instances/{plan.instance}/{what}"


def devices(server: PlannedServer) -> dict[str, str]:
    """Swift's device names and the disks behind them: d1, d2, ..."""
    return {f"d{number}": disk for number, disk in enumerate(server.disks, start=1)}


@dataclass(frozen=True)
class Member:
    """A server of the instance and the tier whose technology it runs."""

    server: PlannedServer
    tier: Tier


@dataclass(frozen=True)
class Layout:
    """The servers that take part, how their rings came to be, and which of them has the endpoint."""

    plan: Plan
    """Whose customer, endpoint, features and capacity hold now."""
    blueprint: Blueprint
    members: tuple[Member, ...]
    generations: tuple[Generation, ...]
    """Of the object ring; the others follow it."""
    holder: str
    """The server that has the endpoint's address, as long as it is well."""
    moving: bool = False
    """Whether data moves from where it was in the generation before the last."""
    partner: str = ""
    """While the endpoint moves: the server that had it before or will have it; both know the other's connections."""

    resigned: tuple[str, ...] = ()
    """Servers that will not have the endpoint any more, whatever becomes of the others."""
    frozen: bool = False
    """Whether customers may only read."""

    @classmethod
    def of(cls, plan: Plan, blueprint: Blueprint) -> Layout:
        """An instance as its plan has it, between changes."""
        tier = blueprint.tier(plan.request)
        members = tuple(Member(server, tier) for server in plan.servers)
        empty = cls(plan, blueprint, members, (), "")
        remembered = plan.remembered.get("rings")
        generations = (
            _GENERATIONS.validate_python(remembered) if remembered else (empty.generation(plan.servers, tier.replicas),)
        )
        holder = plan.remembered.get("holder") or empty.with_role(Role.ENDPOINT)[0].server
        return replace(empty, generations=generations, holder=str(holder))

    def remembered(self) -> dict[str, Any]:
        """What the plan must carry, so that `of` finds this state again."""
        return {"rings": _GENERATIONS.dump_python(self.generations, mode="json"), "holder": self.holder}

    @property
    def customer(self) -> str:
        return self.plan.request.customer

    @cached_property
    def _tiers(self) -> dict[str, Tier]:
        return {member.server.server: member.tier for member in self.members}

    @property
    def servers(self) -> tuple[PlannedServer, ...]:
        return tuple(member.server for member in self.members)

    def tier(self, server: PlannedServer) -> Tier:
        return self._tiers[server.server]

    def software(self, server: PlannedServer) -> Software:
        return self.tier(server).software(self.plan.request)

    def objects(self, server: PlannedServer) -> Objects:
        """What it keeps objects in, if it is a storage server."""
        return self.tier(server).objects

    def object_port(self, server: PlannedServer) -> int:
        ports = self.blueprint.ports
        return ports.object_mariadb if self.objects(server) is Objects.MARIADB else ports.object_disk

    @property
    def back_prefix(self) -> str:
        network = self.plan.network(NetworkPurpose.BACK)
        if network is None:
            raise BadInput(f"{self.plan.instance}: the plan has no back network; storage servers need one")
        return str(network.prefix)

    def secret(self, what: str) -> str:
        """The token of one of the instance's secrets."""
        return secret_token(secret_name(self.plan, what))

    def with_role(self, role: Role) -> list[PlannedServer]:
        return [server for server in self.servers if role in server.roles]

    def server(self, name: str) -> PlannedServer:
        return next(server for server in self.servers if server.server == name)

    def management(self, server: PlannedServer) -> Address:
        for name, address in self.plan.management:
            if name == server.server:
                return address
        raise BadInput(f"{server.server}: the plan has no management address for it")

    def back_address(self, server: PlannedServer) -> str:
        return _address(server, NetworkPurpose.BACK)

    def front_address(self, server: PlannedServer) -> str:
        """Its own address in the customer's network: nothing answers there but ARP."""
        return _address(server, NetworkPurpose.FRONT)

    def front_nic(self, server: PlannedServer) -> PlannedNic:
        nic = server.nic(NetworkPurpose.FRONT)
        if nic is None:
            raise BadInput(f"{server.server}: the plan has no front NIC for it, which the endpoint needs")
        return nic

    def proxies(self, server: PlannedServer) -> list[PlannedServer]:
        """The web servers that share the work with this one: those of its tier."""
        return [s for s in self.with_role(Role.WEB) if self.tier(s) is self.tier(server)]

    def proxy_address(self, server: PlannedServer) -> str:
        """Where its proxy listens: for itself alone, or for its fellows too."""
        return self.back_address(server) if len(self.proxies(server)) > 1 else LOOPBACK

    def peer(self, server: PlannedServer) -> PlannedServer | None:
        """Whom to hand packets of connections that this server does not know, while the endpoint moves."""
        pair = {self.holder: self.partner, self.partner: self.holder}
        return self.server(pair[server.server]) if self.partner and server.server in pair else None

    # -- rings ------------------------------------------------------------------------------------------

    @cached_property
    def rings(self) -> dict[str, Ring]:
        name, power, port = f"{self.plan.instance}/object", self.blueprint.part_power, self.blueprint.ports.replication
        return {**self._listings(self.generations), "object": ring_of(name, self.generations, power, port)}

    @cached_property
    def rings_before(self) -> dict[str, Ring]:
        """Of listings, as they were before data began to move; those of now when nothing moves."""
        return self._listings(self.generations[:-1] if self.moving else self.generations)

    def _listings(self, generations: tuple[Generation, ...]) -> dict[str, Ring]:
        ports = self.blueprint.ports
        return {
            "account": self._databases("account", ports.account, generations),
            "container": self._databases("container", ports.container, generations),
        }

    def _databases(self, name: str, port: int, generations: tuple[Generation, ...]) -> Ring:
        """They lie on the objects' devices, behind another port."""
        generations = tuple(replace(g, devices=tuple(replace(d, port=port) for d in g.devices)) for g in generations)
        return ring_of(f"{self.plan.instance}/{name}", generations, self.blueprint.part_power)

    def generation(self, servers: Sequence[PlannedServer], replicas: int) -> Generation:
        """A ring's state in which the storage servers among these share everything."""
        return Generation(replicas, tuple(device for server in servers for device in self._ring_devices(server)))

    def _ring_devices(self, server: PlannedServer) -> list[RingDevice]:
        if Role.STORAGE not in server.roles:
            return []
        # A rack's number must be the same in every plan, whatever other racks there are.
        zone = zlib.crc32(server.rack.encode())
        return [RingDevice(*self.key(server, d), zone, _REGIONS[self.objects(server)]) for d in devices(server)]

    def keys(self, server: PlannedServer) -> set[Key]:
        """A server's devices as the object ring has them."""
        return {self.key(server, name) for name in devices(server)}

    def key(self, server: PlannedServer, device: str) -> Key:
        return self.back_address(server), self.object_port(server), device


def _address(server: PlannedServer, purpose: NetworkPurpose) -> str:
    nic = server.nic(purpose)
    if nic is None or nic.address is None:
        raise BadInput(f"{server.server}: the plan has no address for it on the {purpose} network")
    return str(nic.address.ip)
