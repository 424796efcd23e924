"""Who must agree to a procedure's plan."""

from __future__ import annotations

from pydantic import Field

from freehold.models.base import Choice, Model

HOUR_S = 3600


class Reminder(Model):
    """When people are told that a request for approval is still open."""

    before_s: int = Field(ge=1, description="seconds before the request lapses")
    escalate: bool = Field(default=False, description="also tell those who can see to it that somebody decides")


class ApprovalIdentity(Choice):
    """What counts as who approved."""

    CLAIM = "claim"  # the name in the message
    LOGIN = "login"  # that name, when it is also the identity in the history, of an account that may decide


class ApprovalPolicy(Model):
    """Decided when the plan is made, so that a later change of the rules does not touch a waiting run."""

    required: bool = True
    quorum: int = Field(default=1, ge=1, description="how many different people must approve")
    within_s: int = Field(default=72 * HOUR_S, ge=1, description="seconds until the request lapses")
    why: str = "the plan needs an approval by somebody who did not ask for it"
    identity: ApprovalIdentity = ApprovalIdentity.CLAIM
    tell: bool = Field(default=False, description="tell people of the request and of its lapse")
    reminders: tuple[Reminder, ...] = Field(default=(), description="in the order in which they come")


def usual_reminders(within_s: int) -> tuple[Reminder, ...]:
    """At half time, and with escalation one hour before the end (or late in a request that is open for less)."""
    last = HOUR_S if within_s > 2 * HOUR_S else max(within_s // 8, 1)
    half = within_s // 2
    return (*((Reminder(before_s=half),) if half > last else ()), Reminder(before_s=last, escalate=True))
