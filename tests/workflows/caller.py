"""The smallest procedure that changes switches: what it was answered is its result."""

from __future__ import annotations

from collections.abc import Sequence

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from freehold.models.base import Model
    from freehold.models.identity import Identities
    from freehold.models.network import SwitchChange
    from workflows.identities import Sender
    from workflows.people import People, Said, answerable
    from workflows.switch_changes import SwitchChanges


class Called(Model):
    changed: bool = False
    error: str = ""
    error_type: str = ""


class _Nobody:
    """Where a procedure has its steps; nobody has anything to say to this one."""

    def __init__(self) -> None:
        self.people = People(self)

    async def identify(self, refs: Sequence[str], names: Sequence[str]) -> Identities:
        return Identities()

    def refuse(self, said: Said, sender: Sender | None) -> str:
        return "nothing to say here"

    def accept(self, said: Said) -> str:
        return ""

    def show(self) -> None:
        pass


@workflow.defn
@answerable
class Caller:
    @workflow.init
    def __init__(self, changes: list[SwitchChange]) -> None:
        self.steps = _Nobody()
        self._switches = SwitchChanges(self.steps.people)

    @workflow.run
    async def run(self, changes: list[SwitchChange]) -> list[Called]:
        answers = []
        for change in changes:
            try:
                answers.append(Called(changed=(await self._switches.apply(change)).changed))
            except ApplicationError as error:
                answers.append(Called(error=error.message, error_type=error.type or ""))
        return answers
