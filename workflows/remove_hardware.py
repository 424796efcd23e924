"""Hardware that is not needed any more: people take it out, machines check that it is gone."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.inventory import InventoryActivities
    from activities.removal import RemovalActivities
    from freehold.models.checklist import Item, ItemKind
    from freehold.models.procedure import Outcome
    from freehold.models.removal import Leaving, PulledCables, RemoveRequest
    from freehold.models.work import ServerRef
    from workflows import policies
    from workflows.calls import call, together
    from workflows.ends import needed
    from workflows.hall_work import WORK, HallWork
    from workflows.hands import ChecklistInHands
    from workflows.people import answerable
    from workflows.records import removal_evidence
    from workflows.steps import Steps


@workflow.defn
@answerable
class RemoveHardware:
    """Have erased servers of an instance unplugged, switched off and carried to the storeroom. Undoes nothing."""

    @workflow.init
    def __init__(self, request: RemoveRequest | None = None) -> None:
        self._request = request = needed(request)
        self.steps = Steps("RemoveHardware", request.instance, "", "", request.requested_by)
        self._work = HallWork(self.steps, request.requested_by, request.progress)
        self._items: tuple[Item, ...] = ()

    @workflow.run
    async def run(self, request: RemoveRequest | None = None) -> Outcome:
        self.steps.expect("checklist", WORK, "write down")
        return await self.steps.through(self._remove, self._outcome, undo=self._record)

    async def _remove(self) -> Outcome:
        hands = await self.steps.do("checklist", self._make_checklist, park=False)
        if not await self.steps.do(WORK, lambda: self._work.to_its_end(hands, self._look)):
            workflow.continue_as_new(self._request.model_copy(update={"progress": await self._work.progress()}))
        await self.steps.do("write down", self._record)
        evidence = removal_evidence(self._request.instance, self._request.servers, hands.checklist(), hands.reissued)
        await call(InventoryActivities.keep_evidence, evidence, **policies.QUICK)
        await self.steps.finish("removed")
        return self._outcome("removed")

    async def _make_checklist(self) -> ChecklistInHands:
        """Cables first: only while the servers are on both ends of a cable can be seen."""
        given = Leaving(instance=self._request.instance, servers=self._request.servers)
        order = await call(RemovalActivities.removal_order, given, **policies.QUICK)
        self._items = order.checklist.items
        first = tuple(i for i in self._items if i.kind is ItemKind.UNCABLE) or self._items
        checklist = order.checklist.model_copy(update={"items": first})
        return self._work.begin(order.model_copy(update={"checklist": checklist}))

    async def _look(self, hands: ChecklistInHands) -> None:
        await self._look_at_cables(hands)
        await self._look_at_servers(hands)
        if hands.done:
            hands.add(self._items)

    async def _look_at_cables(self, hands: ChecklistInHands) -> None:
        pulled = hands.said_done(ItemKind.UNCABLE)
        if pulled:
            given = PulledCables(cables=tuple(i.cable.label for i in pulled if i.cable))
            report = await call(RemovalActivities.check_pulled, given, **policies.DEVICE)
            hands.cables_pulled(pulled, report.findings)

    async def _look_at_servers(self, hands: ChecklistInHands) -> None:
        gone = dict.fromkeys(i.device for i in hands.said_done(ItemKind.POWER_OFF, ItemKind.UNRACK))
        refs = [ServerRef(instance=self._request.instance, server=name) for name in gone]
        checks = await together(call(RemovalActivities.check_off, r, summary=r.server, **policies.DEVICE) for r in refs)
        for check in checks:
            hands.server_gone(check)

    async def _record(self) -> None:
        """What is gone is gone, also when the procedure ends early."""
        if (hands := self._work.hands) is not None:
            await call(RemovalActivities.record_removed, hands.removed(), **policies.QUICK)

    def _outcome(self, outcome: str, reason: str = "") -> Outcome:
        return Outcome(instance=self._request.instance, outcome=outcome, reason=reason)
