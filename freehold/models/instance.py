"""An instance as the inventory knows it, and the evidence kept about it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from freehold.models.base import Choice, Model
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
