"""What the lab says about itself."""

from __future__ import annotations

from freehold.models.base import Choice, Model
from freehold.models.hall import Cable, DeviceKind, Position
from freehold.models.names import Address, Name, Prefix


class PowerAction(Choice):
    ON = "on"
    OFF = "off"  # the power button: the machine shuts itself down
    CUT = "cut"  # the plug is pulled
    RESET = "reset"  # pulled and plugged again


class DeviceStatus(Model):
    name: Name
    kind: DeviceKind
    site: Name
    position: Position | None
    running: bool
    boot_seconds: float | None
    management: Address
    cables: tuple[str, ...]


class LabStatus(Model):
    name: str
    management: Prefix
    handover: str
    devices: tuple[DeviceStatus, ...]
    cables: tuple[Cable, ...]
