"""The plan: all that a procedure will do, as data, with a hash that an approval names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from freehold.models.base import Choice, Model, content_hash
from freehold.models.hall import Cable
from freehold.models.names import Address, Interface, Name, PortName, Prefix, Vlan
from freehold.models.network import PortChange, PortConfig, SwitchChange, TrunkChange
from freehold.models.request import InstanceRequest


class HoldKind(Choice):
    """What can be held by one instance only."""

    SERVER = "server"  # key: device name
    PORT = "port"  # key: device/port of a switch
    VLAN = "vlan"  # key: site/vlan
    PREFIX = "prefix"  # key: site/prefix
    ADDRESS = "address"  # key: site/address
    ENDPOINT_NAME = "name"  # key: DNS name
    UNIT = "rack unit"  # key: site/rack/unit


class Hold(Model):
    """One reserved thing. The inventory grants each (kind, key) once."""

    kind: HoldKind
    key: str


class NetworkPurpose(Choice):
    FRONT = "front"
    BACK = "back"


class PlannedNetwork(Model):
    """A network the instance uses: the customer's own (front) or one that is nobody else's (back)."""

    purpose: NetworkPurpose
    vlan: Vlan
    prefix: Prefix


class PlannedNic(Model):
    """A server's NIC in the plan: its network, the switch port its cable must lead to, its address if any."""

    nic: PortName
    mac: str
    network: NetworkPurpose
    switch: Name
    switch_port: PortName
    cable: Cable
    address: Interface | None = None


class PlannedServer(Model):
    server: Name
    serial: str
    rack: Name
    unit: int
    feeds: tuple[Name, ...]
    roles: tuple[Name, ...]
    nics: tuple[PlannedNic, ...]
    disks: tuple[str, ...] = Field(description="data disks below /dev, in order")
    powered: bool = True

    def nic(self, purpose: NetworkPurpose) -> PlannedNic | None:
        return next((n for n in self.nics if n.network is purpose), None)


class Endpoint(Model):
    """Where the service answers. It never changes while the instance lives."""

    address: Interface
    port: int = 443
    name: str = Field(description="DNS name in the certificate, besides the address")

    @property
    def url(self) -> str:
        return f"https://{self.address.ip}:{self.port}" if self.port != 443 else f"https://{self.address.ip}"


class PlannedPort(Model):
    """A switch port before and after. `before` is what the inventory says until the switch itself was read."""

    switch: Name
    change: PortChange
    before: PortConfig = PortConfig()


class PlannedTrunk(Model):
    switch: Name
    change: TrunkChange


class DeviceDiff(Model):
    """The exact change of one device, as it would be applied now; `before` is the hash of what was read."""

    device: Name
    before: str
    diff: str
    commands: tuple[str, ...] = ()


class SwitchPreview(Model):
    """What would change on a switch, and what its ports are now."""

    diff: DeviceDiff
    before: dict[str, PortConfig]


class Plan(Model):
    """Everything a procedure will do. Pure data: same inventory and request, same plan, same hash."""

    procedure: Name
    request: InstanceRequest
    servers: tuple[PlannedServer, ...]
    networks: tuple[PlannedNetwork, ...]
    endpoint: Endpoint
    ports: tuple[PlannedPort, ...]
    trunks: tuple[PlannedTrunk, ...] = ()
    holds: tuple[Hold, ...]
    management: tuple[tuple[Name, Address], ...] = Field(
        default=(), description="management address of every server and switch in the plan"
    )
    installs: tuple[Name, ...] = Field(
        default=(),
        description="servers of the plan that still lie in the storeroom; their rack, unit and cables are planned",
    )
    installed_before: tuple[Name, ...] = Field(
        default=(), description="servers that came from the storeroom for the instance in an earlier plan of it"
    )
    power_on: tuple[Name, ...] = Field(default=(), description="mounted servers that are switched off")
    cables: tuple[Cable, ...] = Field(
        default=(),
        description="cables that are yet to be plugged; a new server gets all of its NICs cabled, also to closed ports",
    )
    leaves: tuple[Name, ...] = Field(
        default=(), description="servers of the plan before this one that leave: emptied, erased, given back"
    )
    dead: tuple[Name, ...] = Field(
        default=(), description="those of `leaves` that do not answer any more: nothing is asked of them, nor erased"
    )
    disabled: tuple[PlannedServer, ...] = Field(
        default=(), description="servers that left and are kept for the instance: erased, cabled, behind closed ports"
    )
    remembered: dict[str, Any] = Field(
        default_factory=dict, description="what the service must know of its past, e.g. how its rings came to be"
    )
    diffs: tuple[DeviceDiff, ...] = Field(default=(), description="empty until the devices were read")

    def __hash__(self) -> int:
        """Of what tells plans apart most of the time; what a service remembers cannot be hashed."""
        return hash((self.procedure, self.request, self.servers, self.diffs))

    @property
    def hash(self) -> str:
        """What an approval names: the first 16 hex digits of the plan's content hash."""
        return content_hash(self)[:16]

    @property
    def instance(self) -> str:
        return self.request.instance

    @property
    def from_storeroom(self) -> tuple[str, ...]:
        """Servers that were brought out of the storeroom for this instance, also those that it keeps disabled."""
        came = {*self.installs, *self.installed_before}
        return tuple(s.server for s in (*self.servers, *self.disabled) if s.server in came)

    def network(self, purpose: NetworkPurpose) -> PlannedNetwork | None:
        return next((n for n in self.networks if n.purpose is purpose), None)

    @property
    def needs_hands(self) -> bool:
        """Whether people must rack, cable or switch on before machines can go on."""
        return bool(self.installs or self.power_on or self.cables)

    def switches(self) -> tuple[str, ...]:
        """Switches the plan touches, sorted."""
        return tuple(sorted({p.switch for p in self.ports} | {t.switch for t in self.trunks}))

    def switch_change(self, switch: str) -> SwitchChange:
        """What this plan wants of one switch."""
        return SwitchChange(
            switch=switch,
            ports=tuple(p.change for p in self.ports if p.switch == switch),
            trunks=tuple(t.change for t in self.trunks if t.switch == switch),
        )

    def switch_undo(self, switch: str) -> SwitchChange:
        """The way back for one switch: ports as they were read, trunk memberships that were added taken out."""
        return SwitchChange(
            switch=switch,
            ports=tuple(PortChange(port=p.change.port, config=p.before) for p in self.ports if p.switch == switch),
            trunks=tuple(
                t.change.model_copy(update={"present": not t.change.present}) for t in self.trunks if t.switch == switch
            ),
        )

    def as_read(self, switches: Sequence[SwitchPreview], servers: Sequence[DeviceDiff]) -> Plan:
        """This plan after a look at the devices: exact diffs, and the ports as they are."""
        before = {(s.diff.device, port): config for s in switches for port, config in s.before.items()}
        return self.model_copy(
            update={
                "diffs": tuple(sorted((*(s.diff for s in switches), *servers), key=lambda d: d.device)),
                "ports": tuple(
                    p.model_copy(update={"before": before.get((p.switch, p.change.port), p.before)}) for p in self.ports
                ),
            }
        )
