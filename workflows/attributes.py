"""Search attributes: the filters of the Temporal Web UI. Every act sets or unsets all of them, because a run
started from another run's form inherits that run's values."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from temporalio import workflow
from temporalio.common import SearchAttributeKey

with workflow.unsafe.imports_passed_through():
    from freehold.models.procedure import StepState, StepView, Waiting

INSTANCE = SearchAttributeKey.for_keyword("FreeholdInstance")
CUSTOMER = SearchAttributeKey.for_keyword("FreeholdCustomer")
SITE = SearchAttributeKey.for_keyword("FreeholdSite")
STEP = SearchAttributeKey.for_keyword("FreeholdStep")
WAITING_FOR = SearchAttributeKey.for_keyword("FreeholdWaitingFor")
ALL = (INSTANCE, CUSTOMER, SITE, STEP, WAITING_FOR)

BUSY = (StepState.RUNNING, StepState.WAITING, StepState.PARKED, StepState.UNDOING)


class Shown(Protocol):
    """What the attributes say of a run."""

    instance: str
    customer: str
    site: str
    waiting: Waiting | None
    outcome: str

    @property
    def steps(self) -> Collection[StepView]: ...


def show(view: Shown) -> None:
    """Bring the attributes to what the view says; nothing is sent when they say so already."""
    has = workflow.info().typed_search_attributes
    last = has.get(STEP) or ""
    busy = next((s.name for s in view.steps if s.state in BUSY), last if _is_ours(last, view) else "")
    wanted = {
        INSTANCE: view.instance,
        CUSTOMER: view.customer,
        SITE: view.site,
        STEP: view.outcome or busy,
        WAITING_FOR: view.waiting.whom if view.waiting else "",
    }
    updates = [
        key.value_set(value) if value else key.value_unset()
        for key, value in wanted.items()
        if (has.get(key) or "") != value
    ]
    if updates:
        workflow.upsert_search_attributes(updates)


def _is_ours(step: str, view: Shown) -> bool:
    """Whether the attribute names a step of this run that is over; between two steps it stays, to save an event."""
    return any(s.name == step and s.state is StepState.DONE for s in view.steps)
