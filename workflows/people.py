"""What people say to a running procedure, under signals and updates of the same name.

A signal comes from any client and must never harm the run: whatever it holds is taken in raw, checked here and
recorded. An update is refused at once, visibly, by its validator. Both end in the same decision.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from pydantic import ValidationError
from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from freehold.models.checklist import ConfirmItems
    from freehold.models.identity import Identities
    from freehold.models.procedure import MessageRecord
    from freehold.models.request import Abort, Approve, Reject, Retry, Withdraw
    from freehold.models.wording import in_words

Said = Approve | Reject | Withdraw | Retry | Abort | ConfirmItems
MODELS: dict[str, type[Said]] = {
    "approve": Approve,
    "reject": Reject,
    "withdraw": Withdraw,
    "retry": Retry,
    "abort": Abort,
    "confirm_items": ConfirmItems,
}
NAMES = {model: name for name, model in MODELS.items()}
PLACEHOLDER = "YOUR NAME"
"""Stands in the JSON that we show; whoever leaves it in has not said who they are."""
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

    def check(self, name: str, given: Sequence[object]) -> Said:
        """The message as its model. Raises ApplicationError with the reason when it cannot be taken now."""
        try:
            said = MODELS[name].model_validate(_decoded(given))
        except ValidationError as error:
            raise ApplicationError(in_words(error), type="BadInput") from None
        if said.operator.casefold() == PLACEHOLDER.casefold():
            raise ApplicationError(f"operator: put your own name in the place of {PLACEHOLDER}", type="BadInput")
        if reason := self._refuse(said):
            raise ApplicationError(reason, type="Refused")
        return said

    def take(self, name: str, given: Sequence[object]) -> str:
        """Check a message, act on it and record it. A refusal is recorded too, then raised."""
        try:
            said = self.check(name, given)
        except ApplicationError as refusal:
            self._record(name, _claimed(given), False, refusal.message)
            raise
        note = self._accept(said)
        self._record(name, said.operator, True, note)
        return note

    def hear(self, name: str, given: Sequence[object]) -> None:
        """Take a signal in: like `take`, but nobody waits for an answer, and nothing is raised."""
        if name in self.other_signals:
            self.other_signals[name](_decoded(given))
        elif name in MODELS:
            try:
                self.take(name, given)
            except ApplicationError:
                return  # the record says why
        else:
            self._record(name, "", False, f"there is no message {name!r}; use one of {', '.join(MODELS)}")

    def doubt(self, operator: str, why: str) -> None:
        """Record that an approval which was taken does not count after all."""
        self._record("approve", operator, False, f"{operator}: {why}")

    def name_senders(self, found: Identities) -> None:
        """Put the identity from the history beside the claimed name of each message about an approval."""
        by = {(sender.message, sender.claimed.casefold()): sender.identity or "nobody" for sender in found.senders}
        self.records = [
            record.model_copy(update={"identity": by.get((record.name, record.operator.casefold()), record.identity)})
            for record in self.records
        ]

    def _record(self, name: str, operator: str, accepted: bool, note: str) -> None:
        record = MessageRecord(name=name[:64], at=workflow.now(), operator=operator, accepted=accepted, note=note[:500])
        self.records = [*self.records, record][-RECORDS_KEPT:]


def name_of(said: Said) -> str:
    """Under which name a message is sent."""
    return NAMES[type(said)]


class _Steps(Protocol):
    people: People


class _Procedure(Protocol):
    steps: _Steps


P = TypeVar("P", bound=type)


def answerable(procedure: P) -> P:
    """Let a procedure, which has `steps`, take every message as a signal and as an update.

    They are defined on the class because only there Temporal takes descriptions, which its UI shows in the dialogs.
    """
    for name, model in MODELS.items():
        setattr(procedure, f"{name}_signal", _signal(name, model))
        setattr(procedure, f"{name}_update", _update(name, model))
    other = workflow.signal(dynamic=True, description="(without a name: what machines answer; choose one below)")
    procedure.other_signal = other(_declared(_other_signal, "name", "given"))  # type: ignore[attr-defined]
    return procedure


def _signal(name: str, model: type[Said]) -> Callable[..., None]:
    def hear(self: _Procedure, *given: RawValue) -> None:
        self.steps.people.hear(name, given)

    return workflow.signal(name=name, description=inspect.getdoc(model))(_declared(hear, "given"))


def _update(name: str, model: type[Said]) -> Callable[..., Any]:
    async def take(self: _Procedure, *given: RawValue) -> str:
        return self.steps.people.take(name, given)

    def check(self: _Procedure, *given: RawValue) -> None:
        self.steps.people.check(name, given)

    update = workflow.update(name=name, description=inspect.getdoc(model))(_declared(take, "given"))
    update.validator(_declared(check, "given"))
    return update


def _other_signal(self: _Procedure, name: str, given: Sequence[RawValue]) -> None:
    self.steps.people.hear(name, given)


F = TypeVar("F", bound=Callable[..., Any])


def _declared(handler: F, *names: str) -> F:
    """Declare these arguments only. A handler that takes any number of messages is thereby given one undecoded,
    and is not harmed by more or fewer; and `self` must bear no annotation."""
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    handler.__signature__ = inspect.Signature([inspect.Parameter(n, kind) for n in ("self", *names)])  # type: ignore[attr-defined]
    return handler


def _decoded(given: Sequence[object]) -> Any:
    """The first argument as plain JSON; what does not decode becomes None, which no model accepts."""
    first = given[0] if given else None
    if not isinstance(first, RawValue):
        return first
    try:
        return workflow.payload_converter().from_payload(first.payload)
    except Exception:  # whatever a stranger sent must not fail the run
        return None


def _claimed(given: Sequence[object]) -> str:
    """Who a message that is refused says it is from."""
    said = _decoded(given)
    return str(said.get("operator", ""))[:64] if isinstance(said, dict) else ""
