"""The management network and the network cards of the machines.

Every machine has a network namespace. Its management card ends on a bridge in the root namespace, which carries
nothing else; all other cards and switch ports end in the patch panel, a namespace of its own (see cables).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from freehold.lab.commands import LabError, batch, run
from freehold.lab.names import Names
from freehold.models.hall import Device, Hall

NAMESPACES = Path("/run/netns")


def panel_end(hall: Hall, device: str, port: str) -> str:
    """The interface in the patch panel that is the other end of a device's port."""
    for index, candidate in enumerate(hall.devices):
        if candidate.name == device:
            return f"d{index}p{candidate.port_names().index(port)}"
    raise KeyError(device)


def build(names: Names, hall: Hall) -> None:
    """Make the management bridge with Freehold's own address, and the patch panel. Repeating changes nothing."""
    if names.panel not in namespaces():
        run("ip", "netns", "add", names.panel)
    with suppress(OSError):  # a kernel without IPv6 has nothing to switch off
        off = "/proc/sys/net/ipv6/conf/default/disable_ipv6"
        run("ip", "netns", "exec", names.panel, "sh", "-c", f"test ! -e {off} || echo 1 >{off}")
    own = f"{next(hall.management.hosts())}/{hall.management.prefixlen}"
    if names.bridge not in interfaces():
        run("ip", "link", "add", names.bridge, "type", "bridge", "stp_state", "0", "forward_delay", "0")
    lines = [f"addr replace {own} dev {names.bridge}", f"link set {names.bridge} up"]
    batch("ip", lines)


def attach(names: Names, hall: Hall, device: Device) -> None:
    """Make a machine's namespace with all its cards, uncabled. What stood there before is removed."""
    detach(names, hall, device)
    namespace = names.machine(device.name)
    run("ip", "netns", "add", namespace)
    batch("ip", _cards(names, hall, device, namespace))


def _cards(names: Names, hall: Hall, device: Device, namespace: str) -> Iterator[str]:
    management = names.management_end(hall.devices.index(device))
    # The fixed address is the machine's identity in LLDP.
    mac = f"address {device.management.mac}" if device.management.mac else ""
    yield f"link add {management} type veth peer name mgmt0 {mac} netns {namespace}"
    # Isolated: machines reach Freehold and never one another over management.
    yield f"link set {management} master {names.bridge} up"
    yield f"link set {management} type bridge_slave isolated on"
    macs = {nic.name: f"address {nic.mac}" for nic in device.nics}
    for port in device.port_names():
        end = panel_end(hall, device.name, port)
        yield f"link add {end} netns {names.panel} type veth peer name {port} {macs.get(port, '')} netns {namespace}"


def detach(names: Names, hall: Hall, device: Device) -> None:
    """Remove a machine's namespace and cards, if any. Nothing may run in it any more."""
    with suppress(ValueError):
        management = names.management_end(hall.devices.index(device))
        if management in interfaces():  # deleting one end deletes both, at once
            run("ip", "link", "del", management)
    own = {panel_end(hall, device.name, port) for port in device.port_names()}
    batch("ip", [f"link del {end}" for end in interfaces(names.panel) if end in own], "-n", names.panel)
    remove_namespace(names.machine(device.name))


def namespaces() -> list[str]:
    """Names of all network namespaces on this computer."""
    return sorted(p.name for p in NAMESPACES.iterdir()) if NAMESPACES.is_dir() else []


def remove_namespace(name: str) -> None:
    """Remove it if it is there, also when another process removes it at the same moment."""
    try:
        if name in namespaces():
            run("ip", "netns", "del", name)
    except LabError:
        if name in namespaces():
            raise


def interfaces(namespace: str | None = None) -> list[str]:
    """Names of the interfaces in the root namespace or another."""
    where = ("-n", namespace) if namespace else ()
    return [link["ifname"] for link in json.loads(run("ip", *where, "-j", "link", "show") or "[]")]
