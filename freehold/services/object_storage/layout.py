"""What the templates and intents need to know of one server in a plan, found once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from freehold.errors import BadInput
from freehold.models.names import Address
from freehold.models.plan import NetworkPurpose, Plan, PlannedNic, PlannedServer
from freehold.models.server import secret_token
from freehold.services.object_storage.blueprint import Blueprint, Objects, Role, Tier
from freehold.services.object_storage.rings import Ring, RingDevice, new_ring

NODE = "/srv/node"
"""Swift's devices are directories below it, one per disk."""


def secret_name(plan: Plan, what: str) -> str:
    return f"instances/{plan.instance}/{what}"


@dataclass(frozen=True)
class Layout:
    """The instance as its servers see it."""

    plan: Plan
    blueprint: Blueprint

    @property
    def customer(self) -> str:
        return self.plan.request.customer

    @cached_property
    def tier(self) -> Tier:
        return self.blueprint.tier(self.plan.request)

    @property
    def object_port(self) -> int:
        ports = self.blueprint.ports
        return ports.object_mariadb if self.tier.objects is Objects.MARIADB else ports.object_disk

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
        return [server for server in self.plan.servers if role in server.roles]

    def management(self, server: PlannedServer) -> Address:
        for name, address in self.plan.management:
            if name == server.server:
                return address
        raise BadInput(f"{server.server}: the plan has no management address for it")

    def back_address(self, server: PlannedServer) -> str:
        nic = server.nic(NetworkPurpose.BACK)
        if nic is None or nic.address is None:
            raise BadInput(f"{server.server}: the plan has no address for it on the back network")
        return str(nic.address.ip)

    def front_nic(self, server: PlannedServer) -> PlannedNic:
        nic = server.nic(NetworkPurpose.FRONT)
        if nic is None:
            raise BadInput(f"{server.server}: the plan has no front NIC for it, which the endpoint needs")
        return nic

    @cached_property
    def rings(self) -> dict[str, Ring]:
        ports = {
            "account": self.blueprint.ports.account,
            "container": self.blueprint.ports.container,
            "object": self.object_port,
        }
        racks = sorted({server.rack for server in self.plan.servers})
        return {
            name: new_ring(
                f"{self.plan.instance}/{name}",
                tuple(
                    RingDevice(self.back_address(server), port, device, zone=racks.index(server.rack) + 1)
                    for server in self.with_role(Role.STORAGE)
                    for device in devices(server)
                ),
                self.tier.replicas,
                self.tier.part_power,
            )
            for name, port in ports.items()
        }


def devices(server: PlannedServer) -> dict[str, str]:
    """Swift's device names and the disks behind them: d1, d2, ..."""
    return {f"d{number}": disk for number, disk in enumerate(server.disks, start=1)}
