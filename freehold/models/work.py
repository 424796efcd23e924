"""Inputs and results of activities that are not models of the domain by themselves."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from freehold.models.base import Choice, Model
from freehold.models.change import Change
from freehold.models.contents import ExportTarget
from freehold.models.instance import InstanceState
from freehold.models.plan import Plan
from freehold.models.policy import ApprovalPolicy, Procedure
from freehold.models.request import ScaleRequest


class PlanRef(Model):
    """The plan that an instance was reserved with; the inventory has it."""

    instance: str


class ServerRef(PlanRef):
    server: str


class DiskRef(ServerRef):
    disk: str


class StepTime(Model):
    """How long a step took, with all that it waited for."""

    step: str
    seconds: float


class LeaseInput(Model):
    instance: str
    procedure: str
    workflow_id: str
    run_id: str
    took: tuple[StepTime, ...] = Field(default=(), description="at the end of a procedure that reached its goal")


class PlanResult(Model):
    """A plan and what follows from it. `exists` is set when the same request was fulfilled before."""

    plan: Plan
    stages: tuple[str, ...] = ()
    approval: ApprovalPolicy = ApprovalPolicy()
    exists: bool = False


ChangingProcedure = Literal[Procedure.SCALE_UP, Procedure.SCALE_DOWN, Procedure.CONSOLIDATE]


class ChangeInput(Model):
    """What an instance shall become, and whether it is to grow, to shrink, or to let go of servers."""

    procedure: ChangingProcedure
    request: ScaleRequest


class ChangeResult(Model):
    """A change and what follows from it. `exists` is set when the instance already is what is asked for."""

    change: Change
    approval: ApprovalPolicy = ApprovalPolicy()
    exists: bool = False


class ExportInput(PlanRef):
    target: ExportTarget


class StateInput(PlanRef):
    state: InstanceState


class ServerPreviewInput(Model):
    plan: Plan
    server: str
    keep: bool = False
    """Keep the server's fingerprint in the inventory, to compare with after an undo."""


class StageInput(ServerRef):
    stage: str


class ProbeKind(Choice):
    CUSTOMER = "customer"
    STRANGER = "stranger"


class ProbeInput(PlanRef):
    kind: ProbeKind
    workflow_id: str = ""
    run_id: str = ""


class ProbeResult(Model):
    evidence: tuple[str, ...]
    note: str = ""


class Changed(Model):
    """What an effect did: whether anything changed and, in words or as a diff, what."""

    changed: bool
    diff: str = ""
