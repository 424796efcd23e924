"""The hall: sites, racks, devices, cables, power feeds, customers' private networks.

One YAML file in this shape is what an operator imports into the inventory and what the lab builds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from freehold.errors import BadInput
from freehold.models.base import Choice, Model
from freehold.models.names import Address, Interface, Label, Mac, Name, PortName, Prefix, Serial, Vlan
from freehold.models.network import PortConfig, Ref


class Site(Model):
    """A building. VLANs and back prefixes are unique within it; `back_prefixes` is cut into /26 networks."""

    name: Name
    vlans: tuple[Vlan, Vlan] = Field(description="first and last VLAN id that Freehold may give to instances")
    back_prefixes: Prefix = Field(description="pool of the storage networks of instances")


class Rack(Model):
    name: Name
    site: Name
    units: int = Field(default=42, ge=1, le=60)
    feeds: tuple[Name, ...] = Field(default=(), description="power feeds that reach this rack, e.g. north-a")


class DeviceKind(Choice):
    SERVER = "server"
    SWITCH = "switch"
    HOST = "host"  # a customer's own machine: Freehold only probes from it


class Nic(Model):
    """A server's network card port (its cables are listed in `Hall.cables`)."""

    name: PortName
    mac: Mac


class Disk(Model):
    """A data disk, empty and unformatted when it is in the pool."""

    name: PortName = Field(description="block device below /dev, e.g. vdb")
    serial: Serial
    size_gib: int = Field(ge=1)


Why = Annotated[str, Field(max_length=300)]


class SwitchPort(Model):
    """A switch's port and what it is configured to before any instance exists (default: closed)."""

    name: PortName
    initial: PortConfig = PortConfig()
    out_of_use: Why = Field(default="", description="why no plan may take it, e.g. bent pins; empty: it can be used")


class Position(Model):
    """Where a device is mounted. A device without a position lies in its site's storeroom."""

    rack: Name
    unit: int = Field(ge=1, description="lowest rack unit it fills, counted from the floor")
    height: int = Field(default=1, ge=1, le=20, description="in rack units")


class Management(Model):
    """How Freehold reaches a device: SSH to this address and no other way."""

    address: Address
    mac: Mac | None = None
    user: Name = "root"
    port: int = 22


class Device(Model):
    name: Name
    kind: DeviceKind
    serial: Serial
    model: Label = "generic"
    site: Name
    position: Position | None = None
    feeds: tuple[Name, ...] = Field(default=(), description="feeds of its power supplies, A before B")
    powered: bool = Field(default=True, description="False: a spare that is mounted but switched off")
    out_of_use: Why = Field(
        default="", description="servers: why no plan may take it, e.g. dead; empty: it can be used"
    )
    unerased: Why = Field(
        default="", description="servers: whose data is on its disks although nobody uses them; empty: nobody's"
    )
    management: Management
    dialect: Name | None = Field(default=None, description="switches only: ovs, arista-eos, ...")
    ports: tuple[SwitchPort, ...] = Field(default=(), description="switches only")
    nics: tuple[Nic, ...] = Field(default=(), description="servers and hosts; the first is the front one")
    disks: tuple[Disk, ...] = ()
    cores: int = Field(default=2, ge=1)
    memory_gib: int = Field(default=4, ge=1)
    customer: Name | None = Field(default=None, description="hosts only: whose machine this is")
    address: Interface | None = Field(default=None, description="hosts only: on its first NIC")

    @model_validator(mode="after")
    def _fits_kind(self) -> Self:
        if (self.kind is DeviceKind.SWITCH) != (self.dialect is not None):
            raise ValueError(f"{self.name}: dialect is given for switches, and only there")
        if (self.kind is DeviceKind.HOST) != (self.customer is not None):
            raise ValueError(f"{self.name}: customer is given for hosts, and only there")
        return self

    def why_unused(self, port: str) -> str:
        """Why nothing may be plugged into this switch port; empty when something may."""
        return next((p.out_of_use for p in self.ports if p.name == port), "")

    def port_names(self) -> tuple[str, ...]:
        return (*(p.name for p in self.ports), *(n.name for n in self.nics))


