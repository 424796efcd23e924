"""What people say to a running procedure, under signals and updates of the same name.

A signal comes from any client and must never harm the run: whatever it holds is taken in raw, checked here and
recorded. An update is refused at once, visibly, by its validator. Both end in the same decision.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pydantic import ValidationError
from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from freehold.models.procedure import MessageRecord
    from freehold.models.request import Abort, Approve, Reject, Retry

Said = Approve | Reject | Retry | Abort
MODELS: dict[str, type[Said]] = {"approve": Approve, "reject": Reject, "retry": Retry, "abort": Abort}
RECORDS_KEPT = 200
"""Messages shown; older ones stay in the history only."""


class People:
    """Takes messages in, asks the procedure's `refuse` whether each is acceptable, and hands it to `accept`.

    `refuse` gives the reason against a message, or an empty string; it must not change anything.
    """

    def __init__(self, refuse: Callable[[Said], str], accept: Callable[[Said], str]) -> None:
        self.records: list[MessageRecord] = []
        self.other_signals: dict[str, Callable[[Any], None]] = {}
        self._refuse, self._accept = refuse, accept
        workflow.set_dynamic_signal_handler(self._on_signal)
        for update, validator in (
            (self._approve, self._check_approve),
            (self._reject, self._check_reject),
            (self._retry, self._check_retry),
            (self._abort, self._check_abort),
        ):
            workflow.set_update_handler(update.__name__.removeprefix("_"), update, validator=validator)

    # One method per update, because its argument's type is what the UI's JSON is decoded into.
    async def _approve(self, said: Approve) -> str:
        return self._take(said)

    def _check_approve(self, said: Approve) -> None:
        self._check(said)

    async def _reject(self, said: Reject) -> str:
        return self._take(said)

    def _check_reject(self, said: Reject) -> None:
        self._check(said)

    async def _retry(self, said: Retry) -> str:
        return self._take(said)

    def _check_retry(self, said: Retry) -> None:
        self._check(said)

    async def _abort(self, said: Abort) -> str:
        return self._take(said)

    def _check_abort(self, said: Abort) -> None:
        self._check(said)

    def _check(self, said: Said) -> None:
        if reason := self._refuse(said):
            raise ApplicationError(reason, type="Refused")

    def _take(self, said: Said) -> str:
        note = self._accept(said)
        self._record(_name_of(said), said.operator, True, note)
        return note

    def _on_signal(self, name: str, args: Sequence[RawValue]) -> None:
        if name in self.other_signals:
            self.other_signals[name](_decode(args))
            return
        model = MODELS.get(name)
        if model is None:
            self._record(name, "", False, f"there is no message {name!r}; use one of {', '.join(MODELS)}")
            return
        given = _decode(args)
        try:
            said = model.model_validate(given)
        except ValidationError as error:
            operator = given.get("operator", "") if isinstance(given, dict) else ""
            self._record(name, str(operator)[:64], False, _sentence(error))
            return
        reason = self._refuse(said)
        self._record(name, said.operator, not reason, reason or self._accept(said))

    def _record(self, name: str, operator: str, accepted: bool, note: str) -> None:
        record = MessageRecord(name=name[:64], at=workflow.now(), operator=operator, accepted=accepted, note=note[:500])
        self.records = [*self.records, record][-RECORDS_KEPT:]


def _name_of(said: Said) -> str:
    return type(said).__name__.lower()


def _decode(args: Sequence[RawValue]) -> Any:
    """The first argument as plain JSON; what does not decode becomes None, which no model accepts."""
    if not args:
        return None
    try:
        return workflow.payload_converter().from_payload(args[0].payload)
    except Exception:  # whatever a stranger sent must not fail the run
        return None


def _sentence(error: ValidationError) -> str:
    """Pydantic's report as one sentence."""
    parts = [f"{'.'.join(map(str, e['loc'])) or 'the message'}: {e['msg']}" for e in error.errors()]
    return "; ".join(parts)
