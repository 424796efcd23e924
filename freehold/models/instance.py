"""An instance as the inventory knows it, and the evidence kept about it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from freehold.models.base import Choice, Model
from freehold.models.change import Change
from freehold.models.names import Name
from freehold.models.plan import Plan


class InstanceState(Choice):
    PROVISIONING = "provisioning"
    ACTIVE = "active"
    CHANGING = "changing"  # serves as before, while a procedure takes it from one plan to the next
    DECOMMISSIONING = "decommissioning"
    GONE = "gone"


class Instance(Model):
    """One running (or past) private copy of a service."""

    name: Name
    customer: Name
    site: Name
    service: Name
    tier: Name
    state: InstanceState
    plan: Plan
    target: Plan | None = None
    """The plan it is being changed to."""
    created_at: datetime
    active_at: datetime | None = None

    @property
    def change(self) -> Change | None:
        """From the plan it has to the one it is being brought to."""
        return Change(before=self.plan, after=self.target) if self.target else None

    @property
    def newest(self) -> Plan:
        """The plan that it is being brought to, or has."""
        return self.target or self.plan

    @property
    def to_come(self) -> Plan:
        """What of its newest plan is not there yet: all of it, or the part that a change adds."""
        return self.change.joining if self.change else self.plan

    def plan_of(self, server: str) -> Plan:
        """The newest plan that has this server."""
        return next((p for p in (self.newest, self.plan) if any(s.server == server for s in p.servers)), self.plan)

    @property
    def endpoint_url(self) -> str:
        return self.plan.endpoint.url


class Lease(Model):
    """The right to work on an instance: one procedure at a time."""

    instance: Name
    procedure: str
    workflow_id: str
    run_id: str
    since: datetime


class EvidenceKind(Choice):
    PLAN = "plan"
    APPROVAL = "approval"
    CABLING = "cabling"
    SERVICE = "service"  # S3 round trip by the customer's host
    ISOLATION = "isolation"  # the stranger refused
    ERASE = "erase"
    UNDO = "undo"
    NETWORK = "network"
    SERVER = "server"
    SCALING = "scaling"  # what was decided about its size, from which figures
    TIMING = "timing"  # how long a procedure's steps took
    DATA = "data"  # every object is where it belongs, or nothing is left where it leaves


class Evidence(Model):
    """Something observed that proves a claim. `id` makes keeping it twice harmless."""

    id: str
    instance: Name
    kind: EvidenceKind
    claim: str
    holds: bool
    observed: dict[str, Any] = Field(default_factory=dict)
    workflow_id: str = ""
    run_id: str = ""
    at: datetime
