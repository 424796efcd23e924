"""Asking many devices at the same time what their ports see. One that does not answer holds up none of the others."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import structlog

from freehold.devices.base import Devices, Switch
from freehold.errors import DeviceError, FreeholdError
from freehold.models.access import Access
from freehold.models.cabling import Sight
from freehold.models.hall import Device, DeviceKind
from freehold.models.network import MacEntry, Neighbour, PortConfig, PortRef

AT_ONCE = 24
"""Devices that are asked at the same time."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Answer:
    """What one device said; `error` is why it did not show its neighbours."""

    device: str
    sights: tuple[Sight, ...]
    error: FreeholdError | None = None
    configs: Mapping[str, PortConfig] = field(default_factory=dict)
    """Of the cabled ports, if they were asked for."""


def look(
    devices: Devices,
    access: Callable[[str], Access],
    asked: Iterable[Device],
    cabled: Iterable[PortRef],
    *,
    configured: bool = False,
) -> tuple[Answer, ...]:
    """What every port of these devices sees. Reads each device once and changes nothing.

    A switch's learned addresses are read only when one of the `cabled` ports shows no neighbour.
    """
    chosen, ports = list(asked), list(cabled)
    if not chosen:
        return ()

    def ask(device: Device) -> Answer:
        own = {p.port for p in ports if p.device == device.name}
        return _ask(devices, access, device, own, configured)

    with ThreadPoolExecutor(min(AT_ONCE, len(chosen)), thread_name_prefix="look") as pool:
        return tuple(pool.map(ask, chosen))


def _ask(
    devices: Devices, access: Callable[[str], Access], device: Device, cabled: Collection[str], configured: bool
) -> Answer:
    seen: tuple[Neighbour, ...] = ()
    macs: tuple[MacEntry, ...] = ()
    configs: Mapping[str, PortConfig] = {}
    error: FreeholdError | None = None
    try:
        if device.kind is DeviceKind.SWITCH:
            with devices.switch(access(device.name)) as switch:
                seen, macs, error = _ask_switch(switch, cabled)
                configs = switch.read(cabled).ports if configured else {}
        else:
            with devices.server(access(device.name)) as server:
                seen = server.neighbours()
    except FreeholdError as failed:
        error = failed
    if error is not None:
        log.info("a device does not show its neighbours", device=device.name, error=str(error))
    return Answer(device.name, tuple(_sights(device, seen, macs, answered=error is None)), error, configs)


def _ask_switch(
    switch: Switch, cabled: Collection[str]
) -> tuple[tuple[Neighbour, ...], tuple[MacEntry, ...], DeviceError | None]:
    """Neighbours and learned addresses. A switch whose LLDP is off may still have learned addresses."""
    try:
        seen = switch.neighbours()
    except DeviceError as error:
        return (), switch.mac_table(), error
    quiet = set(cabled) - {row.local_port for row in seen}
    return seen, switch.mac_table() if quiet else (), None


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
