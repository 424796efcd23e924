"""The operator's rules of scaling by schedule: thresholds, windows, forecasts, prices; data that people edit."""

from __future__ import annotations

from typing import Any, Self

from pydantic import ConfigDict, Field, model_validator

from freehold.models.base import Model
from freehold.models.names import Name
from freehold.models.scaling import LeadPart
from freehold.models.units import DAY_S, HOUR_S


class Thresholds(Model):
    """Shares of what an instance carries. Between `down_at` and `up_at` nothing happens: that is the hysteresis."""

    down_at: float = Field(default=0.40, ge=0, description="smaller, when it stays below")
    target_at: float = Field(default=0.60, gt=0, le=1, description="a new size is chosen to be filled so far")
    up_at: float = Field(default=0.80, gt=0, le=1, description="bigger, when it stays above")
    full_at: float = Field(default=0.95, gt=0, le=1, description="more than that is too late")
    tolerance: float = Field(default=0.02, ge=0, lt=1, description="so much past a threshold does not count yet")

    @model_validator(mode="after")
    def _apart(self) -> Self:
        edges = (self.down_at + self.tolerance, self.target_at, self.up_at, self.full_at)
        if not edges[0] < edges[1] < edges[2] <= edges[3]:
            raise ValueError(
                f"down_at {self.down_at:g} plus tolerance {self.tolerance:g}, target_at {self.target_at:g}, "
                f"up_at {self.up_at:g} and full_at {self.full_at:g} must rise in this order"
            )
        return self


class Symptoms(Model):
    """What customers feel. Alone it asks for nothing; it lets a need near a threshold count, and forbids to shrink."""

    latency_s: float = Field(default=2.0, gt=0, description="p99 above that")
    error_share: float = Field(default=0.01, gt=0, le=1, description="failed of all requests above that")


class Pace(Model):
    """How long a need must last in one direction, and how long after a change nothing is done in it."""

    window_s: int = Field(ge=1, description="seconds in which every value must be past the threshold")
    cool_down_s: int = Field(ge=0, description="seconds after the last change")


class DataRules(Model):
    """Which data a decision may rest on."""

    step_s: int = Field(default=300, ge=1, description="seconds between two recent values")
    peak_step_s: int = Field(default=DAY_S, ge=1, description="seconds that each value of the history is the peak of")
    history_s: int = Field(default=56 * DAY_S, ge=1, description="how far back the history goes")
    least_coverage: float = Field(default=0.9, gt=0, le=1, description="share of a window that must have values")
    most_age_s: int = Field(default=900, ge=1, description="figures older than that are stale")
    most_skew_s: int = Field(default=60, ge=0, description="so far apart may two clocks be")


class ForecastRules(Model):
    enabled: bool = True
    least_steps: int = Field(default=14, ge=5, description="no forecast from fewer values of the history")
    half_life_s: int = Field(default=14 * DAY_S, ge=1, description="a value of that age counts half")
    quantile: float = Field(default=0.9, gt=0.5, lt=1, description="how sure it must be that there is room in time")
    lasts_s: int = Field(default=28 * DAY_S, ge=0, description="how long a new size shall last")


class Guess(Model):
    """What is thought of a duration before anything was seen."""

    usual_s: float = Field(gt=0)
    late_s: float = Field(gt=0, description="9 of 10 are faster")

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if self.late_s <= self.usual_s:
            raise ValueError(f"late_s {self.late_s:g} must be above usual_s {self.usual_s:g}")
        return self


class LeadTimeRules(Model):
    """Durations of earlier procedures replace the guesses little by little."""

    guesses: dict[LeadPart, Guess] = Field(
        default={
            LeadPart.DELIVERY: Guess(usual_s=10 * DAY_S, late_s=21 * DAY_S),
            LeadPart.RACKING: Guess(usual_s=1 * DAY_S, late_s=3 * DAY_S),
            LeadPart.APPROVAL: Guess(usual_s=4 * HOUR_S, late_s=2 * DAY_S),
            LeadPart.WORK: Guess(usual_s=1 * HOUR_S, late_s=12 * HOUR_S),
        }
    )
    guess_weighs: float = Field(default=4, gt=0, description="as much as so many earlier procedures")
    quantile: float = Field(default=0.9, gt=0.5, lt=1, description="late is when so many are faster")

    @model_validator(mode="after")
    def _all_parts(self) -> Self:
        if missing := [part.value for part in LeadPart if part not in self.guesses]:
            raise ValueError(f"guesses: there is none for {', '.join(missing)}")
        return self


class Prices(Model):
    """What an instance costs its customer a month."""

    currency: str = Field(default="EUR", max_length=8)
    server: float = Field(default=120, ge=0)
    gib: float = Field(default=0.02, ge=0)


class ScalingPolicy(Model):
    """All rules that hold for one instance."""

    stored: Thresholds = Field(default=Thresholds(), description="stored bytes of the capacity")
    requests: Thresholds = Field(default=Thresholds(), description="requests of what the web servers carry")
    cpu: Thresholds = Field(default=Thresholds(down_at=0.3, target_at=0.5, up_at=0.75), description="busy share")
    disk: Thresholds = Field(default=Thresholds(), description="filled share of the fullest disk")
    symptoms: Symptoms = Symptoms()
    up: Pace = Pace(window_s=1800, cool_down_s=1 * HOUR_S)
    down: Pace = Pace(window_s=7 * DAY_S, cool_down_s=7 * DAY_S)
    least_step: float = Field(default=0.25, gt=0, description="a change of capacity is at least so much of it")
    data: DataRules = DataRules()
    forecast: ForecastRules = ForecastRules()
    lead_time: LeadTimeRules = LeadTimeRules()
    prices: Prices = Prices()


class ScalingRule(Model):
    """What holds for the service and tier that it names; for all where it names none. The rest is of ScalingPolicy."""

    model_config = ConfigDict(extra="allow")

    service: Name | None = None
    tier: Name | None = None

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.tier is not None and self.service is None:
            raise ValueError(f"tier {self.tier!r} is of no service; name the service, too")
        return self

    def fits(self, service: str, tier: str) -> bool:
        return self.service in (None, service) and self.tier in (None, tier)


class ScalingBook(Model):
    """All rules, from the general to the particular; what a lower one says replaces what a higher one said."""

    rules: tuple[ScalingRule, ...] = ()

    def policy(self, service: str, tier: str) -> ScalingPolicy:
        said: dict[str, Any] = {}
        for rule in self.rules:
            if rule.fits(service, tier):
                said = _merged(said, rule.model_extra or {})
        return ScalingPolicy.model_validate(said)


def _merged(above: dict[str, Any], below: dict[str, Any]) -> dict[str, Any]:
    both = dict(above)
    for name, value in below.items():
        had = both.get(name)
        both[name] = _merged(had, value) if isinstance(had, dict) and isinstance(value, dict) else value
    return both
