"""A procedure's side of the switch sessions: hand a change in, wait for the answer, ask again when none comes."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.switches import SwitchActivities
    from freehold.models.network import SwitchChange, SwitchChangeResult
    from freehold.models.session import ChangeAnswer, ChangeTicket
    from workflows import policies
    from workflows.calls import call
    from workflows.people import People


class SwitchChanges:
    """Numbers this run's changes and matches the answers that come back as signal `switch_answer`."""

    def __init__(self, people: People) -> None:
        self._number = 0
        self._answers: dict[int, SwitchChangeResult] = {}
        people.other_signals["switch_answer"] = self._on_answer

    async def apply(self, change: SwitchChange) -> SwitchChangeResult:
        """Bring one switch to the change. Raises ApplicationError with the switch's own error type."""
        self._number += 1
        number = self._number
        ticket = ChangeTicket(
            caller=f"{workflow.info().workflow_id}/{workflow.info().run_id}",
            number=number,
            reply_to=workflow.info().workflow_id,
            change=change,
        )
        for _ in range(policies.SWITCH_HAND_INS):
            await call(SwitchActivities.hand_in, ticket, summary=change.switch, **policies.QUICK)
            try:
                await workflow.wait_condition(
                    lambda: number in self._answers,
                    timeout=policies.SWITCH_ANSWER,
                    timeout_summary=f"answer of {change.switch}",
                )
            except TimeoutError:
                continue
            result = self._answers.pop(number)
            if not result.ok:
                raise ApplicationError(result.error, type=result.error_type, non_retryable=True)
            return result
        raise ApplicationError(
            f"{change.switch}: its session gave no answer; see workflow {session_id(change.switch)}",
            type="DeviceUnreachable",
        )

    def _on_answer(self, given: Any) -> None:
        try:
            answer = ChangeAnswer.model_validate(given)
        except ValidationError:
            return
        if answer.caller.endswith(workflow.info().run_id):
            self._answers[answer.number] = answer.result


def session_id(switch: str) -> str:
    """Workflow id of a switch's session."""
    return f"switch-{switch}"
