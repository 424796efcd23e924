"""Cables held against the plan: both ends are read over LLDP."""

from __future__ import annotations

import time
from collections.abc import Sequence

from temporalio import activity

from freehold.devices.base import Devices
from freehold.errors import CablingWrong
from freehold.inventory import Inventory
from freehold.models.cabling import CableFinding, CablingReport, Verdict
from freehold.models.installation import JudgeInput
from freehold.models.network import Neighbour
from freehold.models.plan import Plan, PlannedNic, PlannedServer
from freehold.models.work import Changed, PlanRef

SETTLE_S = 8.0
"""LLDP shows a neighbour 1.4 to 3.4 s after plugging (interval 2 s); longer means that there is none."""


class CablingActivities:
    """Reads neighbours; changes nothing."""

    def __init__(self, devices: Devices, inventory: Inventory, settle_s: float = SETTLE_S) -> None:
        self._devices, self._inventory, self._settle_s = devices, inventory, settle_s

    @activity.defn
    def verify_cables(self, given: PlanRef) -> Changed:
        """Prove that every cable of the plan connects the planned ports. Raises CablingWrong with those that do not."""
        plan = self._inventory.instance(given.instance).plan
        deadline = time.monotonic() + self._settle_s
        while problems := self._problems(plan):
            if time.monotonic() > deadline:
                raise CablingWrong("; ".join(problems))
            time.sleep(1)
        cables = [nic.cable.label for server in plan.servers for nic in server.nics]
        return Changed(changed=False, diff=f"as planned: {', '.join(cables)}")

    @activity.defn
    def judge_cables(self, given: JudgeInput) -> CablingReport:
        """Look where these cables of an instance's plan (all, when none is named) lead. Reads only."""
        plan = self._inventory.instance(given.instance).plan
        cables = [n.cable for s in plan.servers for n in s.nics if not given.cables or n.cable.label in given.cables]
        wrong = self._problems(plan)
        findings = []
        for cable in cables:
            words = next((w for w in wrong if w.startswith(f"cable {cable.label} ")), "")
            findings.append(
                CableFinding(cable=cable, verdict=Verdict.MISSING if words else Verdict.OK, words=words or "as planned")
            )
        return CablingReport(findings=tuple(findings))

    def _problems(self, plan: Plan) -> list[str]:
        seen = {name: self._neighbours(name, switch=True) for name in {n.switch for s in plan.servers for n in s.nics}}
        seen |= {server.server: self._neighbours(server.server, switch=False) for server in plan.servers}
        return [
            problem
            for server in plan.servers
            for nic in server.nics
            for problem in (check_both_ends(server, nic, seen[nic.switch], seen[server.server]),)
            if problem
        ]

    def _neighbours(self, device: str, switch: bool) -> tuple[Neighbour, ...]:
        access = self._inventory.access(device)
        if switch:
            with self._devices.switch(access) as session:
                return session.neighbours()
        with self._devices.server(access) as host:
            return host.neighbours()


def check_both_ends(
    server: PlannedServer, nic: PlannedNic, at_switch: Sequence[Neighbour], at_server: Sequence[Neighbour]
) -> str:
    """What is wrong with one cable, in words that name what is where now; empty when it is as planned."""
    cable = f"cable {nic.cable.label} ({nic.switch}/{nic.switch_port} to {server.server}/{nic.nic})"
    there = [n for n in at_switch if n.local_port == nic.switch_port]
    here = [n for n in at_server if n.local_port == nic.nic]
    if not there and not here:
        return f"{cable}: missing; neither end sees a neighbour"
    wanted_there, wanted_here = (server.server, nic.nic), (nic.switch, nic.switch_port)
    for at, seen, wanted in (
        (f"{nic.switch}/{nic.switch_port}", there, wanted_there),
        (f"{server.server}/{nic.nic}", here, wanted_here),
    ):
        found = [(n.system_name, n.port_id) for n in seen]
        if found != [wanted]:
            names = " and ".join(f"{d}/{p}" for d, p in found) or "nothing"
            return f"{cable}: {at} sees {names} instead of {wanted[0]}/{wanted[1]}"
    return ""
