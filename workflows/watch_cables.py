"""What was proven is watched: a port in which something else is plugged is closed until it is right again."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from temporalio import workflow
from temporalio.exceptions import FailureError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.cabling import CablingActivities
    from activities.inventory import InventoryActivities
    from freehold.models.procedure import Outcome
    from freehold.models.request import Abort
    from freehold.models.watch import PortDeed, WatchInput, WatchReport, WatchRequest
    from workflows import policies
    from workflows.calls import call
    from workflows.ends import Undone, explain
    from workflows.people import answerable
    from workflows.records import port_evidence
    from workflows.steps import Steps
    from workflows.switch_changes import SwitchChanges

LOOK, WAIT = "look", "wait for hands"


@workflow.defn
@answerable
class WatchCables:
    """Look at the cables of all instances again and again, for its time and as long as something differs.

    A port in which something else is plugged is closed, and opened again when its own cable is back.
    """

    @workflow.init
    def __init__(self, request: WatchRequest | None = None) -> None:
        self._request = request or WatchRequest()
        self._looks = 0
        self._deeds = 0
        self.steps = Steps("WatchCables", "all instances", "all customers", "", "the schedule")
        self._switches = SwitchChanges(self.steps.people)

    @workflow.run
    async def run(self, request: WatchRequest | None = None) -> Outcome:
        return await self.steps.through(self._watch, self._outcome)

    async def _watch(self) -> Outcome:
        until = workflow.now() + timedelta(seconds=self._request.for_s)
        report = await self.steps.do(LOOK, self._look, park=False)
        while report.differs or workflow.now() < until:
            if report.differs:
                report = await self.steps.do(WAIT, partial(self._until_right, report), park=False)
            else:
                await workflow.sleep(timedelta(seconds=self._request.every_s), summary="until the next look")
                report = await self.steps.do(LOOK, self._look, park=False)
        await self.steps.finish("as planned")
        return self._outcome("as planned", f"{self._deeds} ports were closed or opened" if self._deeds else "")

    async def _look(self) -> WatchReport:
        """Look, and close and open ports, until there is nothing more to do about them."""
        opened: tuple[PortDeed, ...] = ()
        while True:
            self._looks += 1
            report = await call(CablingActivities.watch_ports, WatchInput(opened=opened), **policies.DEVICE)
            self.steps.note(LOOK, "; ".join(report.unanswered))
            closed = await self._do(report.closes, "closed")
            opened = await self._do(report.opens, "opened again")
            if not closed and not opened:
                return report

    async def _do(self, deeds: Sequence[PortDeed], what: str) -> tuple[PortDeed, ...]:
        """Bring ports about. What fails now, e.g. because a switch died, is done at one of the next looks."""
        switches = {deed.change.switch for deed in deeds}  # to a switch one after the other: an older one is outdated
        done = await asyncio.gather(*(self._on(switch, deeds, what) for switch in sorted(switches)))
        return tuple(itertools.chain.from_iterable(done))

    async def _on(self, switch: str, deeds: Sequence[PortDeed], what: str) -> list[PortDeed]:
        return [deed for deed in deeds if deed.change.switch == switch and await self._change(deed, what)]

    async def _change(self, deed: PortDeed, what: str) -> bool:
        try:
            await self._switches.apply(deed.change)
        except FailureError as error:
            if is_cancelled_exception(error):
                raise
            self.steps.note(LOOK, f"{deed.port} could not be {what}: {explain(error)}")
            return False
        self._deeds += 1
        evidence = port_evidence(deed, what, self._deeds)
        await call(InventoryActivities.keep_evidence, evidence, **policies.QUICK)
        return True

    async def _until_right(self, report: WatchReport) -> WatchReport:
        """Show what differs, and look again from time to time, or when somebody asks for it."""
        while report.differs:
            if self._looks >= policies.CHECKS_PER_RUN or workflow.info().is_continue_as_new_suggested():
                await workflow.wait_condition(workflow.all_handlers_finished)
                workflow.continue_as_new(self._request)
            report = await self._wait(report)
        return report

    async def _wait(self, report: WatchReport) -> WatchReport:
        """The next look. People see all the time what this one found."""
        later = asyncio.ensure_future(self._look_later())
        until = workflow.now() + policies.HANDS_WITHIN
        try:
            said = await self.steps.wait_for_hands("technicians", _words(report), until, ("retry",), later.done)
        finally:
            if not later.done():
                later.cancel()
                await workflow.wait([later])
        if isinstance(said, Abort):
            raise Undone("aborted", f"{said.operator} aborted it; the schedule starts the watch again")
        return await self._look() if said is not None else later.result()

    async def _look_later(self) -> WatchReport:
        await workflow.sleep(timedelta(seconds=self._request.every_s), summary="until the next look")
        return await self._look()

    def _outcome(self, outcome: str, reason: str = "") -> Outcome:
        return Outcome(instance="all instances", outcome=outcome, reason=reason)


def _words(report: WatchReport) -> str:
    return "; ".join(f"{instance}: {words}" for instance, words in report.differs.items())
