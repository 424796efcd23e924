"""How a procedure shows itself: its steps, what it waits for, what it recorded of people's messages."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from freehold.models.base import Choice, Model
from freehold.models.checklist import Checklist
from freehold.models.plan import Plan
from freehold.models.request import Because


class StepState(Choice):
    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"  # for a person's decision
    PARKED = "parked"  # failed for good; waits for retry or abort
    DONE = "done"
    SKIPPED = "skipped"
    UNDOING = "undoing"
    UNDONE = "undone"
    STOPPED = "stopped"  # the procedure ended in the middle of it


class StepView(Model):
    name: str
    state: StepState = StepState.PENDING
    note: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    attempts: int = 0

    @property
    def seconds(self) -> float | None:
        if self.started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()


class Waiting(Model):
    """What a run waits for: whom, for what, until when, and the messages that move it on."""

    kind: str = Field(description="approval, retry")
    whom: str
    reason: str
    until: datetime | None = None
    messages: tuple[str, ...] = Field(description="names of the updates and signals that answer")


class MessageRecord(Model):
    """A message as it came in, also the refused ones."""

    name: str
    at: datetime
    operator: str = ""
    identity: str = Field(default="", description="of its event in the history, when that was read back")
    accepted: bool
    note: str = ""


class ProcedureView(Model):
    """Answer of the query `progress`: everything a person wants to see of a run."""

    procedure: str
    instance: str
    customer: str = ""
    site: str = ""
    steps: tuple[StepView, ...]
    waiting: Waiting | None = None
    plan: Plan | None = None
    plan_hash: str = ""
    checklist: Checklist | None = Field(default=None, description="the work that waits for hands")
    messages: tuple[MessageRecord, ...] = ()
    because: Because | None = Field(default=None, description="why the schedule asked for it")
    outcome: str = Field(default="", description="empty while it runs; active, planned, undone, rejected, ...")


class Outcome(Model):
    """Result of a procedure."""

    instance: str
    outcome: str
    endpoint: str = ""
    plan_hash: str = ""
    plan: Plan | None = None
    reason: str = ""
    evidence: tuple[str, ...] = ()
    details: dict[str, Any] = Field(default_factory=dict)
