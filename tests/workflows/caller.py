"""The smallest procedure that changes switches: what it was answered is its result."""

from __future__ import annotations

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from freehold.models.base import Model
    from freehold.models.network import SwitchChange
    from workflows.people import People
    from workflows.switch_changes import SwitchChanges


class Called(Model):
    changed: bool = False
    error: str = ""
    error_type: str = ""


@workflow.defn
class Caller:
    @workflow.init
    def __init__(self, changes: list[SwitchChange]) -> None:
        self._switches = SwitchChanges(People(lambda _: "nothing to say here", lambda _: ""))

    @workflow.run
    async def run(self, changes: list[SwitchChange]) -> list[Called]:
        answers = []
        for change in changes:
            try:
                answers.append(Called(changed=(await self._switches.apply(change)).changed))
            except ApplicationError as error:
                answers.append(Called(error=error.message, error_type=error.type or ""))
        return answers
