"""What people must do to take servers out, whether machines see that it is done, and writing it down."""

from __future__ import annotations

import time

from temporalio import activity

from freehold.devices.base import Devices
from freehold.devices.sights import look
from freehold.errors import AuthenticationRefused, BadInput, DeviceUnreachable, HostKeyMismatch
from freehold.inventory import Inventory
from freehold.models.cabling import CablingReport
from freehold.models.checklist import Checklist, ItemKind
from freehold.models.hall import DeviceKind
from freehold.models.installation import ServerCheck, WorkOrder
from freehold.models.plan import HoldKind
from freehold.models.policy import Procedure
from freehold.models.removal import Leaving, PulledCables, Removed
from freehold.models.work import Changed, ServerRef
from freehold.planning.checklists import places_of
from freehold.planning.removal import refuse_unerased, removal, still_plugged
from freehold.policy import Policies

SETTLE_S = 8.0
"""LLDP forgets a neighbour 1.0 to 1.4 s after a cable was pulled (interval 2 s)."""
SILENT_S = 60.0
"""A server that was switched off is silent within this time."""


class RemovalActivities:
    """Holds the way to the devices, the inventory, and the rules that say who is told."""

    def __init__(
        self,
        devices: Devices,
        inventory: Inventory,
        rules: Policies,
        settle_s: float = SETTLE_S,
        silent_s: float = SILENT_S,
    ) -> None:
        self._devices, self._inventory, self._rules = devices, inventory, rules
        self._settle_s, self._silent_s = settle_s, silent_s

    @activity.defn
    def removal_order(self, given: Leaving) -> WorkOrder:
        """What is to be taken out by hand. Reads only. Refuses servers of others, and disks that are not erased."""
        hall, instance = self._inventory.hall(), self._inventory.instance(given.instance)
        held = {hold.key for hold, _ in self._inventory.holds(given.instance) if hold.kind is HoldKind.SERVER}
        if foreign := sorted(set(given.servers) - held):
            raise BadInput(
                f"servers: {foreign[0]!r} is not held by {given.instance}; it holds {', '.join(sorted(held)) or 'none'}"
            )
        leaving = [d for d in hall.devices if d.name in given.servers]
        refuse_unerased(instance, leaving, self._inventory.evidence(given.instance))
        places = places_of(hall.devices)
        plan = instance.plan
        return WorkOrder(
            plan=plan,
            checklist=Checklist(
                instance=given.instance,
                site=plan.request.site,
                workflow_id=activity.info().workflow_id or "",
                title=f"Hardware of {given.instance} goes back to the storeroom",
                items=removal(leaving, hall.cables, places),
            ),
            tell=self._rules.of(Procedure.INSTALL, plan).receivers,
        )

    @activity.defn
    def check_pulled(self, given: PulledCables) -> CablingReport:
        """Which of these cables are still plugged, as their ends see it. Reads only."""
        hall = self._inventory.hall()
        cables = [c for c in hall.cables if c.label in given.cables]
        ends = {end.device for c in cables for end in (c.a, c.b)}
        asked = [d for d in hall.devices if d.name in ends and d.kind is not DeviceKind.HOST]
        deadline = time.monotonic() + self._settle_s
        while True:
            answers = look(self._devices, self._inventory.access, asked, ())
            findings = still_plugged(cables, (sight for a in answers for sight in a.sights))
            if not findings or time.monotonic() > deadline:
                silent = tuple(f"{a.device}: {a.error}" for a in answers if a.error)
                return CablingReport(findings=findings, unanswered=silent)
            time.sleep(1)

    @activity.defn
    def check_off(self, given: ServerRef) -> ServerCheck:
        """Whether nothing answers any more where the server did. Changes nothing."""
        deadline = time.monotonic() + self._silent_s
        while True:
            try:
                with self._devices.server(self._inventory.access(given.server)):
                    words = f"{given.server} still answers; switch it off before you take it out."
            except DeviceUnreachable:
                return ServerCheck(server=given.server)
            except (HostKeyMismatch, AuthenticationRefused) as error:
                words = f"Something still answers as {given.server}: {error}. Look which server you switched off."
            if time.monotonic() >= deadline:
                return ServerCheck(server=given.server, wrong=ItemKind.POWER_OFF, words=words)
            time.sleep(1)

    @activity.defn
    def record_removed(self, given: Removed) -> Changed:
        """Write down what is gone. Repeating it changes nothing."""
        return Changed(changed=self._inventory.remove(given))
