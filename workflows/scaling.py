"""How an instance goes from one plan to the next while it serves: `ScaleUp`, `ScaleDown`, `ConsolidateData`."""

from __future__ import annotations

from datetime import datetime
from functools import partial

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.data import DataActivities
    from activities.inventory import InventoryActivities
    from activities.servers import ServerActivities
    from activities.service import ServiceActivities
    from freehold.models.change import Change, Way, WaypointRef, WaypointView
    from freehold.models.plan import Plan
    from freehold.models.procedure import Outcome
    from freehold.models.request import ScaleRequest
    from freehold.models.work import ChangeInput, ChangeResult, ChangingProcedure, ProbeKind, ServerRef
    from freehold.planning.change import switched_off
    from workflows import policies
    from workflows.calls import call
    from workflows.consequences import EMPTY, FENCE, RETIRE, consequences
    from workflows.ends import to_the_end
    from workflows.instance_work import (
        APPROVAL,
        CABLES,
        ERASE,
        INSTALL,
        ISOLATION,
        METRICS,
        PORTS,
        SECRETS,
        SERVICE,
        STOREROOM,
        InstanceWork,
    )
    from workflows.moving import Moving
    from workflows.records import undo_evidence
    from workflows.steps import Steps, Work

USE = "check use of features"
CLOSE = "close its ports"
FREE = "free what left"
NOTHING_LEAVES = "no server leaves"


