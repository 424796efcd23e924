"""Who must agree to a procedure's plan, and whose word counts."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from freehold.models.base import Choice, Model
from freehold.models.names import Name
from freehold.models.people import Act, Role, either, who_may
from freehold.models.units import HOUR_S

DECIDING = who_may(Act.DECIDE)


class Procedure(Choice):
    """The procedures that a rule can name."""

    PROVISION = "ProvisionInstance"
    DECOMMISSION = "DecommissionInstance"
    SCALE_UP = "ScaleUp"
    SCALE_DOWN = "ScaleDown"
    CONSOLIDATE = "ConsolidateData"
    INSTALL = "InstallHardware"
    REMOVE = "RemoveHardware"
    WATCH = "WatchCables"
    EVALUATE = "EvaluateScaling"
    RECOMMEND = "RecommendScaling"


ASK_NOBODY = frozenset({Procedure.INSTALL, Procedure.REMOVE, Procedure.WATCH, Procedure.EVALUATE, Procedure.RECOMMEND})
"""Have no approval. What a rule says of them is whose word counts."""
NEVER_WAIVED = frozenset({Procedure.DECOMMISSION})
"""Destroys data: somebody must agree, whatever the rules say."""


class ApprovalIdentity(Choice):
    """What counts as who sent a message."""

    CLAIM = "claim"  # the name in the message
    LOGIN = "login"  # that name, when it is also the identity in the history


class UnknownNames(Choice):
    """What becomes of a message from somebody who has no account."""

    ACCEPT = "accept"
    REFUSE = "refuse"


class OnLapse(Choice):
    """What happens when nobody has decided in time."""

    UNDO = "undo"  # what was reserved is given back
    ASK_AGAIN = "ask-again"  # the same request is open for as long once more


def _deciding(roles: tuple[Role, ...]) -> tuple[Role, ...]:
    for role in roles:
        if role not in DECIDING:
            raise ValueError(f"{role} may not approve; allowed: {', '.join(DECIDING)}")
    return roles


Deciders = Annotated[tuple[Role, ...], Field(min_length=1), AfterValidator(_deciding)]


class Reminder(Model):
    """When people are told that a request for approval is still open, and who."""

    before_s: int = Field(ge=1, description="seconds before the request lapses")
    tell: tuple[Name, ...]


class ApprovalPolicy(Model):
    """Decided when the plan is made, so that a later change of the rules does not touch a waiting run."""

    required: bool = True
    roles: Deciders = (Role.APPROVER, Role.MANAGER)
    quorum: int = Field(default=1, ge=1, description="how many different people must approve")
    within_s: int = Field(default=72 * HOUR_S, ge=1, description="seconds until the request lapses")
    on_lapse: OnLapse = OnLapse.UNDO
    waive_installed: bool = Field(default=False, description="not required where all hardware is installed and on")
    waive_scheduled: bool = Field(
        default=False, description="not required where the schedule decided within the customer's contract"
    )
    identity: ApprovalIdentity = ApprovalIdentity.CLAIM
    unknown_names: UnknownNames = UnknownNames.ACCEPT
    tell: tuple[Name, ...] = Field(default=(), description="receivers that are told of the request and of its lapse")
    reminders: tuple[Reminder, ...] = Field(default=(), description="in the order in which they come")
    why: str = "the plan needs an approval by somebody who did not ask for it"

    @property
    def receivers(self) -> tuple[str, ...]:
        """Everybody who is told anything, and so learns how it ended."""
        return tuple(dict.fromkeys((*self.tell, *(name for reminder in self.reminders for name in reminder.tell))))

    def words(self) -> str:
        who = either(self.roles)
        people = f"one {who} must agree" if self.quorum == 1 else f"{self.quorum} people must agree, each {who}"
        told = [f"{' and '.join(r.tell)} {r.before_s / HOUR_S:.2g} h before the end" for r in self.reminders]
        reminders = f"; reminders: {', '.join(told)}" if told else ""
        lapse = "all is undone" if self.on_lapse is OnLapse.UNDO else "it is asked again"
        return f"{people}{reminders}; when nobody decides, {lapse}"


class Remind(Model):
    hours_before: float = Field(gt=0, description="hours before the request lapses")
    tell: tuple[Name, ...] = Field(min_length=1, description="receivers")


def _mail_address(given: str) -> str:
    if not re.fullmatch(r"[^@\s,<>]+@[^@\s,<>]+", given) or len(given) > 254:
        raise ValueError(f"{given!r} is no mail address like anna@example.com")
    return given


def _web_address(given: str) -> str:
    if given and not re.fullmatch(r"https?://[^\s/]+\S*", given):
        raise ValueError("a webhook's address begins with http:// or https://")
    return given


class Receiver(Model):
    """Where people read what they are told."""

    mail: tuple[Annotated[str, AfterValidator(_mail_address)], ...] = ()
    webhook: Annotated[str, AfterValidator(_web_address)] = Field(default="", repr=False)

    @property
    def somebody(self) -> bool:
        return bool(self.mail or self.webhook)


class Rule(Model):
    """What holds for the procedures, services and tiers that it names; for all of them where it names none.

    What it does not say, the rules above it say.
    """

    procedure: Procedure | None = None
    service: Name | None = None
    tier: Name | None = None

    required: bool | None = None
    roles: Deciders | None = None
    quorum: int | None = Field(default=None, ge=1)
    within_hours: float | None = Field(default=None, gt=0)
    on_lapse: OnLapse | None = None
    waive_installed: bool | None = None
    waive_scheduled: bool | None = None
    identity: ApprovalIdentity | None = None
    unknown_names: UnknownNames | None = None
    tell: tuple[Name, ...] | None = None
    remind: tuple[Remind, ...] | None = None

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.tier is not None and self.service is None:
            raise ValueError(f"tier {self.tier!r} is of no service; name the service, too")
        if self.procedure in NEVER_WAIVED and (self.required is False or self.waive_installed or self.waive_scheduled):
            raise ValueError(f"{self.procedure} destroys data and always needs an approval; leave the waiver out")
        for remind in self.remind or ():
            if self.within_hours is not None and remind.hours_before >= self.within_hours:
                raise ValueError(
                    f"a reminder {remind.hours_before:g} hours before the end comes too early for a request that is "
                    f"open for {self.within_hours:g} hours"
                )
        return self

    def fits(self, procedure: str, service: str, tier: str) -> bool:
        asked = {"procedure": procedure, "service": service, "tier": tier}
        return all(mine is None or mine == asked[name] for name in asked for mine in (getattr(self, name),))

    def said(self) -> dict[str, object]:
        """What it says, in the fields of the policy that it makes."""
        given = {name: getattr(self, name) for name in Rule.model_fields if getattr(self, name) is not None}
        said = {name: value for name, value in given.items() if name in ApprovalPolicy.model_fields}
        if self.within_hours is not None:
            said["within_s"] = _seconds(self.within_hours)
        if self.remind is not None:
            said["reminders"] = tuple(Reminder(before_s=_seconds(r.hours_before), tell=r.tell) for r in self.remind)
        return said


class PolicyBook(Model):
    """All rules, from the general to the particular, and the receivers that they name."""

    receivers: dict[Name, Receiver] = Field(default_factory=dict)
    rules: tuple[Rule, ...] = ()

    @model_validator(mode="after")
    def _receivers_are_known(self) -> Self:
        for number, rule in enumerate(self.rules, start=1):
            for name in (*(rule.tell or ()), *(name for r in rule.remind or () for name in r.tell)):
                if name not in self.receivers:
                    known = ", ".join(self.receivers) or "none"
                    raise ValueError(f"rule {number} tells {name!r}, which is no receiver; there are: {known}")
        return self

    def policy(self, procedure: str, service: str, tier: str) -> ApprovalPolicy:
        """Every rule that fits, from top to bottom; what a lower one says replaces what a higher one said."""
        said: dict[str, object] = {}
        for rule in self.rules:
            if rule.fits(procedure, service, tier):
                said |= rule.said()
        made = ApprovalPolicy.model_validate(said)
        in_time = sorted((r for r in made.reminders if r.before_s < made.within_s), key=lambda r: -r.before_s)
        update: dict[str, object] = {"reminders": tuple(in_time)}
        if procedure in NEVER_WAIVED:
            update |= {"required": True, "waive_installed": False, "waive_scheduled": False}
        return made.model_copy(update=update)


def _seconds(hours: float) -> int:
    return max(round(hours * HOUR_S), 1)
