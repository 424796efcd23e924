"""The whole life of an instance in the lab while its customer uses it: grown, grown again, shrunk, given back.

The counting client on the customer's host judges every moment; people approve, and switch on what joins.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rich.console import Group
from rich.live import Live
from rich.table import Table

from freehold.cli import console, procedures
from freehold.cli.confirm import serve
from freehold.cli.count import line
from freehold.errors import ProcedureFailed
from freehold.inventory import Inventory
from freehold.lab.client import QUIET, ClientResult, CountingClient
from freehold.lab.technician import Technician
from freehold.models.instance import EvidenceKind, Instance
from freehold.models.plan import PlannedServer
from freehold.models.policy import Procedure
from freehold.models.procedure import ProcedureView, StepState
from freehold.models.request import DecommissionRequest, ScaleRequest

QUIET_S = 30.0
"""With nothing going on, to compare with: on the tier where the life begins, and again where it ends."""
REDRAWN_S = 1.0
INSTALL = "install hardware"
BEFORE_WAY, AFTER_WAY = "issue secrets", "prove service"
_BAR = 30


@dataclass(frozen=True)
class Change:
    """One part of the life."""

    name: str
    procedure: Procedure
    wanted: dict[str, Any]


LIFE = (
    Change("grow to distributed", Procedure.SCALE_UP, {"tier": "distributed"}),
    Change("one storage server more", Procedure.SCALE_UP, {"storage_servers": 4}),
    Change("one storage server less", Procedure.SCALE_DOWN, {"storage_servers": 3}),
    Change("shrink to compact", Procedure.SCALE_DOWN, {"tier": "compact"}),
)


@dataclass
class Life:
    """Takes one instance through all of it."""

    instance: str
    requester: str
    approver: str
    technician_name: str
    technician: Technician
    inventory: Inventory
    client: CountingClient
    took: Callable[[str, float], None]
    """Told how long each step of each procedure took."""
    _phase: str = field(default="", init=False)

    async def live(self) -> ClientResult:
        """All changes, one after the other; then everything that was ever written is read back."""
        await self._rest(QUIET)
        for change in LIFE:
            request = ScaleRequest(instance=self.instance, requested_by=self.requester, **change.wanted)
            console.err.print(
                f"[bold cyan]→[/] [bold]{change.name}[/]: {self.requester} asks, {self.approver} approves"
            )
            self._keep(change.name, await self._through(change.procedure, request, change.name))
        await self._rest("quiet again")
        console.say("  everything that was ever written is read back")
        return await asyncio.to_thread(self.client.stop)

    async def end(self) -> None:
        """Give it all back; the customer has gone."""
        console.err.print(f"[bold cyan]→[/] [bold]decommission[/]: {self.requester} asks, {self.approver} approves")
        request = DecommissionRequest(instance=self.instance, requested_by=self.requester)
        self._keep("decommission", await self._through(Procedure.DECOMMISSION, request, ""))

    async def _through(
        self, procedure: Procedure, request: ScaleRequest | DecommissionRequest, name: str
    ) -> ProcedureView:
        handle = await procedures.start(await procedures.client(), request, procedure)
        waiting = await self._watch(handle, name, until_waiting=True)
        await procedures.approve_plan(handle.id, waiting, self.approver)
        hands = asyncio.create_task(self._hands())
        try:
            ended = await self._watch(handle, name, until_waiting=False)
        finally:
            hands.cancel()
        if ended.outcome not in ("active", "gone"):
            raise ProcedureFailed(f"{handle.id} did not come to its end: {procedures.why(ended)}")
        return ended

    async def _hands(self) -> None:
        await serve(self.technician, self.technician_name, patience_s=3600)

    async def _watch(self, handle: Any, name: str, *, until_waiting: bool) -> ProcedureView:
        """Follow a procedure until it ends or asks for somebody; the client hears of each part of the way."""
        drawn = 0.0
        with Live(console=console.err, auto_refresh=False, transient=True) as live:
            async for view in procedures.views(handle):
                if name:
                    await self._tell_client(name, view)
                # The computer has more to do than to draw: it carries a data centre.
                if console.err.is_terminal and time.monotonic() > drawn + REDRAWN_S:
                    live.update(await asyncio.to_thread(self._picture, view), refresh=True)
                    drawn = time.monotonic()
                if view.waiting is not None and (until_waiting or view.waiting.kind == "retry"):
                    break
        return view

    async def _tell_client(self, name: str, view: ProcedureView) -> None:
        phase = f"{name}: {part_of(view)}"
        if phase != self._phase:
            # What the lab needs to boot machines on this computer is no figure of the service.
            await asyncio.to_thread(self.client.phase, phase, not phase.endswith(INSTALL))
            self._phase = phase

    async def _rest(self, phase: str) -> None:
        await asyncio.to_thread(self.client.phase, phase)
        with console.err.status("") as status:
            for _ in range(round(QUIET_S)):
                status.update(line(await asyncio.to_thread(self.client.progress)))
                await asyncio.sleep(1)

    def _keep(self, name: str, view: ProcedureView) -> None:
        for step in view.steps:
            if step.state is not StepState.SKIPPED:
                self.took(f"{name}: {step.name}", step.seconds or 0.0)

    def _picture(self, view: ProcedureView) -> Group:
        return Group(
            procedures.steps_table(view), where_data_is(self.inventory, self.instance), line(self.client.progress())
        )


def part_of(view: ProcedureView) -> str:
    """The part of the way that a procedure is on: what comes before data moves, each waypoint, what comes after."""
    names = [step.name for step in view.steps]
    running = next((s.name for s in view.steps if s.state is not StepState.PENDING and s.finished_at is None), "")
    if running == INSTALL or running not in names or BEFORE_WAY not in names or AFTER_WAY not in names:
        return running if running == INSTALL else "plan"
    if names.index(running) <= names.index(BEFORE_WAY):
        return "plan and ports"
    return running if names.index(running) < names.index(AFTER_WAY) else "prove and clear"


def where_data_is(inventory: Inventory, instance: str) -> Table:
    """The instance's servers and how much each of them was last seen to hold."""
    found = inventory.instance(instance)
    holds: dict[str, dict[str, int]] = {}
    for proof in inventory.evidence(instance, EvidenceKind.DATA):
        holds |= proof.observed.get("observed", {}).get("holds", {})
    most = max((h["bytes"] for h in holds.values()), default=0) or 1
    table = Table(box=None, padding=(0, 1))
    for column in ("server", "roles", "state", "holds", ""):
        table.add_column(column)
    for state, servers in _parts(found):
        for server in servers:
            held = holds.get(server.server, {"objects": 0, "bytes": 0})
            bar = "█" * round(_BAR * held["bytes"] / most)
            size = f"{held['objects']} objects, {held['bytes'] / 2**20:.0f} MiB" if server.server in holds else ""
            table.add_row(server.server, ", ".join(server.roles), state, size, f"[cyan]{bar}[/]")
    return table


def _parts(found: Instance) -> list[tuple[str, tuple[PlannedServer, ...]]]:
    """What becomes of servers, and which."""
    if found.change is None:
        return [("serves", found.plan.servers)]
    leaving = found.change.leaving.servers
    stays = tuple(server for server in found.plan.servers if server not in leaving)
    return [("stays", stays), ("leaves", leaving), ("joins", found.change.joining.servers)]
