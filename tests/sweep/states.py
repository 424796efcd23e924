"""All of a provider that must be as it was, or as it should be."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from activities.servers import compare
from freehold.devices.real import RealDevices
from freehold.models.hall import Device, DeviceKind
from freehold.models.server import ServerSnapshot
from tests.sweep.provider import INSTANCE, Provider

State = dict[str, Any]


def fresh(provider: Provider) -> State:
    """All that an undo must bring back: what is kept, and what every switch and server says of itself."""
    kept = {"inventory": provider.inventory.fingerprint(), "secrets": provider.secrets.names("instances/")}
    return {**kept, **_devices(provider)}


def active(provider: Provider) -> State:
    """The state without what differs from instance to instance: secrets, names made of them, customers' data."""
    kept = {"inventory": provider.inventory.holds(INSTANCE), "secrets": provider.secrets.names("instances/")}
    return {**kept, **{name: _without_contents(value) for name, value in _devices(provider).items()}}


def _devices(provider: Provider) -> State:
    reached = RealDevices(provider.secrets)

    def read(device: Device) -> Any:
        access = provider.inventory.access(device.name)
        if device.kind is DeviceKind.SWITCH:
            with reached.switch(access) as switch:
                return switch.read()
        with reached.server(access) as server:
            return server.snapshot()

    devices = [d for d in provider.lab.hall.devices if d.kind in (DeviceKind.SWITCH, DeviceKind.SERVER) and d.powered]
    with ThreadPoolExecutor(4) as pool:
        return dict(zip((device.name for device in devices), pool.map(read, devices), strict=True))


def _without_contents(value: Any) -> Any:
    if not isinstance(value, ServerSnapshot):
        return value
    files = {path: what.partition(" ")[2] for path, what in value.files.items()}
    disks = {disk: bool(found) for disk, found in value.disks.items()}
    return without_data(value).model_copy(update={"files": files, "disks": disks})


def without_data(snapshot: ServerSnapshot) -> ServerSnapshot:
    """Customers' data come and go while a server is used, under names that the instance's secrets go into."""
    kept = tuple(line for line in snapshot.leftovers if not line.startswith("/srv/node/"))
    return snapshot.model_copy(update={"leftovers": kept})


def differences(wanted: State, found: State) -> tuple[str, ...]:
    """Names of what differs; of a server also in which respect."""
    words: list[str] = []
    for name in sorted(wanted.keys() | found.keys()):
        one, two = wanted.get(name), found.get(name)
        if isinstance(one, ServerSnapshot) and isinstance(two, ServerSnapshot):
            words += [f"{name} {line}" for line in compare(one, two)]
        elif one != two:
            words.append(name)
    return tuple(words)
