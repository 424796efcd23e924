"""Scaling by schedule: what a customer allows, what the operator's rules say, and what is decided from them."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from pydantic import AwareDatetime, Field, model_validator

from freehold.models.base import Choice, Model
from freehold.models.names import Name
from freehold.models.request import InstanceRequest, ScaleRequest


class Mode(Choice):
    """What may follow from a decision by itself."""

    OFF = "off"  # nothing is decided
    RECOMMEND = "recommend"  # a recommendation is written, people start the procedure
    APPROVE = "approve"  # the procedure is started, and stops at its approval
    AUTOMATIC = "automatic"  # the procedure is started, and needs no approval within the contract


class Contract(Model):
    """What the customer allows to be done to an instance without being asked. Nothing goes beyond it in any mode."""

    mode: Mode = Mode.RECOMMEND
    least_capacity_gib: int = Field(default=1, ge=1)
    most_capacity_gib: int | None = Field(default=None, ge=1, description="empty: as much as the tiers allow")
    tiers: tuple[Name, ...] = Field(default=(), description="allowed tiers; empty: all that the service has")
    most_servers: int | None = Field(default=None, ge=1)
    most_spend: float | None = Field(default=None, ge=0, description="a month, in the currency of the prices")

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if self.most_capacity_gib is not None and self.least_capacity_gib > self.most_capacity_gib:
            raise ValueError(
                f"least_capacity_gib {self.least_capacity_gib} must not be above "
                f"most_capacity_gib {self.most_capacity_gib}"
            )
        return self


class Measure(Choice):
    """What is read of an instance; the value is how people call it."""

    STORED = "stored bytes"  # bytes that the customer keeps
    CAPACITY = "capacity in bytes"  # what the instance itself says it has room for
    OBJECTS = "objects"
    REQUESTS = "requests a second"
    ERRORS = "failed requests a second"
    LATENCY = "latency in seconds"  # p99
    CPU = "CPU"  # busy share of the busiest web server, 0 to 1
    DISK = "disk"  # filled share of the fullest storage disk, 0 to 1


FORESEEN = (Measure.STORED, Measure.REQUESTS)
"""What is forecast: shares of CPU and disk follow from these, and from the size."""


class Standing(Model):
    """What an instance is when a decision about it is made."""

    request: InstanceRequest = Field(description="the request that its plan fulfils")
    changed_at: AwareDatetime = Field(description="when it became what it is: active, or last changed")
    held_by: str = Field(default="", description="the procedure that works on it now")

    @property
    def instance(self) -> str:
        return self.request.instance


class Action(Choice):
    NONE = "none"
    UP = "up"
    DOWN = "down"
    REFUSED = "refused"  # what is known does not allow a decision


class ForecastPoint(Model):
    at: datetime
    low: float
    likely: float
    high: float


class Forecast(Model):
    """What one measure is expected to be, with the interval that the policy's quantile asks for."""

    measure: Measure
    carries: float = Field(description="what the instance carries of it now, in the measure's unit")
    full: float = Field(description="how much of that may be used")
    history: tuple[tuple[datetime, float], ...]
    ahead: tuple[ForecastPoint, ...]
    full_at: datetime | None = Field(default=None, description="when `high` reaches `full`; empty: not in sight")
    likely_full_at: datetime | None = None
    method: str = Field(description="how it was made, in words")


class LeadPart(Choice):
    """What takes time between a decision and its result."""

    DELIVERY = "delivery"
    RACKING = "racking"
    APPROVAL = "approval"
    WORK = "work"  # switches and servers are configured, data is moved, servers are drained


class LeadPartTime(Model):
    part: LeadPart
    usual_s: float
    late_s: float
    learned_from: int = Field(description="earlier procedures that it was learned from; 0: a guess from the rules")


class LeadTime(Model):
    """How long it takes until a decision has an effect, people included."""

    usual_s: float = Field(ge=0, description="half of them are faster")
    late_s: float = Field(ge=0, description="all but the slowest few are faster")
    parts: tuple[LeadPartTime, ...] = ()


class Decision(Model):
    """What shall be done to one instance, and why."""

    instance: Name
    at: datetime
    action: Action
    wanted: ScaleRequest | None = Field(default=None, description="set for up and down, as the procedure takes it")
    summary: str = Field(description="one sentence for a list")
    reasons: tuple[str, ...] = Field(default=(), description="each a sentence with its figures and windows")
    hindered_by: str = Field(default="", description="why a need is not acted upon: limit, cool-down, procedure")
    need: Action = Field(default=Action.NONE, description="what the figures alone ask for")
    foreseen: bool = Field(default=False, description="whether only the forecast asks for it")
    forecasts: tuple[Forecast, ...] = Field(default=(), description="for the plot: one per measure that was forecast")
    too_late_at: datetime | None = Field(
        default=None, description="from then on it is too late to begin; in the past: it is too late already"
    )
    lead_time: LeadTime | None = None
    spend_before: float | None = Field(default=None, description="a month")
    spend_after: float | None = Field(default=None, description="a month, when the decision is carried out")
