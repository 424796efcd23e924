"""Hardware that is not there yet: people install it, machines check what people did."""

from __future__ import annotations

from datetime import datetime

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.cabling import CablingActivities
    from activities.installation import InstallationActivities
    from activities.inventory import InventoryActivities
    from freehold.models.checklist import ItemState
    from freehold.models.installation import InstallRequest, JudgeInput
    from freehold.models.procedure import Outcome
    from freehold.models.request import Abort, Retry
    from freehold.models.work import PlanRef, ServerRef
    from workflows import policies
    from workflows.calls import call, together
    from workflows.ends import Undone, needed
    from workflows.hands import ChecklistInHands
    from workflows.people import answerable
    from workflows.records import installation_evidence
    from workflows.steps import Steps

WORK = "work in the hall"


@workflow.defn
@answerable
class InstallHardware:
    """Have the hardware of an instance's plan installed, until every item is seen to be right. Undoes nothing."""

    @workflow.init
    def __init__(self, request: InstallRequest | None = None) -> None:
        self._request = request = needed(request)
        self._ref = PlanRef(instance=request.instance)
        self._until: datetime = workflow.now() + policies.HANDS_WITHIN
        self._hands: ChecklistInHands | None = None
        self._checks = 0
        self.steps = Steps("InstallHardware", request.instance, "", "", request.requested_by)
        if (before := request.progress) is not None:
            # At once: what people say while the history is cut must find its checklist.
            self._until = before.until
            self.steps.hands = self._hands = ChecklistInHands.going_on(before)

    @workflow.run
    async def run(self, request: InstallRequest | None = None) -> Outcome:
        self.steps.expect("checklist", WORK, "write down")
        return await self.steps.through(self._install, self._outcome, undo=self._record)

    async def _install(self) -> Outcome:
        self._hands = hands = await self.steps.do("checklist", self._make_checklist, park=False)
        self.steps.hands = hands
        if not await self.steps.do(WORK, lambda: self._work(hands)):
            await workflow.wait_condition(workflow.all_handlers_finished)
            progress = hands.progress(self._until)
            workflow.continue_as_new(self._request.model_copy(update={"progress": progress}))
        await self.steps.do("write down", self._record)
        evidence = installation_evidence(self._request.instance, hands.checklist(), hands.reissued)
        await call(InventoryActivities.keep_evidence, evidence, **policies.QUICK)
        await self.steps.finish("installed")
        return self._outcome("installed")

    async def _make_checklist(self) -> ChecklistInHands:
        order = await call(InstallationActivities.work_order, self._ref, **policies.QUICK)
        self.steps.plan = order.plan
        self.steps.is_about(order.plan.request.customer, order.plan.request.site)
        return self._hands or ChecklistInHands(order.checklist)

    async def _work(self, hands: ChecklistInHands) -> bool:
        """Until every item is verified. False when the run should go on with a fresh history."""
        while True:
            await self._plan_anew(hands)
            await self._look(hands)
            if hands.done:
                return True
            if not hands.fresh:
                if self._checks >= policies.CHECKS_PER_RUN or workflow.info().is_continue_as_new_suggested():
                    return False
                await self._wait(hands)

    async def _plan_anew(self, hands: ChecklistInHands) -> None:
        """Another port or server in the place of what cannot be used; what is done already stays done."""
        if (told := hands.to_planner) is None:
            return
        self.steps.note(WORK, "planning anew")
        found = await call(InstallationActivities.replan, told, **policies.QUICK)
        assert self.steps.plan is not None  # the checklist was made of it
        hands.planned_anew(told, found, self.steps.plan)
        self.steps.plan = found.plan

    async def _look(self, hands: ChecklistInHands) -> None:
        """Machines look at what people say is done: servers first, because cables are seen through them."""
        if not hands.fresh:
            return
        hands.fresh = False
        self._checks += 1
        self.steps.note(WORK, f"checking; {hands.situation()}")
        try:
            await self._look_at_servers(hands)
            await self._look_at_cables(hands)
        except BaseException:
            hands.fresh = True  # what was not looked at is looked at after a retry
            raise
        self.steps.note(WORK, hands.situation())

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
        given = JudgeInput(instance=self._request.instance, cables=labels)
        report = await call(CablingActivities.judge_cables, given, **policies.DEVICE)
        hands.cables_judged(asked, report.findings)

    async def _wait(self, hands: ChecklistInHands) -> None:
        """For technicians; for operators when all that is left could not be done."""
        problems = hands.count(ItemState.PROBLEM)
        whom = "technicians" if hands.count(ItemState.OPEN) or not problems else "operators"
        messages = ("confirm_items", "retry", "abort") if problems else ("confirm_items", "abort")
        said = await self.steps.wait_for_hands(whom, hands.situation(), self._until, messages, lambda: hands.fresh)
        if isinstance(said, Abort):
            raise Undone("aborted", f"{said.operator} aborted it")
        if isinstance(said, Retry):
            hands.reopen_problems()

    async def _record(self) -> None:
        """What stands stays, also when the procedure ends early: the pool knows it as installed."""
        if self._hands is not None:
            await call(InstallationActivities.record_installed, self._hands.installed(), **policies.QUICK)

    def _outcome(self, outcome: str, reason: str = "") -> Outcome:
        """With the plan, when it is no longer the one that the run was started for."""
        plan = self.steps.plan
        changes = self._hands.changes if self._hands else []
        return Outcome(
            instance=self._request.instance,
            outcome=outcome,
            reason="; ".join([*changes, reason] if reason else changes),
            plan_hash=plan.hash if plan else "",
            plan=plan if changes else None,
        )
