"""End an instance: stop its service, close its ports, erase its disks, give everything back."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.inventory import InventoryActivities
    from activities.metrics import MetricsActivities
    from activities.servers import ServerActivities
    from activities.service import ServiceActivities
    from freehold.models.instance import InstanceState
    from freehold.models.plan import Plan
    from freehold.models.procedure import Outcome
    from freehold.models.request import DecommissionRequest
    from freehold.models.work import DiskRef, PlanRef, PlanResult, ServerRef, StateInput
    from workflows import policies
    from workflows.calls import call, together
    from workflows.ends import needed, to_the_end
    from workflows.people import answerable
    from workflows.records import approval_evidence, lease
    from workflows.steps import Steps
    from workflows.switch_changes import SwitchChanges


@workflow.defn
@answerable
class DecommissionInstance:
    """End an instance and destroy its data. There is no way back once the service is stopped."""

    @workflow.init
    def __init__(self, request: DecommissionRequest | None = None) -> None:
        self._request = request = needed(request)
        self._ref = PlanRef(instance=request.instance)
        self.steps = Steps("DecommissionInstance", request.instance, "", "", request.requested_by)
        self._switches = SwitchChanges(self.steps.people)

    @workflow.run
    async def run(self, request: DecommissionRequest | None = None) -> Outcome:
        self.steps.expect(
            "plan", "approval", "stop scraping", "stop service", "close switch ports", "erase disks", "return to pool"
        )
        return await self.steps.through(self._decommission, self._outcome)

    async def _decommission(self) -> Outcome:
        if not self._request.dry_run:
            await self.steps.do("plan", self._take_lease, undo=self._drop_lease, park=False)
        planned = await self.steps.do("plan", self._plan, park=False)
        plan = self.steps.plan = planned.plan
        self.steps.is_about(plan.request.customer, plan.request.site)
        if planned.exists:
            return await self._end("gone", "it was decommissioned before")
        if self._request.dry_run:
            return await self._end("planned")
        await self.steps.approve("approval", plan, planned.approval)
        await self.steps.do("approval", lambda: self._keep_approval(plan))
        self.steps.no_way_back("the service is being destroyed, as approved")
        return await to_the_end(self._destroy(plan))

    async def _destroy(self, plan: Plan) -> Outcome:
        await self.steps.do("stop scraping", self._unwatch)
        await self.steps.do("stop service", lambda: self._stop(plan))
        await self.steps.do("close switch ports", self._close_ports)
        await self.steps.do("erase disks", lambda: self._erase(plan))
        await self.steps.do("return to pool", self._return)
        return await self._end("gone", step="return to pool")

    async def _take_lease(self) -> None:
        await call(InventoryActivities.take_lease, lease(self._request.instance), **policies.QUICK)

    async def _drop_lease(self) -> None:
        await call(InventoryActivities.drop_lease, lease(self._request.instance), **policies.QUICK)

    async def _plan(self) -> PlanResult:
        return await call(InventoryActivities.plan_end, self._request, **policies.QUICK)

    async def _keep_approval(self, plan: Plan) -> None:
        evidence = approval_evidence(plan, self.steps.approvals, self.steps.people.records)
        await call(InventoryActivities.keep_evidence, evidence, **policies.QUICK)
        self.steps.note("approval", evidence.claim)

    async def _unwatch(self) -> None:
        state = StateInput(instance=self._request.instance, state=InstanceState.DECOMMISSIONING)
        await call(InventoryActivities.set_state, state, **policies.QUICK)
        await call(MetricsActivities.unwatch, self._ref, **policies.QUICK)

    async def _stop(self, plan: Plan) -> None:
        refs = [ServerRef(instance=plan.instance, server=s.server) for s in plan.servers]
        await together(call(ServerActivities.remove, ref, summary=ref.server, **policies.DEVICE) for ref in refs)

    async def _close_ports(self) -> None:
        plan = await call(InventoryActivities.undo_plan, self._ref, **policies.QUICK)
        await together(self._switches.apply(plan.switch_undo(switch)) for switch in plan.switches())

    async def _erase(self, plan: Plan) -> None:
        disks = [
            DiskRef(instance=plan.instance, server=server.server, disk=disk)
            for server in plan.servers
            for disk in server.disks
        ]
        records = await together(
            call(ServerActivities.erase, d, summary=f"{d.server} {d.disk}", **policies.LONG) for d in disks
        )
        self.steps.note("erase disks", "; ".join(f"{r.server} {r.disk}: {r.method}" for r in records))

    async def _return(self) -> None:
        await call(ServiceActivities.withdraw_secrets, self._ref, **policies.QUICK)
        await call(InventoryActivities.retire, self._ref, **policies.QUICK)

    async def _end(self, outcome: str, reason: str = "", step: str = "plan") -> Outcome:
        await self.steps.do(step, self._drop_lease)
        await self.steps.finish(outcome)
        return self._outcome(outcome, reason)

    def _outcome(self, outcome: str, reason: str = "") -> Outcome:
        plan = self.steps.plan
        return Outcome(
            instance=self._request.instance,
            outcome=outcome,
            reason=reason,
            plan_hash=plan.hash if plan else "",
            plan=plan if self._request.dry_run else None,
        )
