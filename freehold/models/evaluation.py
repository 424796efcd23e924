"""One look at what all instances need: what it is asked, what it found, and what follows from it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from freehold.models.base import Model
from freehold.models.names import Name, Person
from freehold.models.policy import Procedure
from freehold.models.request import ScaleRequest
from freehold.models.scaling import Action, Mode


class EvaluateRequest(Model):
    """The input of `EvaluateScaling`."""

    instances: tuple[Name, ...] = Field(default=(), description="only these; empty: all that have a contract")


class EvaluateInput(Model):
    request: EvaluateRequest
    open: tuple[ScaleRequest, ...] = Field(default=(), description="recommended, and waiting for people")


class Proposal(Model):
    """A change that an instance needs: the input of `RecommendScaling`."""

    instance: Name
    customer: Name
    site: Name
    mode: Mode
    procedure: Literal[Procedure.SCALE_UP, Procedure.SCALE_DOWN]
    wanted: ScaleRequest


class Evaluation(Model):
    """What one look found. Only what must be acted upon or told is named; thousands are fine and stay unnamed."""

    counts: dict[Action, int] = Field(default_factory=dict, description="instances by what was decided")
    proposals: tuple[Proposal, ...] = Field(default=(), description="the most urgent first")
    later: int = Field(default=0, description="proposals beyond those that one evaluation acts upon")
    settled: tuple[Name, ...] = Field(default=(), description="an open recommendation for these is not needed any more")
    refused: dict[Name, str] = Field(default_factory=dict, description="why nothing can be decided; some of them")
    hindered: dict[Name, str] = Field(default_factory=dict, description="what holds a need back; some of them")


class StartInput(Model):
    """A proposal to be carried out, in whose name, and after which evaluation."""

    proposal: Proposal
    requested_by: Person


class Deed(Model):
    """What became of a proposal."""

    workflow_id: str
    changed: bool
    words: str


class Settled(Model):
    """An open recommendation that is not needed any more, and why."""

    instance: Name
    words: str
