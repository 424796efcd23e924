"""The decision about one instance."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from freehold.models.scaling import FORESEEN, Action, Contract, Decision, LeadTime, Measure, Mode, Standing
from freehold.models.scaling_policy import Pace, ScalingPolicy
from freehold.models.usage import Usage
from freehold.planning.scaling.ahead import Ahead, look_ahead
from freehold.planning.scaling.choice import Need, bigger, change, smaller, spend, words
from freehold.planning.scaling.load import Load, loads, symptoms
from freehold.planning.scaling.trust import doubts
from freehold.planning.scaling.words import moment, span, when
from freehold.services.base import Service, Size

BY = "evaluate-scaling"
"""In whose name a change is asked for."""


def decide(
    chosen: Service,
    standing: Standing,
    usage: Usage,
    policy: ScalingPolicy,
    contract: Contract,
    lead_time: LeadTime,
    now: datetime,
) -> Decision:
    """What shall be done to the instance now. Never raises for what was observed: it says in words why not.

    Refused on metrics that are missing, stale, NaN, contradictory or of another time. Bigger, when a need lasts for the
    whole window of the policy, or when the forecast's upper bound is full before a change begun now would have an
    effect. Smaller only on what was observed in the whole window, never on a forecast, and not into a size that the
    forecast outgrows. One change at a time, none within the cool-down, none beyond the contract.
    """
    case = _Case(chosen, standing, usage, policy, contract, lead_time, now.timestamp())
    if contract.mode is Mode.OFF:
        return case.decided("nothing: the contract wants no scaling by schedule")
    if found := doubts(standing, usage, policy, case.now):
        return case.decided(f"no decision: {found[0]}", found, action=Action.REFUSED)
    return case.grow() or case.shrink() or case.stay()


@dataclass(frozen=True)
class _Case:
    """What is known of one instance, and what follows from it."""

    chosen: Service
    standing: Standing
    usage: Usage
    policy: ScalingPolicy
    contract: Contract
    lead: LeadTime
    now: float

    def grow(self) -> Decision | None:
        """Bigger, because a need lasts or is foreseen; None: nothing asks for it."""
        pressing = [load for load in self.loads if load.presses(bool(self.symptoms))]
        lasting = {load.measure for load in pressing}
        foreseen = [ahead for measure, ahead in self.ahead.items() if measure not in lasting and ahead.presses]
        if not pressing and not foreseen:
            return None
        need = Need(storage=self._needed(pressing, foreseen, web=False), web=self._needed(pressing, foreseen, web=True))
        found = bigger(self.chosen, self.size, need, self.policy, self.contract)
        what = sorted({load.measure.value for load in pressing} or {ahead.load.measure.value for ahead in foreseen})
        why = f"too much load {'lasts' if pressing else 'is foreseen'} ({' and '.join(what)})"
        told = {
            "need": Action.UP,
            "foreseen": not pressing,
            "forecasts": tuple(ahead.model() for ahead in self.ahead.values()),
            "too_late_at": self._too_late(),
        }
        return self._change(
            Action.UP, found.size, why, found.why_not or self._hindrance(self.policy.up), found.cut, told
        )

    def shrink(self) -> Decision | None:
        """Smaller, because it was observed for long enough that less is enough; None: it was not."""
        storage, web = (self._spare(of_web) for of_web in (False, True))
        if self.symptoms or not (storage or web):
            return None
        kept = {
            load.measure: look_ahead(load, self.lead, always=True)
            for load in (*storage, *web)
            if load.measure in FORESEEN
        }
        ahead = {measure: found for measure, found in kept.items() if found}
        need = Need(storage=self._kept(storage, ahead), web=self._kept(web, ahead))
        size = smaller(self.chosen, self.size, need, self.policy, self.contract)
        if size is None:
            return None
        told = {"need": Action.DOWN, "forecasts": tuple(each.model() for each in ahead.values())}
        why = f"less was enough for {span(self.policy.down.window_s)}"
        reasons = tuple(each.words() for measure, each in ahead.items() if measure not in self.ahead)
        return self._change(Action.DOWN, size, why, self._hindrance(self.policy.down), "", told, reasons)

    def stay(self) -> Decision:
        unknown = []
        for of_web in (False, True):
            group = [load for load in self.loads if load.of_web is of_web]
            if all(load.most < load.thresholds.down_at for load in group):
                unknown += [load.unknown for load in group if load.unknown]
        return self.decided("as it is: neither too small nor too big", unknown)

    def decided(self, summary: str, reasons: Iterable[str] = (), action: Action = Action.NONE, **told: Any) -> Decision:
        """With all figures, if there are any to trust."""
        figures: tuple[str, ...] = ()
        if action is not Action.REFUSED and self.contract.mode is not Mode.OFF:
            figures = (
                *(load.words() for load in self.loads),
                *(a.words() for a in self.ahead.values()),
                *self.symptoms,
            )
        return Decision(
            instance=self.standing.instance,
            at=when(self.now),
            action=action,
            summary=summary,
            reasons=(*figures, *reasons),
            lead_time=self.lead,
            spend_before=round(spend(self.size, self.policy.prices), 2),
            **told,
        )

    def _change(
        self,
        action: Action,
        size: Size | None,
        why: str,
        hindrance: str,
        cut: str,
        told: dict[str, Any],
        reasons: tuple[str, ...] = (),
    ) -> Decision:
        if size is None or hindrance:
            return self.decided(f"nothing, although {why}: {hindrance}", reasons, hindered_by=hindrance, **told)
        return self.decided(
            f"{'bigger' if action is Action.UP else 'smaller'}: {words(self.size, size)}, as {why}",
            (*reasons, cut) if cut else reasons,
            action,
            wanted=change(self.size, size, BY),
            spend_after=round(spend(size, self.policy.prices), 2),
            **told,
        )

    @cached_property
    def size(self) -> Size:
        return self.chosen.size(self.standing.request)

    @cached_property
    def loads(self) -> tuple[Load, ...]:
        return tuple(loads(self.size, self.usage, self.policy, self.now))

    @cached_property
    def symptoms(self) -> tuple[str, ...]:
        return symptoms(self.usage, self.policy, self.now)

    @cached_property
    def ahead(self) -> dict[Measure, Ahead]:
        """Forecasts that could come to something before a change has its effect."""
        found = {load.measure: look_ahead(load, self.lead) for load in self.loads if load.measure in FORESEEN}
        return {measure: ahead for measure, ahead in found.items() if ahead}

    def _needed(self, pressing: list[Load], foreseen: list[Ahead], *, web: bool) -> float:
        asking = [load for load in pressing if load.of_web is web]
        shares = [max(load.lately) / load.thresholds.target_at for load in asking]
        measures = {load.measure for load in asking} | {ahead.load.measure for ahead in foreseen}
        shares += [a.share_needed() for m, a in self.ahead.items() if m in measures and a.load.of_web is web]
        return max((1.0, *shares))

    def _spare(self, of_web: bool) -> list[Load]:
        """The loads of web servers, or of storage, if all of them are known to be low."""
        found = [load for load in self.loads if load.of_web is of_web]
        return found if found and all(load.is_low for load in found) else []

    @staticmethod
    def _kept(spare: list[Load], ahead: dict[Measure, Ahead]) -> float:
        """How much of what it carries now must stay; all, where not all is known to be low."""
        shares = [load.most / load.thresholds.target_at for load in spare]
        shares += [ahead[load.measure].share_to_keep() for load in spare if load.measure in ahead]
        return min(1.0, max(shares, default=1.0))

    def _too_late(self) -> datetime | None:
        if any(load.lately and max(load.lately) >= load.thresholds.full_at for load in self.loads):
            return when(self.now)
        found = [ahead.too_late_at for ahead in self.ahead.values() if ahead.too_late_at is not None]
        return when(min(found)) if found else None

    def _hindrance(self, pace: Pace) -> str:
        """Why nothing may be begun now. One change at a time, and some rest after each."""
        if self.standing.held_by:
            return f"{self.standing.held_by} works on it"
        rests_until = self.standing.changed_at.timestamp() + pace.cool_down_s
        return f"it was changed not long ago, and rests until {moment(rests_until)}" if self.now < rests_until else ""
