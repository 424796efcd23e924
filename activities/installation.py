"""What people must do for a plan, whether the right servers answer afterwards, and writing it down."""

from __future__ import annotations

import time
from functools import partial

from temporalio import activity

from activities.evidence import observation
from freehold import cables
from freehold.devices.base import Devices
from freehold.errors import AuthenticationRefused, CannotPlace, DeviceUnreachable, HostKeyMismatch
from freehold.inventory import Inventory
from freehold.models.checklist import Checklist, ItemKind
from freehold.models.hall import Device
from freehold.models.installation import Installed, ReplanInput, Replanned, ServerCheck, WorkOrder
from freehold.models.instance import Evidence, EvidenceKind, Instance
from freehold.models.plan import Plan
from freehold.models.policy import Procedure
from freehold.models.server import ServerFacts
from freehold.models.work import Changed, PlanRef, ServerRef
from freehold.planning.checklists import installation, places_of
from freehold.planning.replan import replan, unusable
from freehold.planning.snapshot import InventorySnapshot
from freehold.planning.storeroom import still_to_do
from freehold.policy import Policies
from freehold.services import service

ANSWERS_S = 60.0
"""A server that was switched on answers within this time."""
MEMORY_SEEN = 0.9
"""Firmware and kernel keep some of the memory to themselves."""


class InstallationActivities:
    """Holds the way to the devices, the inventory, and the rules that say who is told."""

    def __init__(self, devices: Devices, inventory: Inventory, rules: Policies, answers_s: float = ANSWERS_S) -> None:
        self._devices, self._inventory, self._rules, self._answers_s = devices, inventory, rules, answers_s

    @activity.defn
    def work_order(self, given: PlanRef) -> WorkOrder:
        """What of an instance's plan is still to be done by hand. Reads only."""
        plan = self._inventory.instance(given.instance).newest
        tell = self._rules.of(Procedure.INSTALL, plan).receivers
        beside = cables.seen_beside(self._inventory, self._devices, plan)
        checklist = self._checklist(plan).model_copy(update={"beside": beside})
        return WorkOrder(plan=plan, checklist=checklist, tell=tell)

    @activity.defn
    def replan(self, given: ReplanInput) -> Replanned:
        """Mark what cannot be used, and plan something else in its place, in one transaction.

        Repeating it finds the plan changed already. When nothing else is to be had, the plan stays as it was.
        """
        self._inventory.set_out_of_use(given.out_of_use)
        instance = self._inventory.instance(given.standing.instance)
        try:
            plan = self._inventory.replan(given.standing, partial(_plan_anew, instance), _record)
        except CannotPlace as error:
            plan = self._inventory.instance(instance.name).newest
            out = unusable(plan, self._inventory.snapshot())
            return Replanned(plan=plan, checklist=self._checklist(plan), stuck=str(error), out_of_use=out)
        return Replanned(plan=plan, checklist=self._checklist(plan))

    def _checklist(self, plan: Plan) -> Checklist:
        hall = self._inventory.hall()
        places = places_of(hall.devices)
        return Checklist(
            instance=plan.instance,
            site=plan.request.site,
            workflow_id=activity.info().workflow_id or "",
            title=f"Hardware for {plan.instance} at {plan.request.site}",
            items=installation(still_to_do(plan, hall), places),
        )

    @activity.defn
    def check_server(self, given: ServerRef) -> ServerCheck:
        """Ask a server who it is and hold that against the inventory. Changes nothing."""
        deadline = time.monotonic() + self._answers_s
        device = self._inventory.hall().device(given.server)
        while True:
            try:
                with self._devices.server(self._inventory.access(given.server)) as server:
                    return _compare(device, server.facts())
            except (HostKeyMismatch, AuthenticationRefused) as error:
                words = (
                    f"Another machine answers as {given.server}: {error}. Mount the one with serial {device.serial}."
                )
                return ServerCheck(server=given.server, wrong=ItemKind.RACK, words=words)
            except DeviceUnreachable:
                if time.monotonic() >= deadline:
                    words = (
                        f"{given.server} does not answer at {device.management.address}; look whether it is switched "
                        "on, both feeds are plugged, and it is the right server."
                    )
                    return ServerCheck(server=given.server, wrong=ItemKind.POWER_ON, words=words)
                time.sleep(min(1.0, self._answers_s))

    @activity.defn
    def record_installed(self, given: Installed) -> Changed:
        """Write down what stands and is plugged now. Repeating it changes nothing."""
        return Changed(changed=self._inventory.install(given))


def _plan_anew(instance: Instance, plan: Plan, now: InventorySnapshot) -> Plan:
    chosen = service(instance.service)
    made = replan(plan, chosen.needs(plan.request), now, instance.plan if instance.target else None)
    return chosen.evolve(instance.plan, made) if instance.target and made is not plan else made


def _record(before: Plan, after: Plan) -> Evidence:
    """That the plan was changed by rule, from which to which; only then the work in the hall goes on."""
    name = f"replan/{after.hash}"
    claim = f"plan {before.hash} became {after.hash}, because something of it cannot be used"
    observed = {"before": before.model_dump(mode="json"), "after": after.model_dump(mode="json")}
    return observation(name, after.instance, EvidenceKind.PLAN, claim, observed)


def _compare(device: Device, facts: ServerFacts) -> ServerCheck:
    """What differs between a server and what the inventory says of it."""
    wrong = []
    if facts.serial != device.serial:
        wrong.append(f"serial {facts.serial} answers where {device.serial} should be")
    macs = set(facts.nics.values())
    wrong += [f"NIC {n.name} ({n.mac}) is missing" for n in device.nics if n.mac not in macs]
    wrong += [f"disk {d.name} is missing" for d in device.disks if d.name not in facts.disks]
    if facts.memory_mib < device.memory_gib * 1024 * MEMORY_SEEN:
        wrong.append(f"{facts.memory_mib} MiB of memory instead of {device.memory_gib} GiB")
    if not wrong:
        return ServerCheck(server=device.name)
    words = f"{device.name}: {'; '.join(wrong)}. Mount the right server, with all of its parts."
    return ServerCheck(server=device.name, wrong=ItemKind.RACK, words=words)