class Cable(Model):
    """A cable and its two ends; for a server's cable `a` is the switch's end."""

    label: Label
    a: Ref
    b: Ref
    type: Label = "cat6a"
    length_m: float = Field(default=2.0, gt=0)
    colour: Label = "grey"


class CustomerNetwork(Model):
    """A customer's private network at one site. Freehold takes addresses out of `endpoints` only.

    Endpoints are taken from the bottom, addresses of servers from the top.
    """

    site: Name
    vlan: Vlan
    prefix: Prefix
    endpoints: tuple[Address, Address] = Field(description="first and last address kept for endpoints and servers")

    @model_validator(mode="after")
    def _inside(self) -> Self:
        first, last = self.endpoints
        if not (first in self.prefix and last in self.prefix and first <= last):
            raise ValueError(f"endpoints {first}-{last} must be a rising range inside {self.prefix}")
        return self


class Customer(Model):
    name: Name
    networks: tuple[CustomerNetwork, ...]


def _unique(what: str, values: Iterable[str]) -> None:
    twice = [v for v, n in Counter(values).items() if n > 1]
    if twice:
        raise ValueError(f"{what} {twice[0]!r} is given twice; each must be unique")


class Hall(Model):
    """All that stands, lies and is plugged in the hall."""

    name: Name
    management: Prefix = Field(description="the management network; its first address is Freehold's own")
    sites: tuple[Site, ...]
    racks: tuple[Rack, ...]
    devices: tuple[Device, ...]
    cables: tuple[Cable, ...] = ()
    customers: tuple[Customer, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _unique("device", (d.name for d in self.devices))
        _unique("serial", (d.serial for d in self.devices))
        _unique("cable", (c.label for c in self.cables))
        _unique("cable end", (str(end) for c in self.cables for end in (c.a, c.b)))
        _unique("MAC", (n.mac for d in self.devices for n in d.nics))
        _unique("management address", (str(d.management.address) for d in self.devices))
        _unique("customer", (c.name for c in self.customers))
        _unique("VLAN of a customer", (f"{n.vlan} at {n.site}" for c in self.customers for n in c.networks))
        racks = {(r.site, r.name): r for r in self.racks}
        sites = {s.name for s in self.sites}
        ports = {(d.name, p) for d in self.devices for p in d.port_names()}
        filled: set[tuple[str, str, int]] = set()
        for d in self.devices:
            if d.site not in sites:
                raise ValueError(f"{d.name}: site {d.site!r} is not one of {sorted(sites)}")
            if d.management.address not in self.management:
                raise ValueError(f"{d.name}: management address must lie in {self.management}")
            if d.position is None:
                continue
            rack = racks.get((d.site, d.position.rack))
            if rack is None:
                raise ValueError(f"{d.name}: there is no rack {d.position.rack!r} at {d.site}")
            for unit in range(d.position.unit, d.position.unit + d.position.height):
                if unit > rack.units or (d.site, rack.name, unit) in filled:
                    raise ValueError(f"{d.name}: rack {rack.name} unit {unit} is filled or does not exist")
                filled.add((d.site, rack.name, unit))
        for cable in self.cables:
            for end in (cable.a, cable.b):
                if (end.device, end.port) not in ports:
                    raise ValueError(f"cable {cable.label}: there is no port {end}")
        return self

    def device(self, name: str) -> Device:
        """The device of that name. Raises KeyError."""
        for device in self.devices:
            if device.name == name:
                return device
        raise KeyError(name)


_YAML = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C where it is there: ten times as fast


def load_hall(path: Path) -> Hall:
    """Read a hall from its YAML file. Raises BadInput with one sentence: file, field, value, what is allowed."""
    try:
        data = yaml.load(path.read_text(), Loader=_YAML)  # noqa: S506 -- both loaders are safe
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise BadInput(f"{path}: must be a mapping with the fields of a hall, not {type(data).__name__}")
    try:
        return Hall.model_validate(data)
    except ValidationError as error:
        first, others = error.errors()[0], error.error_count() - 1
        field = ".".join(str(part) for part in first["loc"]) or "the hall"
        given = "" if isinstance(first["input"], dict | list) else f" (given: {first['input']!r})"
        more = f"; {others} more after this one" if others else ""
        message = first["msg"].removeprefix("Value error, ")
        raise BadInput(f"{path}: {field}: {message}{given}{more}") from error
