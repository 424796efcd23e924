"""What callers hand to a switch session and what it answers."""

from __future__ import annotations

from pydantic import Field

from freehold.models.base import Model
from freehold.models.network import SwitchChange, SwitchChangeResult


class ChangeTicket(Model):
    """One caller's change. `caller` and `number` identify it: a repeat is answered again, never applied again,
    and a change older than the caller's newest one is dropped."""

    caller: str = Field(description="workflow id and run id of the caller")
    number: int = Field(ge=1, description="rises with every change of this caller")
    reply_to: str = Field(description="workflow id that waits for the answer")
    change: SwitchChange


class ChangeAnswer(Model):
    """The answer to one ticket, sent as signal `switch_answer`."""

    caller: str
    number: int
    result: SwitchChangeResult


class SessionState(Model):
    """What a switch session carries from one run to the next."""

    switch: str
    answers: tuple[ChangeAnswer, ...] = Field(default=(), description="the last answer of each recent caller")
    waiting: tuple[ChangeTicket, ...] = ()
    sessions: int = Field(default=0, description="sessions opened with the switch so far")
    saves: int = 0
    changes: int = Field(default=0, description="tickets answered so far")
    batches_per_run: int = Field(default=500, ge=1, description="sessions after which it continues as new")


class BatchInput(Model):
    switch: str
    changes: tuple[SwitchChange, ...]


class BatchResult(Model):
    """Results in the order of the changes."""

    results: tuple[SwitchChangeResult, ...]
    sessions: int = 0
    saves: int = 0
