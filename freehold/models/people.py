"""People's roles, and what a role allows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from freehold.models.base import Choice


class Role(Choice):
    OPERATOR = "operator"
    APPROVER = "approver"
    MANAGER = "manager"
    TECHNICIAN = "technician"
    AUDITOR = "auditor"
    ADMIN = "admin"


class Act(Choice):
    """What one can do to procedures; the value completes "may not ..."."""

    READ = "read"
    START = "start procedures"
    DECIDE = "approve, reject or withdraw"
    CONFIRM = "confirm items of a checklist"
    STEER = "retry, abort or cancel"
    SCHEDULE = "change schedules"
    REPAIR = "terminate, reset, pause, delete, or send other messages"


ALLOWED: Mapping[Role, frozenset[Act]] = {
    Role.OPERATOR: frozenset({Act.READ, Act.START, Act.CONFIRM, Act.STEER, Act.SCHEDULE}),
    Role.APPROVER: frozenset({Act.READ, Act.DECIDE}),
    # Decides as an approver does; apart, so that a policy can ask for one where more is at stake.
    Role.MANAGER: frozenset({Act.READ, Act.DECIDE}),
    Role.TECHNICIAN: frozenset({Act.READ, Act.CONFIRM}),
    Role.AUDITOR: frozenset({Act.READ}),
    # Repairs machines, does not replace people's judgement: an admin who approves has that role too.
    Role.ADMIN: frozenset({Act.READ, Act.START, Act.STEER, Act.SCHEDULE, Act.REPAIR}),
}

MESSAGES: Mapping[str, Act] = {
    "approve": Act.DECIDE,
    "reject": Act.DECIDE,
    "withdraw": Act.DECIDE,
    "accept": Act.START,
    "dismiss": Act.START,
    "confirm_items": Act.CONFIRM,
    "retry": Act.STEER,
    "pause": Act.STEER,
    "resume": Act.STEER,
    "abort": Act.STEER,
}
"""What people say to procedures, as a signal or an update."""


def who_may(act: Act) -> tuple[Role, ...]:
    return tuple(role for role in Role if act in ALLOWED[role])


def same_person(one: str, other: str) -> bool:
    return key_of(one) == key_of(other)


def key_of(name: str) -> str:
    """Names are compared without regard to case, so that nobody counts twice."""
    return name.strip().casefold()


def either(roles: Iterable[Role]) -> str:
    return " or ".join(roles)
