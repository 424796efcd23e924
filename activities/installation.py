"""What people must do for a plan, whether the right servers answer afterwards, and writing it down."""

from __future__ import annotations

import time

from temporalio import activity

from freehold.devices.base import Devices
from freehold.errors import AuthenticationRefused, DeviceUnreachable, HostKeyMismatch
from freehold.inventory import Inventory
from freehold.models.checklist import Checklist, ItemKind, Place
from freehold.models.hall import Device
from freehold.models.installation import Installed, ServerCheck, WorkOrder
from freehold.models.server import ServerFacts
from freehold.models.work import Changed, PlanRef, ServerRef
from freehold.planning.checklists import installation
from freehold.planning.storeroom import still_to_do

ANSWERS_S = 60.0
"""A server that was switched on answers within this time."""


class InstallationActivities:
    """Holds the way to the devices and the inventory."""

    def __init__(self, devices: Devices, inventory: Inventory, answers_s: float = ANSWERS_S) -> None:
        self._devices, self._inventory, self._answers_s = devices, inventory, answers_s

    @activity.defn
    def work_order(self, given: PlanRef) -> WorkOrder:
        """What of an instance's plan is still to be done by hand. Reads only."""
        hall = self._inventory.hall()
        plan = self._inventory.instance(given.instance).plan
        places = {d.name: Place(rack=d.position.rack, unit=d.position.unit) for d in hall.devices if d.position}
        checklist = Checklist(
            instance=given.instance,
            site=plan.request.site,
            workflow_id=activity.info().workflow_id or "",
            title=f"Hardware for {given.instance} at {plan.request.site}",
            items=installation(still_to_do(plan, hall), places),
        )
        return WorkOrder(plan=plan, checklist=checklist)

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


def _compare(device: Device, facts: ServerFacts) -> ServerCheck:
    """What differs between a server and what the inventory says of it."""
    wrong = []
    if facts.serial != device.serial:
        wrong.append(f"serial {facts.serial} answers where {device.serial} should be")
    macs = set(facts.nics.values())
    wrong += [f"NIC {n.name} ({n.mac}) is missing" for n in device.nics if n.mac not in macs]
    wrong += [f"disk {d.name} is missing" for d in device.disks if d.name not in facts.disks]
    if not wrong:
        return ServerCheck(server=device.name)
    words = f"{device.name}: {'; '.join(wrong)}. Mount the right server, with all of its parts."
    return ServerCheck(server=device.name, wrong=ItemKind.RACK, words=words)
