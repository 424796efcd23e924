"""Effects on switches: hand changes to a switch's session, and apply what the session collected."""

from __future__ import annotations

from temporalio import activity
from temporalio.client import Client

from freehold.devices.base import Devices
from freehold.devices.switches.changes import apply_changes, preview
from freehold.errors import ProofFailed
from freehold.inventory import Inventory
from freehold.models.network import SwitchChange
from freehold.models.plan import SwitchPreview
from freehold.models.session import BatchInput, BatchResult, ChangeTicket, SessionState


class SwitchActivities:
    """Holds the way to the devices and, for handing in, the Temporal client."""

    def __init__(self, devices: Devices, inventory: Inventory, client: Client, task_queue: str) -> None:
        self._devices, self._inventory = devices, inventory
        self._client, self._task_queue = client, task_queue

    @activity.defn
    async def hand_in(self, ticket: ChangeTicket) -> None:
        """Signal the switch's session, starting it when there is none. A repeated ticket is known by its number."""
        switch = ticket.change.switch
        await self._client.start_workflow(
            "SwitchSession",
            SessionState(switch=switch),
            id=f"switch-{switch}",
            task_queue=self._task_queue,
            start_signal="change",
            start_signal_args=[ticket],
            static_summary=f"changes of {switch}",
        )

    @activity.defn
    def apply_changes(self, batch: BatchInput) -> BatchResult:
        """Apply all changes in one session with one save. Repeating it finds the ports as wanted."""
        access = self._inventory.access(batch.switch)
        with self._devices.switch(access) as switch:
            results = apply_changes(switch, batch.changes, unsaved=activity.info().attempt > 1)
        return BatchResult(results=tuple(results), sessions=1, saves=1 if any(r.changed for r in results) else 0)

    @activity.defn
    def preview_switch(self, change: SwitchChange) -> SwitchPreview:
        """Read the ports that a plan takes and say what would change. Changes nothing."""
        ports = {p.port for p in change.ports}
        with self._devices.switch(self._inventory.access(change.switch)) as switch:
            state = switch.read(ports | {t.port for t in change.trunks})
            diff = preview(switch, change)
        return SwitchPreview(diff=diff, before={port: state.ports[port] for port in sorted(ports)})

    @activity.defn
    def check_ports_as_before(self, undo: SwitchChange) -> None:
        """Prove that the way back has nothing to change: the ports are as they were read before the plan."""
        with self._devices.switch(self._inventory.access(undo.switch)) as switch:
            diff = preview(switch, undo)
        if diff.commands:
            raise ProofFailed(f"{undo.switch} is not as before: {'; '.join(diff.commands)}")
