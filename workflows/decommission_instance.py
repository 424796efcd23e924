"""End an instance: stop its service, close its ports, erase its disks, give everything back."""

from __future__ import annotations

from functools import partial

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.data import DataActivities
    from activities.inventory import InventoryActivities
    from activities.service import ServiceActivities
    from freehold.models.change import Round
    from freehold.models.contents import Contents
    from freehold.models.instance import InstanceState
    from freehold.models.procedure import Outcome
    from freehold.models.request import DecommissionRequest
    from freehold.models.work import ExportInput, PlanResult, StateInput
    from workflows import policies
    from workflows.calls import call
    from workflows.ends import needed, to_the_end
    from workflows.instance_work import APPROVAL, ERASE, STOREROOM, InstanceWork
    from workflows.moving import Moving
    from workflows.people import answerable
    from workflows.steps import Steps

FREEZE = "stop writes"
EXPORT = "export data"
SCRAPING = "stop scraping"


@workflow.defn
@answerable
class DecommissionInstance:
    """End an instance and destroy its data, if asked for after all of it was exported.

    There is no way back once that is proven, or, without an export, once it is approved.
    """

    @workflow.init
    def __init__(self, request: DecommissionRequest | None = None) -> None:
        self._request = request = needed(request)
        self.steps = Steps("DecommissionInstance", request.instance, "", "", request.requested_by)
        self._work = InstanceWork(self.steps, request)
        self._moving = Moving(self.steps)

    @workflow.run
    async def run(self, request: DecommissionRequest | None = None) -> Outcome:
        self.steps.expect("plan", APPROVAL, *([FREEZE, EXPORT] if self._request.export else []))
        self.steps.expect(SCRAPING, "stop service", "close switch ports", ERASE)
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
        holds = await self.steps.do("plan", self._count, park=not self._request.dry_run)
        if self._request.dry_run:
            ended = await self._work.end("planned")
            return ended.model_copy(update={"details": {"holds": holds.words()}})
        why = f"{planned.approval.why}; it holds {holds.words()}; {self._way_back}"
        await self._work.approve(planned.approval.model_copy(update={"why": why}))
        if self._request.export:
            await self.steps.do(FREEZE, self._freeze, undo=self._work.thaw)
            await self.steps.do(EXPORT, partial(self._moving.rounds, EXPORT, self._export))
        self.steps.no_way_back("the service is being destroyed, as approved")
        return await to_the_end(self._destroy())

    async def _destroy(self) -> Outcome:
        work = self._work
        await self.steps.do(SCRAPING, self._unwatch)
        await self.steps.do("stop service", lambda: work.remove(work.plan))
        await self.steps.do("close switch ports", self._close_ports)
        await self.steps.do(ERASE, lambda: work.erase(work.plan))
        if self._request.return_to_storeroom:
            await work.remove_hardware(work.plan.from_storeroom)
        await self.steps.do("return to pool", self._return)
        return await self._work.end("gone", step="return to pool")

    async def _plan(self) -> PlanResult:
        return await call(InventoryActivities.plan_end, self._request, **policies.QUICK)

    async def _count(self) -> Contents:
        return await call(DataActivities.contents, self._work.ref, **policies.DEVICE)

    @property
    def _way_back(self) -> str:
        """What an approver must know of it."""
        if (target := self._request.export) is None:
            return "nothing is exported, and once it is approved there is no way back"
        return (
            f"before, all objects are exported to {target} while customers only read; it can be aborted until "
            f"{EXPORT} is done: from {SCRAPING} on only forward"
        )

    async def _freeze(self) -> None:
        """An upload that began before may be acknowledged behind this: the export waits for it."""
        await self._work.freeze()
        await self._moving.rounds(FREEZE, self._finish_writes)

    async def _finish_writes(self, said: str) -> Round:
        return await call(DataActivities.finish_writes, self._work.ref, summary=said, **policies.LONG)

    async def _export(self, said: str) -> Round:
        assert self._request.export is not None, "nothing is to be exported"
        given = ExportInput(instance=self._request.instance, target=self._request.export)
        return await call(DataActivities.export, given, summary=said, **policies.LONG)

    async def _unwatch(self) -> None:
        state = StateInput(instance=self._request.instance, state=InstanceState.DECOMMISSIONING)
        await call(InventoryActivities.set_state, state, **policies.QUICK)
        await self._work.unwatch()

    async def _close_ports(self) -> None:
        await self._work.close_ports(await call(InventoryActivities.undo_plan, self._work.ref, **policies.QUICK))

    async def _return(self) -> None:
        await call(ServiceActivities.withdraw_secrets, self._work.ref, **policies.QUICK)
        await call(InventoryActivities.retire, self._work.ref, **policies.QUICK)
