"""What planning sees of the inventory at one moment: the hall, and who holds what. Pure data, no I/O."""

from __future__ import annotations

import gc
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from ipaddress import IPv4Network
from typing import TYPE_CHECKING

from freehold.errors import BadInput
from freehold.models.hall import Cable, Customer, Device, DeviceKind, Hall, Rack, Site
from freehold.models.network import PortConfig
from freehold.models.plan import Hold, HoldKind

if TYPE_CHECKING:
    import networkx as nx

End = tuple[str, str]
"""A cable's end as plain text: device and port."""


@lru_cache(maxsize=2**16)
def natural(name: str) -> tuple[tuple[str, int], ...]:
    """Sort key under which `s2` comes before `s10`."""
    return tuple((text, int(number or 0)) for text, number in re.findall(r"(\D*)(\d*)", name))


@contextmanager
def collecting_later() -> Iterator[None]:
    """Put off the search for garbage while many objects are made and all are kept: it would take most of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@dataclass(frozen=True)
class InventorySnapshot:
    """The hall and its holds. Rows may come in any order: nothing that planning does depends on it."""

    sites: tuple[Site, ...]
    racks: tuple[Rack, ...]
    devices: tuple[Device, ...]
    cables: tuple[Cable, ...]
    customers: tuple[Customer, ...]
    management: IPv4Network
    holds: Mapping[tuple[HoldKind, str], str] = field(default_factory=dict)
    """(kind, key) -> the instance that holds it."""

    @classmethod
    def of(cls, hall: Hall, holds: Mapping[tuple[HoldKind, str], str] | None = None) -> InventorySnapshot:
        return cls(hall.sites, hall.racks, hall.devices, hall.cables, hall.customers, hall.management, holds or {})

    def holding(self, instance: str, holds: Iterable[Hold]) -> InventorySnapshot:
        """The snapshot after `instance` was granted `holds`."""
        return replace(self, holds={**self.holds, **{(h.kind, h.key): instance for h in holds}})

    def released(self, instance: str) -> InventorySnapshot:
        """The snapshot after everything that `instance` holds was given back."""
        return replace(self, holds={hold: who for hold, who in self.holds.items() if who != instance})

    def draining(self, servers: Collection[str]) -> InventorySnapshot:
        """The snapshot in which no plan may use these servers."""
        if unknown := [name for name in servers if name not in self.device]:
            raise BadInput(f"server {unknown[0]!r} is not in the inventory; `freehold inventory list` shows all.")
        mark = {"out_of_use": "to be drained"}
        devices = tuple(d.model_copy(update=mark) if d.name in servers else d for d in self.devices)
        return replace(self, devices=devices) if servers else self

    def holder(self, kind: HoldKind, key: str) -> str | None:
        return self.holds.get((kind, key))

    @cached_property
    def device(self) -> dict[str, Device]:
        return {d.name: d for d in self.devices}

    @cached_property
    def cable_at(self) -> dict[End, Cable]:
        return {(end.device, end.port): cable for cable in self.cables for end in (cable.a, cable.b)}

    @cached_property
    def initial(self) -> dict[End, PortConfig]:
        """Configuration of every switch port before any instance."""
        return {(d.name, p.name): p.initial for d in self.devices for p in d.ports}

    def far_end(self, device: str, port: str) -> End | None:
        """Where the cable in this port leads to, if there is one."""
        cable = self.cable_at.get((device, port))
        if cable is None:
            return None
        end = cable.b if (cable.a.device, cable.a.port) == (device, port) else cable.a
        return end.device, end.port

    def switch_port(self, device: str, port: str) -> End | None:
        """The switch port that the cable in a server's or host's port leads to."""
        end = self.far_end(device, port)
        if end is None or self.device[end[0]].kind is not DeviceKind.SWITCH:
            return None
        return end

    def fabric(self, site: str) -> nx.Graph[str]:
        """The site's switches and the cables between them; of parallel cables only the first carries our VLANs."""
        import networkx as nx  # noqa: PLC0415  a third of a command's start, and few commands plan

        switches = sorted(d.name for d in self.devices if d.site == site and d.kind is DeviceKind.SWITCH)
        graph: nx.Graph[str] = nx.Graph()
        graph.add_nodes_from(switches)
        links = sorted(
            (c for c in self.cables if c.a.device in graph and c.b.device in graph and c.a.device != c.b.device),
            key=lambda c: (*sorted((c.a.device, c.b.device)), c.label),
        )
        for link in links:
            if not graph.has_edge(link.a.device, link.b.device):
                graph.add_edge(link.a.device, link.b.device, cable=link)
        return graph

    def host_switches(self, customer: str, site: str) -> tuple[str, ...]:
        """Switches of the site that the customer's hosts are plugged into, sorted."""
        ends = (
            self.switch_port(d.name, nic.name)
            for d in self.devices
            if d.kind is DeviceKind.HOST and d.customer == customer and d.site == site
            for nic in d.nics
        )
        return tuple(sorted({end[0] for end in ends if end and self.device[end[0]].site == site}))