class Scaling:
    """Brings an active instance to what the request asks for, or back to where it was."""

    def __init__(self, procedure: ChangingProcedure, request: ScaleRequest) -> None:
        self._request = request
        self._wanted = ChangeInput(procedure=procedure, request=request)
        self.steps = Steps(procedure, request.instance, "", "", request.requested_by)
        self._work = InstanceWork(self.steps, request)
        self._moving = Moving(self.steps)
        self._before: Plan | None = None
        self.steps.because(request.because)
        self._waypoints: tuple[WaypointView, ...] = ()
        self._reached = ""
        self._way_back: list[WaypointView] | None = None
        self._proven_at: datetime | None = None
        self._clearing = False

    async def run(self) -> Outcome:
        self.steps.expect("plan", APPROVAL, INSTALL, CABLES, PORTS, SECRETS)
        ended = await self.steps.through(self._scale, self._work.outcome)
        return ended.model_copy(update={"details": self._summary()})

    async def _scale(self) -> Outcome:
        planned = await self._plan()
        if planned.exists:
            self.steps.no_way_back("nothing is to be changed")
            return await self._work.end("active", "it is already so")
        if self._request.dry_run:
            return await self._work.end("planned")
        approval = planned.approval.model_copy(
            update={"why": f"{planned.approval.why}; {consequences(self._change, self._request)}"}
        )
        await self._work.approve(approval)
        await self._work.install_hardware(approval, self._look_again)
        await self._join()
        await self._check_use(USE)
        await self._go()
        await self.steps.do(SERVICE, lambda: self._work.prove(ProbeKind.CUSTOMER))
        await self.steps.do(ISOLATION, lambda: self._work.prove(ProbeKind.STRANGER))
        await self._check_use(USE)
        if self._change.leaving.servers:
            # A proof grows old while a run is parked, and nothing is erased on an old one.
            await self.steps.do(EMPTY, partial(self._prove_empty, EMPTY))
        else:
            self.steps.skip(EMPTY, NOTHING_LEAVES)
        self.steps.no_way_back("what leaves is being cleared and erased, as approved")
        return await to_the_end(self._retire())

    # -- plan and approval -----------------------------------------------------------------------------

    async def _plan(self) -> ChangeResult:
        """Lease, plan, reservation and a look at every device; nothing is touched."""
        if not self._request.dry_run:
            await self.steps.do("plan", self._work.take_lease, undo=self._work.drop_lease, park=False)
        planned = await self.steps.do("plan", self._place, undo=self._drop, park=False)
        if not planned.exists:
            if self._change.given_up.servers:
                await self.steps.do("plan", self._refuse_living, park=False)
            await self._check_use("plan", park=False)
            self.steps.expect(*([USE] if self._switched_off else []), *self._way(), SERVICE, ISOLATION, EMPTY)
            self.steps.expect(RETIRE, CLOSE, ERASE, *([STOREROOM] if self._request.return_to_storeroom else []))
            self.steps.expect(FREE, METRICS)
            await self.steps.do("plan", self._look_at_devices, park=not self._request.dry_run)
        return planned

    async def _place(self) -> ChangeResult:
        """Plan, and reserve what joins."""
        planned = await call(InventoryActivities.place_change, self._wanted, **policies.QUICK)
        self._before, self.steps.plan = planned.change.before, planned.change.after
        self.steps.is_about(self._before.request.customer, self._before.request.site)
        if not planned.exists:
            await self._find_way()
        return planned

    async def _refuse_living(self) -> None:
        """What still answers is emptied before it leaves; only what is silent may be given up."""
        for server in self._change.given_up.servers:
            ref = ServerRef(instance=self._request.instance, server=server.server)
            await call(ServerActivities.check_silent, ref, summary=server.server, **policies.DEVICE)

    def _way(self) -> tuple[str, ...]:
        first, *others = (w.name for w in self._waypoints)
        return (first, *([FENCE] if self._change.given_up.servers else []), *others)

    async def _find_way(self) -> None:
        self._waypoints = await call(DataActivities.waypoints, Way(change=self._change), **policies.QUICK)

    async def _look_at_devices(self, installed: bool = False) -> None:
        """Ports and servers that join are remembered as they are; servers that stay show what they will become."""
        after, joining = self._change.after, self._change.joining
        later = set() if installed else {*after.installs, *after.power_on}
        servers = [s.server for s in after.servers if s.server not in later]
        keep = () if self._request.dry_run else [s.server for s in joining.servers]
        plan = await self._work.as_read(after, joining, servers, keep)
        if not self._request.dry_run:
            await call(InventoryActivities.keep_target, plan, **policies.QUICK)
        self.steps.plan = plan

    async def _check_use(self, step: str, park: bool = True) -> None:
        """Nobody loses a feature that they use: asked when it is planned, and again, because time goes by."""
        if self._switched_off:
            await self.steps.do(step, self._find_use, park=park)

    async def _find_use(self) -> None:
        await call(DataActivities.check_use, self._change, **policies.DEVICE)

    async def _look_again(self) -> None:
        """The plan was changed in the hall: other servers may join."""
        await self._look_at_devices(installed=True)
        await self._find_way()

    # -- what joins ------------------------------------------------------------------------------------

    async def _join(self) -> None:
        joining = self._change.joining
        if joining.servers:
            await self.steps.do(CABLES, self._work.check_cables)
            await self.steps.do(PORTS, lambda: self._work.open_ports(joining), undo=self._close_ports)
        else:
            self._skip((CABLES, PORTS), "no server joins")
        await self.steps.do(SECRETS, self._work.issue_secrets, undo=self._tidy_up)

    async def _close_ports(self) -> None:
        await self._work.close_ports(await call(InventoryActivities.joining, self._work.ref, **policies.QUICK))

    async def _tidy_up(self) -> None:
        await call(ServiceActivities.tidy_up, self._work.ref, **policies.QUICK)

    # -- the way, and the way back ---------------------------------------------------------------------

    async def _go(self) -> None:
        """Where servers join, the first waypoint only prepares them; all others are undone by one way back."""
        turning = 1 if self._change.joining.servers else 0
        for number, waypoint in enumerate(self._waypoints):
            undo: Work[object] | None = None
            if number < turning:
                undo = self._clear
            elif number == turning:
                undo = partial(self._go_back, waypoint.name)
            await self.steps.do(waypoint.name, partial(self._reach, waypoint), undo=undo)
            if number == 0 and self._change.given_up.servers:
                await self.steps.do(FENCE, self._shut_out)
                self.steps.no_way_back(f"nobody can go back to {', '.join(self._change.after.dead)}, which is shut out")

    async def _shut_out(self) -> None:
        """A dead server that wakes up has missed writes and deletions. Behind closed ports it cannot serve them."""
        await self._work.close_ports(self._change.given_up)

    async def _reach(self, waypoint: WaypointView, step: str = "") -> None:
        self._reached = waypoint.name
        ref = WaypointRef(instance=self._request.instance, waypoint=waypoint.name)
        await self._moving.reach(step or waypoint.name, ref, waypoint)

    async def _prove_empty(self, step: str) -> None:
        """The last waypoint once more: what leaves has stopped, so nothing is written to it behind the count."""
        await self._reach(self._waypoints[-1], step)
        self._proven_at = workflow.now()

    async def _clear(self) -> None:
        await self._work.clear(self._change.joining)

    async def _go_back(self, step: str) -> None:
        """Over the waypoints that the service names, each once, also when one of them fails for a while."""
        if not self._reached:
            return
        way = Way(change=self._change, back=True, reached=self._reached)
        if self._way_back is None:
            self._way_back = list(await call(DataActivities.waypoints, way, **policies.QUICK))
        while self._way_back:
            waypoint = self._way_back[0]
            ref = WaypointRef(instance=self._request.instance, waypoint=waypoint.name, back=True, reached=self._reached)
            await self._moving.reach(step, ref, waypoint)
            self._way_back.pop(0)
        await call(DataActivities.come_back, way, **policies.QUICK)

    async def _drop(self) -> None:
        """Prove that what had joined is as it was read, then forget the change."""
        if self._request.dry_run:
            return
        if self._before is None:  # it was refused, or its answer did not come
            await call(InventoryActivities.unplace_change, self._wanted, **policies.QUICK)
            return
        if self._work.plan.diffs:
            joining = await call(InventoryActivities.joining, self._work.ref, **policies.QUICK)
            await self._work.check_as_before(joining)
            await call(InventoryActivities.keep_evidence, undo_evidence(joining), **policies.QUICK)
        await call(InventoryActivities.drop_change, self._work.ref, **policies.QUICK)

    # -- what leaves -----------------------------------------------------------------------------------

    async def _retire(self) -> Outcome:
        emptied = self._change.emptied
        if emptied.servers:
            await self.steps.do(RETIRE, self._clear_leaving)
        if self._change.leaving.servers:
            await self.steps.do(CLOSE, self._close_leaving)
        if emptied.servers:
            await self.steps.do(ERASE, lambda: self._work.erase(emptied))
        if not self._change.leaving.servers:
            self._skip((RETIRE, CLOSE, ERASE), NOTHING_LEAVES)
        elif not emptied.servers:
            self._skip((RETIRE, ERASE), "what leaves does not answer; it is out of use until its disks are erased")
        if self._request.return_to_storeroom:
            await self._work.remove_hardware([s.server for s in emptied.servers], "there is none to be taken out")
        await self.steps.do(FREE, self._settle)
        await self.steps.do(METRICS, self._work.watch)
        return await self._work.end("active", step=METRICS)

    async def _clear_leaving(self) -> None:
        """Nothing is cleared on a proof that has grown old, e.g. because no worker ran; what is stopped stays so."""
        assert self._proven_at is not None, "what leaves was never proven to be empty"
        if not self._clearing and workflow.now() - self._proven_at > policies.PROOF_HOLDS:
            await self._prove_empty(RETIRE)
        self._clearing = True
        await self._work.remove(self._change.emptied)

    async def _close_leaving(self) -> None:
        await self._work.close_ports(await call(InventoryActivities.leaving, self._work.ref, **policies.QUICK))

    async def _settle(self) -> None:
        await call(InventoryActivities.settle_change, self._work.ref, **policies.QUICK)
        await self._tidy_up()

    def _skip(self, steps: tuple[str, ...], why: str) -> None:
        for step in steps:
            self.steps.skip(step, why)

    def _summary(self) -> dict[str, object]:
        if self._before is None:
            return {}
        return {
            "joins": [s.server for s in self._change.joining.servers],
            "leaves": [s.server for s in self._change.emptied.servers],
            "dead": list(self._change.after.dead),
            "disabled": [s.server for s in self._change.after.disabled],
            "waypoints": [w.name for w in self._waypoints],
        }

    @property
    def _switched_off(self) -> tuple[str, ...]:
        return switched_off(self._change.before.request, self._change.after.request)

    @property
    def _change(self) -> Change:
        assert self._before is not None, "a step that needs the change ran before it"
        return Change(before=self._before, after=self._work.plan)
