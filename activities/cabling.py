"""Cables held against the plan: every device is read once, and each cable judged by what both of its ends see."""

from __future__ import annotations

import time
from collections.abc import Collection

from temporalio import activity

from freehold import cables
from freehold.devices.base import Devices
from freehold.errors import CablingWrong, DeviceUnreachable
from freehold.inventory import Inventory
from freehold.metrics.own import DRIFT, WORDS
from freehold.models.cabling import CablingReport, Verdict
from freehold.models.installation import JudgeInput
from freehold.models.plan import Plan
from freehold.models.watch import WatchInput, WatchReport
from freehold.models.work import Changed, PlanRef
from freehold.watch import watch

SETTLE_S = 8.0
"""LLDP shows a neighbour 1.4 to 3.4 s after plugging (interval 2 s); longer means that there is none."""


class CablingActivities:
    """Reads neighbours and MAC tables; changes nothing."""

    def __init__(self, devices: Devices, inventory: Inventory, settle_s: float = SETTLE_S) -> None:
        self._devices, self._inventory, self._settle_s = devices, inventory, settle_s

    @activity.defn
    def verify_cables(self, given: PlanRef) -> Changed:
        """Prove that every cable of what is to come connects the planned ports.

        Raises CablingWrong that says what to move.
        """
        report = self._settled(self._inventory.instance(given.instance).to_come)
        wrong = [f for f in report.findings if f.verdict is not Verdict.OK]
        if wrong:
            words = " ".join(f.words for f in wrong)
            if report.unanswered and all(f.verdict is Verdict.UNKNOWN for f in wrong):
                raise DeviceUnreachable(f"{words} ({'; '.join(report.unanswered)})")
            raise CablingWrong(words)
        return Changed(changed=False, diff=f"as planned: {', '.join(f.cable.label for f in report.findings)}")

    @activity.defn
    def judge_cables(self, given: JudgeInput) -> CablingReport:
        """Look where these cables of an instance's plan (all, when none is named) lead. Reads only."""
        return self._settled(self._inventory.instance(given.instance).newest, given.cables, given.beside)

    @activity.defn
    def watch_ports(self, given: WatchInput) -> WatchReport:
        """Look at the ports of all instances once. Reads only; a switch that does not answer is named."""
        report = watch(self._inventory, self._devices, given.opened)
        drift = activity.metric_meter().create_gauge(DRIFT, WORDS[DRIFT])
        drift.set(len(report.differs), {"what": "cables"})
        return report

    def _settled(self, plan: Plan, labels: Collection[str] = (), beside: Collection[str] = ()) -> CablingReport:
        """The report as soon as all is right, or when neighbours have had time to show up."""
        question = cables.of_plan(self._inventory, plan, labels, beside)
        deadline = time.monotonic() + self._settle_s
        while True:
            report = cables.answer(question, self._inventory, self._devices)
            if all(f.verdict is Verdict.OK for f in report.findings) or time.monotonic() > deadline:
                return report
            time.sleep(1)
