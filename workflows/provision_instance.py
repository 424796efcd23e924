"""Build a private instance, from a request until its endpoint answers."""

from __future__ import annotations

from functools import partial

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.inventory import InventoryActivities
    from activities.servers import ServerActivities
    from activities.service import ServiceActivities
    from freehold.models.instance import InstanceState
    from freehold.models.procedure import Outcome
    from freehold.models.request import InstanceRequest
    from freehold.models.work import PlanResult, ProbeKind, StageInput, StateInput
    from workflows import policies
    from workflows.calls import call, together
    from workflows.ends import needed
    from workflows.instance_work import CABLES, INSTALL, ISOLATION, METRICS, PORTS, SECRETS, SERVICE, InstanceWork
    from workflows.people import answerable
    from workflows.records import undo_evidence
    from workflows.steps import Steps


@workflow.defn
@answerable
class ProvisionInstance:
    """Build a private instance from a request until its endpoint answers. One instance per name."""

    @workflow.init
    def __init__(self, request: InstanceRequest | None = None) -> None:
        self._request = request = needed(request)
        self.steps = Steps("ProvisionInstance", request.instance, request.customer, request.site, request.requested_by)
        self._work = InstanceWork(self.steps, request)

    @workflow.run
    async def run(self, request: InstanceRequest | None = None) -> Outcome:
        self.steps.expect("plan", "approval", INSTALL, CABLES, PORTS)
        return await self.steps.through(self._provision, self._work.outcome)

    async def _provision(self) -> Outcome:
        planned = await self._plan()
        if planned.exists:
            self.steps.no_way_back("it was active before this run")
            return await self._work.end("active", "this very request was fulfilled before")
        if self._request.dry_run:
            return await self._work.end("planned")
        work = self._work
        await work.approve(planned.approval)
        await work.install_hardware(planned.approval, lambda: self._look_at_devices(installed=True))
        await self.steps.do(CABLES, work.check_cables)
        await self.steps.do(PORTS, lambda: work.open_ports(work.plan), undo=self._close_ports)
        await self.steps.do(SECRETS, work.issue_secrets, undo=self._withdraw_secrets)
        for stage in planned.stages:
            first = stage == planned.stages[0]
            await self.steps.do(stage, partial(self._apply, stage), undo=self._clear_servers if first else None)
        await self.steps.do(METRICS, work.watch, undo=work.unwatch)
        await self.steps.do(SERVICE, lambda: work.prove(ProbeKind.CUSTOMER))
        await self.steps.do(ISOLATION, lambda: work.prove(ProbeKind.STRANGER))
        await self.steps.do("activate", self._activate)
        return await self._work.end("active", step="activate")

    # -- steps, in the order of the procedure ----------------------------------------------------------

    async def _plan(self) -> PlanResult:
        """Lease, plan, reservation and a look at every device; nothing is touched."""
        if not self._request.dry_run:
            await self.steps.do("plan", self._work.take_lease, undo=self._work.drop_lease, park=False)
        planned = await self.steps.do("plan", self._place, undo=self._release, park=False)
        self.steps.expect(SECRETS, *planned.stages)
        self.steps.expect(METRICS, SERVICE, ISOLATION, "activate")
        if not planned.exists:
            await self.steps.do("plan", self._look_at_devices, park=not self._request.dry_run)
        return planned

    async def _place(self) -> PlanResult:
        """Plan and reserve."""
        planned = await call(InventoryActivities.place, self._request, **policies.QUICK)
        self.steps.plan = planned.plan
        return planned

    async def _look_at_devices(self, installed: bool = False) -> None:
        """Servers that people must install or switch on first are looked at when that is done."""
        plan = self._work.plan
        later = set() if installed else {*plan.installs, *plan.power_on}
        servers = [s.server for s in plan.servers if s.server not in later]
        plan = await self._work.as_read(plan, plan, servers, () if self._request.dry_run else servers)
        if not self._request.dry_run:
            await call(InventoryActivities.keep_plan, plan, **policies.QUICK)
        self.steps.plan = plan

    async def _close_ports(self) -> None:
        await self._work.close_ports(await call(InventoryActivities.undo_plan, self._work.ref, **policies.QUICK))

    async def _withdraw_secrets(self) -> None:
        await call(ServiceActivities.withdraw_secrets, self._work.ref, **policies.QUICK)

    async def _apply(self, stage: str) -> None:
        await together(
            call(
                ServerActivities.apply_stage,
                StageInput(instance=self._request.instance, server=server.server, stage=stage),
                summary=server.server,
                **policies.DEVICE,
            )
            for server in self._work.plan.servers
        )

    async def _clear_servers(self) -> None:
        await self._work.clear(self._work.plan)

    async def _activate(self) -> None:
        active = StateInput(instance=self._request.instance, state=InstanceState.ACTIVE)
        await call(InventoryActivities.set_state, active, **policies.QUICK)

    # -- the way back -----------------------------------------------------------------------------------

    async def _release(self) -> None:
        """Prove that every device is as it was read, then give the reservation back."""
        if self._request.dry_run:
            return
        plan, ref = self.steps.plan, self._work.ref
        if plan is None:  # it was refused, or its answer did not come
            await call(InventoryActivities.unplace, self._request, **policies.QUICK)
            return
        if plan.diffs:
            await self._work.check_as_before(await call(InventoryActivities.undo_plan, ref, **policies.QUICK))
        await call(InventoryActivities.keep_evidence, undo_evidence(plan), **policies.QUICK)
        await call(InventoryActivities.release, ref, **policies.QUICK)
