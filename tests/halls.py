"""Halls built in code, for tests and benchmarks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from freehold.models.hall import Hall
from freehold.models.plan import NetworkPurpose
from freehold.models.request import InstanceRequest
from freehold.services.base import ServerNeed

FRONT, BACK = NetworkPurpose.FRONT, NetworkPurpose.BACK
MANAGEMENT = "198.18.0.0/16"
COMPACT = (ServerNeed(roles=("web", "storage"), count=1, networks=(FRONT, BACK), disks=1, memory_gib=2),)
DISTRIBUTED = (
    ServerNeed(roles=("web",), count=2, networks=(FRONT, BACK)),
    ServerNeed(roles=("storage",), count=3, networks=(BACK,), disks=1, disk_gib=2),
)


@dataclass
class HallBuilder:
    """Two customers, acme and globex; add racks, switches, servers and cables as a test needs them."""

    sites: Sequence[str] = ("north",)
    customers: Sequence[str] = ("acme", "globex")
    vlans: tuple[int, int] = (100, 199)
    back_prefixes: str = "10.64.0.0/16"
    endpoints: int = 20
    racks: list[dict[str, object]] = field(default_factory=list)
    devices: list[dict[str, object]] = field(default_factory=list)
    cables: list[dict[str, object]] = field(default_factory=list)
    _ports: dict[str, int] = field(default_factory=dict)

    def rack(self, name: str, site: str = "north", feeds: Sequence[str] = ("feed-a", "feed-b")) -> None:
        self.racks.append({"name": name, "site": site, "units": 60, "feeds": tuple(feeds)})

    def _management(self) -> dict[str, object]:
        return {"address": str(IPv4Address("198.18.0.10") + len(self.devices))}

    def switch(self, name: str, rack: str, unit: int = 60, site: str = "north", ports: int = 64) -> None:
        self.devices.append(
            {
                "name": name,
                "kind": "switch",
                "serial": f"SW-{name}",
                "site": site,
                "position": {"rack": rack, "unit": unit},
                "management": self._management(),
                "dialect": "ovs",
                "ports": [{"name": f"swp{n + 1}"} for n in range(ports)],
            }
        )

    def server(
        self,
        name: str,
        rack: str | None,
        switches: Sequence[str | None] = (),
        *,
        unit: int = 1,
        site: str = "north",
        feeds: Sequence[str] = ("feed-a",),
        disks: Sequence[int] = (10,),
        memory_gib: int = 4,
        powered: bool = True,
        nics: int = 2,
    ) -> None:
        """`switches`: where each NIC is cabled to, in order; None leaves a NIC without cable."""
        number = len(self.devices)
        self.devices.append(
            {
                "name": name,
                "kind": "server",
                "serial": f"SRV-{name}",
                "site": site,
                "position": {"rack": rack, "unit": unit} if rack else None,
                "feeds": tuple(feeds),
                "powered": powered,
                "management": self._management(),
                "nics": [{"name": f"eth{n + 1}", "mac": _mac(number, n)} for n in range(nics)],
                "disks": [
                    {"name": f"vd{chr(98 + n)}", "serial": f"D-{name}-{n}", "size_gib": size}
                    for n, size in enumerate(disks)
                ],
                "memory_gib": memory_gib,
            }
        )
        for n, switch in enumerate(switches):
            if switch:
                self.cable(switch, f"{name}/eth{n + 1}")

    def host(self, name: str, customer: str, switch: str, site: str = "north") -> None:
        number = len(self.devices)
        network = list(self.customers).index(customer)
        self.devices.append(
            {
                "name": name,
                "kind": "host",
                "serial": f"HOST-{name}",
                "site": site,
                "management": self._management(),
                "nics": [{"name": "eth1", "mac": _mac(number, 0)}],
                "customer": customer,
                "address": f"10.{network + 1}.0.5/24",
            }
        )
        port = self.cable(switch, f"{name}/eth1")
        ports = next(d for d in self.devices if d["name"] == switch)["ports"]
        assert isinstance(ports, list)
        for entry in ports:
            if entry["name"] == port:
                entry["initial"] = {"mode": "access", "vlan": 11 + network, "description": name}

    def cable(self, switch: str, far: str) -> str:
        port = self._port(switch)
        self.cables.append({"label": f"c{len(self.cables) + 1}", "a": f"{switch}/{port}", "b": far})
        return port

    def trunk(self, one: str, other: str) -> None:
        far = self._port(other)
        self.cable(one, f"{other}/{far}")
        for name, port in ((one, str(self.cables[-1]["a"]).split("/")[1]), (other, far)):
            ports = next(d for d in self.devices if d["name"] == name)["ports"]
            assert isinstance(ports, list)
            for entry in ports:
                if entry["name"] == port:
                    entry["initial"] = {"mode": "trunk", "description": "trunk"}

    def _port(self, switch: str) -> str:
        self._ports[switch] = self._ports.get(switch, 0) + 1
        return f"swp{self._ports[switch]}"

    def build(self) -> Hall:
        return Hall.model_validate(
            {
                "name": "test",
                "management": MANAGEMENT,
                "sites": [{"name": s, "vlans": self.vlans, "back_prefixes": self.back_prefixes} for s in self.sites],
                "racks": self.racks,
                "devices": self.devices,
                "cables": self.cables,
                "customers": [
                    {
                        "name": name,
                        "networks": [
                            {
                                "site": site,
                                "vlan": 11 + n,
                                "prefix": f"10.{n + 1}.0.0/24",
                                "endpoints": [f"10.{n + 1}.0.10", f"10.{n + 1}.0.{9 + self.endpoints}"],
                            }
                            for site in self.sites
                        ],
                    }
                    for n, name in enumerate(self.customers)
                ],
            }
        )


def _mac(device: int, nic: int) -> str:
    return f"02:00:{device >> 16 & 255:02x}:{device >> 8 & 255:02x}:{device & 255:02x}:{nic:02x}"


def small_hall(servers: int = 3) -> HallBuilder:
    """Two racks with a leaf each and a trunk between; `servers` servers a rack; a host per customer."""
    hall = HallBuilder()
    for number in (1, 2):
        hall.rack(f"r{number}")
        hall.switch(f"leaf{number}", f"r{number}")
    hall.trunk("leaf1", "leaf2")
    for number in (1, 2):
        for unit in range(1, servers + 1):
            leaf = f"leaf{number}"
            feed = "feed-a" if unit % 2 else "feed-b"
            hall.server(f"r{number}-s{unit}", f"r{number}", (leaf, leaf), unit=unit, feeds=(feed,))
    hall.host("acme-host", "acme", "leaf1")
    hall.host("globex-host", "globex", "leaf2")
    return hall


def request(instance: str = "acme-1", customer: str = "acme", site: str = "north") -> InstanceRequest:
    return InstanceRequest(instance=instance, customer=customer, site=site, requested_by="olga")


def big_hall(racks: int = 400, servers: int = 25) -> Hall:
    """A leaf and `servers` servers a rack; each of the first leaves joins twenty others."""
    hall = HallBuilder(vlans=(100, 4000), back_prefixes="10.64.0.0/10", endpoints=200)
    for rack in range(1, racks + 1):
        name = f"r{rack}"
        feeds = (f"feed-{rack % 4}-a", f"feed-{rack % 4}-b")
        hall.rack(name, feeds=feeds)
        hall.switch(f"leaf{rack}", name, ports=servers * 2 + 40)
        if rack > 1:
            hall.trunk(f"leaf{max(1, (rack - 2) // 20 + 1)}", f"leaf{rack}")
        for unit in range(1, servers + 1):
            hall.server(
                f"{name}-s{unit}", name, (f"leaf{rack}",) * 2, unit=unit, feeds=(feeds[unit % 2],), disks=(100, 100)
            )
    hall.host("acme-host", "acme", "leaf1")
    hall.host("globex-host", "globex", "leaf2")
    return hall.build()
