"""What people see of a run: the query `progress`, current details and search attributes, true at every moment."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Protocol

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from freehold.models.checklist import Checklist, ConfirmItems
    from freehold.models.plan import Plan
    from freehold.models.procedure import ProcedureView, StepState, StepView, Waiting
    from freehold.models.request import Because
    from workflows import attributes, details
    from workflows.people import People


class Hands(Protocol):
    """Work that waits for hands, and what to make of people's words about it."""

    def checklist(self) -> Checklist | None: ...

    def refuse(self, said: ConfirmItems) -> str: ...

    def accept(self, said: ConfirmItems) -> str: ...


class Board:
    """Holds what is shown, and shows it whenever it changes."""

    people: People

    def __init__(self, procedure: str, instance: str, customer: str, site: str) -> None:
        self.procedure, self.instance, self.customer, self.site = procedure, instance, customer, site
        self.hands: Hands | None = None
        self.waiting: Waiting | None = None
        self.outcome = ""
        self.because: Because | None = None
        self._plan: Plan | None = None
        self._plan_hash = ""
        self._stale = False
        self._steps: dict[str, StepView] = {}
        workflow.set_query_handler("progress", self.view)

    @property
    def plan(self) -> Plan | None:
        return self._plan

    @plan.setter
    def plan(self, plan: Plan) -> None:
        self._plan, self._plan_hash = plan, plan.hash

    def expect(self, *names: str) -> None:
        for name in names:
            self._steps.setdefault(name, StepView(name=name))
        self.show()

    def note(self, name: str, note: str) -> None:
        self._steps[name] = self._steps[name].model_copy(update={"note": note})
        self.show()

    def set(self, name: str, state: StepState, note: str = "", started: bool = False) -> None:
        view = self._steps.get(name, StepView(name=name))
        over = state in (StepState.DONE, StepState.SKIPPED, StepState.UNDONE)
        self._steps[name] = view.model_copy(
            update={
                "state": state,
                "note": note or ("" if state is not StepState.DONE else view.note),
                "started_at": view.started_at or (workflow.now() if started else None),
                "finished_at": workflow.now() if over else None,
                "attempts": view.attempts + (1 if state is StepState.RUNNING else 0),
            }
        )
        self.show()

    def close(self, outcome: str) -> None:
        """Show how it ended. A step that is still busy was cut off, and another step's undo took it back."""
        self.outcome = outcome
        self.waiting = None
        for name, view in self._steps.items():
            if view.state in attributes.BUSY:
                self._steps[name] = view.model_copy(update={"state": StepState.STOPPED})
        self.show()

    @property
    def steps(self) -> Collection[StepView]:
        return self._steps.values()

    def view(self) -> ProcedureView:
        return ProcedureView(
            procedure=self.procedure,
            instance=self.instance,
            customer=self.customer,
            site=self.site,
            steps=tuple(self._steps.values()),
            waiting=self.waiting,
            plan=self._plan,
            plan_hash=self._plan_hash,
            checklist=self.hands.checklist() if self.hands else None,
            messages=tuple(self.people.records),
            outcome=self.outcome,
            because=self.because,
        )

    def show(self) -> None:
        """What is searched by changes at once; what is read, when all that happens at this moment has happened."""
        attributes.show(self)
        if not self._stale:
            self._stale = True
            asyncio.get_running_loop().call_soon(self._show_details)

    def _show_details(self) -> None:
        self._stale = False
        workflow.set_current_details(details.render(self.view(), workflow.info().workflow_id))
