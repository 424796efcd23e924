"""What people say to a running procedure, under signals and updates of the same name.

A signal comes from any client and must never harm the run; an update is answered at once. Whatever either holds is
taken in raw, its sender is looked up in the history, it is checked, and what came of it is recorded: the refused ones,
too. That is why a refusal is the failure of an accepted update, and not a validator's, which leaves no trace.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar

from pydantic import ValidationError
from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError, FailureError

with workflow.unsafe.imports_passed_through():
    from freehold.models.checklist import ConfirmItems
    from freehold.models.identity import Identities, signal_ref, update_ref
    from freehold.models.people import same_person
    from freehold.models.procedure import MessageRecord
    from freehold.models.request import Abort, Accept, Approve, Dismiss, Pause, Reject, Resume, Retry, Withdraw
    from freehold.models.wording import in_words
    from workflows import policies
    from workflows.identities import Sender

Said = Approve | Reject | Withdraw | Accept | Dismiss | Retry | Pause | Resume | Abort | ConfirmItems
MODELS: dict[str, type[Said]] = {
    "approve": Approve,
    "reject": Reject,
    "withdraw": Withdraw,
    "accept": Accept,
    "dismiss": Dismiss,
    "retry": Retry,
    "pause": Pause,
    "resume": Resume,
    "abort": Abort,
    "confirm_items": ConfirmItems,
}
NAMES = {model: name for name, model in MODELS.items()}
PLACEHOLDER = "YOUR NAME"
"""Stands in the JSON that we show; whoever leaves it in has not said who they are."""
RECORDS_KEPT = 200
"""Messages shown; older ones stay in the history only."""


class Listener(Protocol):
    """The procedure's side: what it makes of a message."""

    async def identify(self, refs: Sequence[str], names: Sequence[str]) -> Identities: ...

    def refuse(self, said: Said, sender: Sender | None) -> str:
        """The reason against a message, or an empty string. Changes nothing. Without a sender: whoever it is from."""
        ...

    def accept(self, said: Said) -> str: ...

    def show(self) -> None: ...


@dataclass
class _Message:
    name: str
    given: Sequence[object]
    ref: str
    at: datetime
    answer: str | ApplicationError | None = None


class People:
    """Takes messages in, in the order in which they came, and hands those that are acceptable to the procedure."""

    def __init__(self, listener: Listener) -> None:
        self.records: list[MessageRecord] = []
        self.other_signals: dict[str, Callable[[Any], None]] = {}
        self._listener = listener
        self._unread: list[_Message] = []
        self._reading = False
        self._signals = 0
        self._refused_updates = 0

    def admit(self, name: str, given: Sequence[object]) -> None:
        """A validator: refuses, without a trace in the history, only what would fill it up."""
        if _too_large(given) or self._refused_updates >= policies.REFUSALS_KEPT:
            self._check(name, given, None)

    async def take(self, name: str, given: Sequence[object]) -> str:
        """What comes of an update. Raises ApplicationError when it is refused."""
        update = workflow.current_update_info()
        assert update is not None  # only the handler of an update takes
        try:
            return await self._answered(_Message(name, given, update_ref(update.id), workflow.now()))
        except ApplicationError:
            self._refused_updates += 1
            raise

    async def hear(self, name: str, given: Sequence[object]) -> None:
        """Take a signal in: like `take`, but nobody waits for an answer, and nothing is raised."""
        self._signals += 1
        if name in self.other_signals:
            self.other_signals[name](_decoded(given))
            return
        try:
            await self._answered(_Message(name, given, signal_ref(self._signals), workflow.now()))
        except ApplicationError:
            return  # the record says why

    async def _answered(self, message: _Message) -> str:
        self._unread.append(message)
        while message.answer is None:
            if self._reading:  # another one's sender is being looked up; ours is asked for next, with all that wait
                await workflow.wait_condition(lambda: message.answer is not None or not self._reading)
            else:
                await self._read()
        if isinstance(message.answer, ApplicationError):
            raise message.answer
        return message.answer

    async def _read(self) -> None:
        """Answer all that is unread, with one question for their senders."""
        batch, self._unread = self._unread, []
        self._reading = True
        found: Identities | FailureError
        try:
            found = await self._listener.identify(
                [m.ref for m in batch], [c for m in batch if (c := _claimed(m.given))]
            )
        except FailureError as error:
            found = error
        finally:
            self._reading = False
        for message in batch:
            message.answer = self._answer(message, found)
        self._listener.show()

    def _answer(self, message: _Message, found: Identities | FailureError) -> str | ApplicationError:
        """Check a message, act on it and record it."""
        sender = None if isinstance(found, FailureError) else Sender(message.ref, found)
        try:
            if isinstance(found, FailureError):
                raise ApplicationError(f"nobody can find out who sent this: {found.cause or found}", type="Refused")
            said = self._check(message.name, message.given, sender)
        except ApplicationError as refusal:
            self._record(message, sender, False, refusal.message)
            return refusal
        note = self._listener.accept(said)
        self._record(message, sender, True, note)
        return note

    def _check(self, name: str, given: Sequence[object], sender: Sender | None) -> Said:
        """The message as its model. Raises ApplicationError with the reason when it cannot be taken now."""
        if name not in MODELS:
            raise _refusal(f"there is no message {name!r}; use one of {', '.join(MODELS)}")
        if _too_large(given):
            raise _refusal(f"the message is too large; at most {policies.LARGEST_MESSAGE} bytes are read")
        try:
            said = MODELS[name].model_validate(_decoded(given))
        except ValidationError as error:
            raise _refusal(in_words(error)) from None
        if same_person(said.operator, PLACEHOLDER):
            raise _refusal(f"operator: put your own name in the place of {PLACEHOLDER}")
        if reason := self._listener.refuse(said, sender):
            raise ApplicationError(reason, type="Refused")
        return said

    def _record(self, message: _Message, sender: Sender | None, accepted: bool, note: str) -> None:
        record = MessageRecord(
            name=message.name[:64],
            at=message.at,
            operator=_claimed(message.given),
            identity=sender.identity if sender else "",
            accepted=accepted,
            note=note[:500],
        )
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


def _signal(name: str, model: type[Said]) -> Callable[..., Any]:
    async def hear(self: _Procedure, *given: RawValue) -> None:
        await self.steps.people.hear(name, given)

    return workflow.signal(name=name, description=inspect.getdoc(model))(_declared(hear, "given"))


def _update(name: str, model: type[Said]) -> Callable[..., Any]:
    async def take(self: _Procedure, *given: RawValue) -> str:
        return await self.steps.people.take(name, given)

    def admit(self: _Procedure, *given: RawValue) -> None:
        self.steps.people.admit(name, given)

    update = workflow.update(name=name, description=inspect.getdoc(model))(_declared(take, "given"))
    update.validator(_declared(admit, "given"))
    return update


async def _other_signal(self: _Procedure, name: str, given: Sequence[RawValue]) -> None:
    await self.steps.people.hear(name, given)


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
    """Who a message says it is from, in whatever way."""
    said = None if _too_large(given) else _decoded(given)
    return str(said.get("operator", ""))[:64] if isinstance(said, dict) else ""


def _too_large(given: Sequence[object]) -> bool:
    return sum(len(each.payload.data) for each in given if isinstance(each, RawValue)) > policies.LARGEST_MESSAGE


def _refusal(reason: str) -> ApplicationError:
    return ApplicationError(reason, type="BadInput")
