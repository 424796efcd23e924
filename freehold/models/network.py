"""Switch ports and VLANs: what a port should be, what it is, and how one becomes the other."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from freehold.models.base import Choice, Model
from freehold.models.names import Label, Name, PortName, Vlan

QUARANTINE_VLAN = 4094
"""VLAN of closed ports. It is in no trunk and its members are protected from one another."""


class PortRef(Model):
    """One end of a cable: a device and its port, written `leaf1/swp7`."""

    device: Name
    port: PortName

    def __str__(self) -> str:
        return f"{self.device}/{self.port}"

    @classmethod
    def parse(cls, text: str) -> PortRef:
        """Read `device/port`. Raises ValueError that says the form."""
        device, slash, port = text.partition("/")
        if not slash:
            raise ValueError(f"{text!r} is not a port; write it as device/port, e.g. leaf1/swp7")
        return cls(device=device, port=port)


def _parse_ref(value: Any) -> Any:
    return PortRef.parse(value) if isinstance(value, str) else value


Ref = Annotated[PortRef, BeforeValidator(_parse_ref)]
"""A `PortRef` that may be written as text in YAML and JSON."""


class PortMode(Choice):
    """What a switch port does with frames."""

    CLOSED = "closed"  # quarantine VLAN, protected; LLDP stays visible
    ACCESS = "access"
    TRUNK = "trunk"
    OTHER = "other"  # read only: set up by hand in a way that is none of ours; the description says which


class PortConfig(Model):
    """The whole intended (or read) configuration of one switch port.

    A closed port has neither VLAN nor description of its own; an access port has one VLAN; a trunk
    has a sorted set of VLANs, and an empty set means that nothing passes.
    """

    mode: PortMode = PortMode.CLOSED
    vlan: Vlan | None = None
    trunk_vlans: tuple[Vlan, ...] = ()
    description: Label | None = None

    @model_validator(mode="after")
    def _fits_mode(self) -> Self:
        if (self.mode is PortMode.ACCESS) != (self.vlan is not None):
            raise ValueError("vlan: give it for an access port, and only there")
        if self.trunk_vlans and self.mode is not PortMode.TRUNK:
            raise ValueError("trunk_vlans: only a trunk has them")
        if self.mode is PortMode.CLOSED and self.description is not None:
            raise ValueError("description: a closed port has none")
        if list(self.trunk_vlans) != sorted(set(self.trunk_vlans)):
            raise ValueError("trunk_vlans: must be sorted and without repeats")
        if QUARANTINE_VLAN in (self.vlan, *self.trunk_vlans):
            raise ValueError(f"vlan {QUARANTINE_VLAN} is the quarantine of closed ports and cannot be used")
        return self


class PortChange(Model):
    """Bring one port to `config`, wholly."""

    port: PortName
    config: PortConfig


class TrunkChange(Model):
    """Let one VLAN pass a trunk, or stop it; other VLANs of the trunk belong to others and stay."""

    port: PortName
    vlan: Vlan
    present: bool


class SwitchChange(Model):
    """What one caller wants of one switch, all or nothing for that caller."""

    switch: Name
    ports: tuple[PortChange, ...] = ()
    trunks: tuple[TrunkChange, ...] = ()


class SwitchChangeResult(Model):
    """What became of one caller's change. `error` is empty when the switch is as wanted."""

    switch: Name
    changed: bool = False
    diff: str = ""
    error_type: str = ""
    error: str = ""

    @property
    def ok(self) -> bool:
        return not self.error


class Neighbour(Model):
    """One LLDP neighbour on a port, as the reading device sees it."""

    local_port: PortName
    chassis_id: str = ""
    system_name: str = ""
    port_id: str = ""
    management_address: str = ""


class MacEntry(Model):
    """One row of a switch's MAC address table."""

    port: PortName
    vlan: int
    mac: str


class SwitchState(Model):
    """What a switch said about itself at one moment."""

    switch: Name
    ports: dict[str, PortConfig] = Field(default_factory=dict)
