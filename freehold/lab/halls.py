"""Halls for the lab: the same hall at another address range, or a part of it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network

from freehold.errors import BadInput
from freehold.models.hall import Device, DeviceKind, Hall

_PORT = re.compile(r"(eth|swp)[0-9]{1,4}")
_DISK = re.compile(r"vd[b-z]")
DIALECT = "ovs"


def must_be_buildable(hall: Hall) -> None:
    """Raise BadInput if the hall has what the lab's machines cannot play; a hall of real devices may well."""
    for device in hall.devices:
        if wrong := _unbuildable(device):
            raise BadInput(f"{device.name}: the lab cannot build {wrong}")


def _unbuildable(device: Device) -> str | None:
    if device.kind is DeviceKind.SWITCH and device.dialect != DIALECT:
        return f"a switch of dialect {device.dialect}, only {DIALECT}"
    for port in device.port_names():
        if not _PORT.fullmatch(port):
            return f"a port called {port}, only swp1, swp2, ... and eth0, eth1, ..."
    for disk in device.disks:
        if not _DISK.fullmatch(disk.name):
            return f"a disk called {disk.name}, only vdb to vdz"
    return None


def rebase(hall: Hall, management: IPv4Network) -> Hall:
    """The hall with its management network moved onto another prefix; host parts are kept."""
    old = hall.management

    def moved(address: IPv4Address) -> IPv4Address:
        offset = int(address) - int(old.network_address)
        if not 1 < offset < management.num_addresses - 1:
            raise BadInput(f"management {management}: has no room for {address}; use a prefix of /{old.prefixlen}")
        return management[offset]

    devices = tuple(
        d.model_copy(update={"management": d.management.model_copy(update={"address": moved(d.management.address)})})
        for d in hall.devices
    )
    return hall.model_copy(update={"management": management, "devices": devices})


def part(hall: Hall, on: Iterable[str], off: Iterable[str] = ()) -> Hall:
    """The hall with only these devices, switched on or off, and the cables between them."""
    power = dict.fromkeys(off, False) | dict.fromkeys(on, True)
    unknown = set(power) - {d.name for d in hall.devices}
    if unknown:
        raise BadInput(f"device {min(unknown)!r}: is not in hall {hall.name}")
    devices = (d.model_copy(update={"powered": power[d.name]}) for d in hall.devices if d.name in power)
    cables = (c for c in hall.cables if {c.a.device, c.b.device} <= set(power))
    return hall.model_copy(update={"devices": tuple(devices), "cables": tuple(cables)})
