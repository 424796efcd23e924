"""Another port or server in the place of what turned out to be out of use; the rest of the plan stays. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from freehold.errors import CannotPlace
from freehold.models.hall import Cable, Device, Position
from freehold.models.plan import NetworkPurpose, Plan, PlannedServer
from freehold.planning.change import with_disabled
from freehold.planning.paths import islands
from freehold.planning.placement import Field
from freehold.planning.planner import Planner
from freehold.planning.snapshot import End, InventorySnapshot
from freehold.planning.storeroom import furnished, installable
from freehold.services.base import ServerNeed


def unusable(plan: Plan, now: InventorySnapshot) -> dict[str, str]:
    """What of the work for a plan is out of use by now, and why: servers, and switch ports of cables to be plugged."""
    servers = {s.server: now.device[s.server].out_of_use for s in plan.servers}
    ports = {str(c.a): now.device[c.a.device].why_unused(c.a.port) for c in plan.cables if c.b.device in servers}
    return {thing: why for thing, why in (servers | ports).items() if why}


def replan(plan: Plan, needs: tuple[ServerNeed, ...], now: InventorySnapshot, active: Plan | None = None) -> Plan:
    """The plan without what is out of use; the same plan when nothing of it is.

    A cable gets another free port of the nearest switch that leads to the same networks; the work of a server goes to
    another one that fits, in the racks or in the storeroom. Servers, networks, addresses and the endpoint stay as they
    are otherwise. When the plan is what an instance is being changed to, `active` is the one that it has.
    Raises CannotPlace.
    """
    out = unusable(plan, now)
    return _Replanner(plan, needs, now, out, active).plan() if out else plan


class _Replanner:
    """`hall` is what there would be with the plan's usable part installed; new cables and servers are added to it."""

    def __init__(
        self,
        plan: Plan,
        needs: tuple[ServerNeed, ...],
        now: InventorySnapshot,
        out: dict[str, str],
        active: Plan | None,
    ) -> None:
        self._before, self._needs, self._now, self._out = plan, needs, now, out
        self._active = active
        self._site, self._instance = plan.request.site, plan.instance
        self._kept = [s for s in plan.servers if s.server not in out]
        names = {s.server for s in self._kept}
        self._broken = [c for c in plan.cables if str(c.a) in out and c.b.device in names]
        self._islands = islands(now.fabric(self._site))
        self._hall = self._as_planned(names)

    def plan(self) -> Plan:
        for name in dict.fromkeys(c.b.device for c in self._broken):
            self._cable_anew(name)
        instead: dict[str, str] = {}
        for server in self._before.servers:
            if server.server in self._out:
                instead[server.server] = self._another(server, instead.values())
        planner = Planner(self._before.request, self._needs, self._hall, self._now, self._active)
        servers = tuple(
            self._replaced(planner, s, self._hall.device[instead[s.server]])
            if s.server in instead
            else self._recabled(s)
            for s in self._before.servers
        )
        made = planner.assemble(servers, self._before.networks, self._before.endpoint)
        kept = ("procedure", "remembered", "dead", "installed_before")
        stays = {name: getattr(self._before, name) for name in kept}
        return with_disabled(made.model_copy(update=stays), self._before.disabled)

    def _as_planned(self, names: set[str]) -> InventorySnapshot:
        where = {s.server: s for s in self._kept}
        devices = tuple(
            d.model_copy(update={"position": Position(rack=s.rack, unit=s.unit), "feeds": s.feeds})
            if (s := where.get(d.name)) and d.position is None
            else d
            for d in self._now.devices
        )
        there = {c.label for c in self._now.cables}
        planned = [c for c in self._before.cables if c.b.device in names and c not in self._broken]
        return replace(
            self._now, devices=devices, cables=(*self._now.cables, *(c for c in planned if c.label not in there))
        )

    def _cable_anew(self, server: str) -> None:
        """Plug what is loose of a server into free ports of switches that lead to the same networks."""
        broken = {c.b.port: c for c in self._broken if c.b.device == server}
        among = {switch for c in broken.values() for switch in self._island(c.a.device)}
        after = furnished(self._hall, self._site, self._instance, [server], among)
        for nic, cable in broken.items():
            end = after.switch_port(server, nic)
            if end is None or end[0] not in self._island(cable.a.device):
                raise CannotPlace(
                    f"{self._instance} needs a port for {cable.b} in the place of {cable.a}, which is out of use "
                    f"({self._out[str(cable.a)]}); no switch that leads to the same network has one free. "
                    f"Free one, or repair it and say `freehold inventory in-use {cable.a}`."
                )
        self._hall = after

    def _another(self, lost: PlannedServer, taken: Iterable[str]) -> str:
        """The server that does the work of the lost one."""
        used = {*taken, *(s.server for plan in (self._before, self._active) if plan for s in plan.servers)}
        if chosen := self._choose(lost, self._hall, used):
            return chosen
        idle = [n for n in installable(self._hall, self._site, self._instance) if n not in used]
        chosen = self._choose(lost, furnished(self._hall, self._site, self._instance, idle), used)
        if chosen is None:
            raise CannotPlace(
                f"{self._instance} needs a server for {' + '.join(lost.roles)} in the place of {lost.server}, which is "
                f"out of use ({self._out[lost.server]}); site {self._site} has none that is free, fits and can be "
                f"cabled. Add one, or repair it and say `freehold inventory in-use {lost.server}`."
            )
        self._hall = furnished(self._hall, self._site, self._instance, [chosen])
        return chosen

    def _choose(self, lost: PlannedServer, hall: InventorySnapshot, used: set[str]) -> str | None:
        fabrics: dict[NetworkPurpose, set[str]] = {n.network: self._island(n.switch) for n in lost.nics}
        field = Field.of((self._need(lost),), hall, self._site, self._instance).reachable(hall, fabrics)
        stay = [hall.device[s.server] for s in self._kept]
        alike = [hall.device[s.server] for s in self._kept if s.roles == lost.roles]
        found = field.another(used, alike, stay)
        return found.name if found else None

    def _need(self, server: PlannedServer) -> ServerNeed:
        return next(need for need in self._needs if need.roles == server.roles)

    def _island(self, switch: str) -> set[str]:
        return next(island for island in self._islands if switch in island)

    def _replaced(self, planner: Planner, lost: PlannedServer, device: Device) -> PlannedServer:
        return planner.server(self._need(lost), device, {nic.network: nic.address for nic in lost.nics})

    def _recabled(self, server: PlannedServer) -> PlannedServer:
        nics = []
        for nic in server.nics:
            end = self._hall.switch_port(server.server, nic.nic)
            assert end is not None  # or there would be no plan
            nics.append(nic.model_copy(update=_led_to(end, self._hall.cable_at[end])))
        return server.model_copy(update={"nics": tuple(nics)})


def _led_to(end: End, cable: Cable) -> dict[str, object]:
    return {"switch": end[0], "switch_port": end[1], "cable": cable}
