"""What people are told of a request for approval, or of work in the hall, while it waits."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from freehold.models.base import Choice, Model


class NoticeKind(Choice):
    ASKED = "asked"
    REMINDER = "reminder"
    LAST_CALL = "last call"
    LAPSED = "lapsed"
    HANDS = "hands"  # work in the hall waits for people, or for a delivery


class Notice(Model):
    """One thing to tell. Its id is the same when it is told twice, so that a receiver can recognise that."""

    id: str
    kind: NoticeKind
    to: tuple[str, ...] = Field(default=(), description="receivers, by the names that the rules give them")
    procedure: str
    instance: str
    customer: str
    site: str
    requested_by: str
    workflow_id: str
    plan_hash: str
    until: datetime
    approved_by: tuple[str, ...] = ()
    quorum: int = 1
    situation: str = Field(default="", description="of the work in the hall")

    @property
    def subject(self) -> str:
        what = f"{self.procedure} of {self.instance}"
        until = f"until {self.until:%Y-%m-%d %H:%M} UTC"
        return {
            NoticeKind.ASKED: f"Approval needed {until}: {what}",
            NoticeKind.REMINDER: f"Still waits for approval {until}: {what}",
            NoticeKind.LAST_CALL: f"About to lapse {until}: {what}",
            NoticeKind.HANDS: f"Work in the hall still waits, {until} at most: {what}",
            NoticeKind.LAPSED: f"Nobody approved in time, what was reserved is given back: {what}",
        }[self.kind]
