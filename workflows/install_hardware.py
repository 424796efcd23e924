"""Hardware that is not there yet: people install it, machines check what people did."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.cabling import CablingActivities
    from activities.installation import InstallationActivities
    from activities.inventory import InventoryActivities
    from freehold.models.installation import InstallRequest, JudgeInput
    from freehold.models.procedure import Outcome
    from freehold.models.work import PlanRef, ServerRef
    from workflows import policies
    from workflows.calls import call, together
    from workflows.ends import needed
    from workflows.hall_work import WORK, HallWork
    from workflows.hands import ChecklistInHands
    from workflows.people import answerable
    from workflows.records import installation_evidence
    from workflows.steps import Steps


@workflow.defn
@answerable
class InstallHardware:
    """Have the hardware of an instance's plan installed, until every item is seen to be right. Undoes nothing."""

    @workflow.init
    def __init__(self, request: InstallRequest | None = None) -> None:
        self._request = request = needed(request)
        self._ref = PlanRef(instance=request.instance)
        self.steps = Steps("InstallHardware", request.instance, "", "", request.requested_by)
        self._work = HallWork(self.steps, request.requested_by, request.progress)

    @workflow.run
    async def run(self, request: InstallRequest | None = None) -> Outcome:
        self.steps.expect("checklist", WORK, "write down")
        return await self.steps.through(self._install, self._outcome, undo=self._record)

    async def _install(self) -> Outcome:
        hands = await self.steps.do("checklist", self._make_checklist, park=False)
        if not await self.steps.do(WORK, lambda: self._work.to_its_end(hands, self._look)):
            workflow.continue_as_new(self._request.model_copy(update={"progress": await self._work.progress()}))
        await self.steps.do("write down", self._record)
        evidence = installation_evidence(self._request.instance, hands.checklist(), hands.reissued)
        await call(InventoryActivities.keep_evidence, evidence, **policies.QUICK)
        await self.steps.finish("installed")
        return self._outcome("installed")

    async def _make_checklist(self) -> ChecklistInHands:
        return self._work.begin(await call(InstallationActivities.work_order, self._ref, **policies.QUICK))

    async def _look(self, hands: ChecklistInHands) -> None:
        """Servers before cables, because cables are seen through them."""
        await self._plan_anew(hands)
        await self._look_at_servers(hands)
        await self._look_at_cables(hands)

    async def _plan_anew(self, hands: ChecklistInHands) -> None:
        """Another port or server in the place of what cannot be used; what is done already stays done."""
        if (told := hands.to_planner) is None:
            return
        found = await call(InstallationActivities.replan, told, **policies.QUICK)
        assert self.steps.plan is not None  # the checklist was made of it
        hands.planned_anew(told, found, self.steps.plan)
        self.steps.plan = found.plan

    async def _look_at_servers(self, hands: ChecklistInHands) -> None:
        refs = [ServerRef(instance=self._request.instance, server=name) for name in hands.servers_to_check()]
        checks = await together(
            call(InstallationActivities.check_server, r, summary=r.server, **policies.DEVICE) for r in refs
        )
        for check in checks:
            hands.server_checked(check)

    async def _look_at_cables(self, hands: ChecklistInHands) -> None:
        asked = hands.cables_to_judge()
        if not asked:
            return
        assert self.steps.plan is not None  # the checklist was made of it
        # Cables that are not of the plan come up by themselves when they are in the way of one that is.
        planned = {c.label for c in self.steps.plan.cables}
        labels = tuple(i.cable.label for i in asked if i.cable and i.cable.label in planned)
        given = JudgeInput(instance=self._request.instance, cables=labels, beside=hands.checklist().beside)
        report = await call(CablingActivities.judge_cables, given, **policies.DEVICE)
        hands.cables_judged(asked, report.findings)

    async def _record(self) -> None:
        """What stands stays, also when the procedure ends early: the pool knows it as installed."""
        if (hands := self._work.hands) is not None:
            await call(InstallationActivities.record_installed, hands.installed(), **policies.QUICK)

    def _outcome(self, outcome: str, reason: str = "") -> Outcome:
        """With the plan, when it is no longer the one that the run was started for."""
        plan = self.steps.plan
        changes = self._work.hands.changes if self._work.hands else []
        return Outcome(
            instance=self._request.instance,
            outcome=outcome,
            reason="; ".join([*changes, reason] if reason else changes),
            plan_hash=plan.hash if plan else "",
            plan=plan if changes else None,
        )
