"""Asking many devices at the same time what their ports see. One that does not answer holds up none of the others."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import structlog

from freehold.devices.base import Devices, Switch
from freehold.errors import DeviceError, FreeholdError
from freehold.models.access import Access
from freehold.models.cabling import Sight
from freehold.models.hall import Device, DeviceKind
from freehold.models.network import MacEntry, Neighbour, PortRef

AT_ONCE = 24
"""Devices that are asked at the same time."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Answer:
    """What one device said; `error` is why it did not show its neighbours."""

    device: str
    sights: tuple[Sight, ...]
    error: FreeholdError | None = None


def look(devices: Devices, access: Callable[[str], Access], asked: Iterable[Device]) -> tuple[Answer, ...]:
    """What every port of these devices sees. Reads each device once and changes nothing."""
    chosen = list(asked)
    if not chosen:
        return ()
    with ThreadPoolExecutor(min(AT_ONCE, len(chosen)), thread_name_prefix="look") as pool:
        return tuple(pool.map(lambda device: _ask(devices, access, device), chosen))


def _ask(devices: Devices, access: Callable[[str], Access], device: Device) -> Answer:
    seen: tuple[Neighbour, ...] = ()
    macs: tuple[MacEntry, ...] = ()
    error: FreeholdError | None = None
    try:
        if device.kind is DeviceKind.SWITCH:
            with devices.switch(access(device.name)) as switch:
                seen, macs, error = _ask_switch(switch)
        else:
            with devices.server(access(device.name)) as server:
                seen = server.neighbours()
    except FreeholdError as failed:
        error = failed
    if error is not None:
        log.info("a device does not show its neighbours", device=device.name, error=str(error))
    return Answer(device.name, tuple(_sights(device, seen, macs, answered=error is None)), error)


def _ask_switch(switch: Switch) -> tuple[tuple[Neighbour, ...], tuple[MacEntry, ...], DeviceError | None]:
    """Neighbours and learned addresses. A switch whose LLDP is off may still have learned addresses."""
    try:
        return switch.neighbours(), switch.mac_table(), None
    except DeviceError as error:
        return (), switch.mac_table(), error


def _sights(device: Device, seen: Iterable[Neighbour], macs: Iterable[MacEntry], *, answered: bool) -> Iterable[Sight]:
    neighbours: dict[str, list[PortRef]] = {}
    for row in seen:
        neighbours.setdefault(row.local_port, []).append(named(row))
    learned: dict[str, set[str]] = {}
    for entry in macs:
        learned.setdefault(entry.port, set()).add(entry.mac)
    for port in device.port_names():
        yield Sight(
            port=PortRef(device=device.name, port=port),
            neighbours=tuple(dict.fromkeys(neighbours.get(port, ()))),
            macs=tuple(sorted(learned.get(port, ()))),
            answered=answered,
        )


def named(row: Neighbour) -> PortRef:
    """The neighbour as device and port. What a foreign device says of itself is brought into our alphabet."""
    device = _clean(r"[^a-z0-9]+", (row.system_name or row.chassis_id).lower())
    port = _clean(r"[^A-Za-z0-9/._-]+", row.port_id)
    return PortRef(device=device, port=port)


def _clean(others: str, text: str) -> str:
    clean = re.sub(others, "-", text).strip("-/._")
    return (clean if clean[:1].isalpha() else f"x-{clean or 'unnamed'}")[:32].rstrip("-")
