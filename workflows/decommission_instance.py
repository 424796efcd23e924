"""End an instance: stop its service, close its ports, erase its disks, give everything back."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.inventory import InventoryActivities
    from activities.service import ServiceActivities
    from freehold.models.instance import InstanceState
    from freehold.models.procedure import Outcome
    from freehold.models.request import DecommissionRequest
    from freehold.models.work import PlanResult, StateInput
    from workflows import policies
    from workflows.calls import call
    from workflows.ends import needed, to_the_end
    from workflows.instance_work import APPROVAL, ERASE, STOREROOM, InstanceWork
    from workflows.people import answerable
    from workflows.steps import Steps


@workflow.defn
@answerable
class DecommissionInstance:
    """End an instance and destroy its data. There is no way back once the service is stopped."""

    @workflow.init
    def __init__(self, request: DecommissionRequest | None = None) -> None:
        self._request = request = needed(request)
        self.steps = Steps("DecommissionInstance", request.instance, "", "", request.requested_by)
        self._work = InstanceWork(self.steps, request)

    @workflow.run
    async def run(self, request: DecommissionRequest | None = None) -> Outcome:
        self.steps.expect("plan", APPROVAL, "stop scraping", "stop service", "close switch ports", ERASE)
        self.steps.expect(*([STOREROOM] if self._request.return_to_storeroom else []), "return to pool")
        return await self.steps.through(self._decommission, self._work.outcome)

    async def _decommission(self) -> Outcome:
        if not self._request.dry_run:
            await self.steps.do("plan", self._work.take_lease, undo=self._work.drop_lease, park=False)
        planned = await self.steps.do("plan", self._plan, park=False)
        plan = self.steps.plan = planned.plan
        self.steps.is_about(plan.request.customer, plan.request.site)
        if planned.exists:
            return await self._work.end("gone", "it was decommissioned before")
        if self._request.dry_run:
            return await self._work.end("planned")
        await self._work.approve(planned.approval)
        self.steps.no_way_back("the service is being destroyed, as approved")
        return await to_the_end(self._destroy())

    async def _destroy(self) -> Outcome:
        work = self._work
        await self.steps.do("stop scraping", self._unwatch)
        await self.steps.do("stop service", lambda: work.remove(work.plan))
        await self.steps.do("close switch ports", self._close_ports)
        await self.steps.do(ERASE, lambda: work.erase(work.plan))
        if self._request.return_to_storeroom:
            await work.remove_hardware(work.plan.installs)
        await self.steps.do("return to pool", self._return)
        return await self._work.end("gone", step="return to pool")

    async def _plan(self) -> PlanResult:
        return await call(InventoryActivities.plan_end, self._request, **policies.QUICK)

    async def _unwatch(self) -> None:
        state = StateInput(instance=self._request.instance, state=InstanceState.DECOMMISSIONING)
        await call(InventoryActivities.set_state, state, **policies.QUICK)
        await self._work.unwatch()

    async def _close_ports(self) -> None:
        await self._work.close_ports(await call(InventoryActivities.undo_plan, self._work.ref, **policies.QUICK))

    async def _return(self) -> None:
        await call(ServiceActivities.withdraw_secrets, self._work.ref, **policies.QUICK)
        await call(InventoryActivities.retire, self._work.ref, **policies.QUICK)
