"""Search attributes: the filters of the Temporal Web UI. Every act sets or unsets all of them, because a run
started from another run's form inherits that run's values."""

from __future__ import annotations

from temporalio import workflow
from temporalio.common import SearchAttributeKey

with workflow.unsafe.imports_passed_through():
    from freehold.models.procedure import ProcedureView, StepState

INSTANCE = SearchAttributeKey.for_keyword("FreeholdInstance")
CUSTOMER = SearchAttributeKey.for_keyword("FreeholdCustomer")
SITE = SearchAttributeKey.for_keyword("FreeholdSite")
STEP = SearchAttributeKey.for_keyword("FreeholdStep")
WAITING_FOR = SearchAttributeKey.for_keyword("FreeholdWaitingFor")
ALL = (INSTANCE, CUSTOMER, SITE, STEP, WAITING_FOR)

_BUSY = (StepState.RUNNING, StepState.WAITING, StepState.PARKED, StepState.UNDOING)


def show(view: ProcedureView) -> None:
    """Bring the attributes to what the view says; nothing is sent when they say so already."""
    busy = next((s.name for s in view.steps if s.state in _BUSY), "")
    wanted = {
        INSTANCE: view.instance,
        CUSTOMER: view.customer,
        SITE: view.site,
        STEP: view.outcome or busy,
        WAITING_FOR: view.waiting.whom if view.waiting else "",
    }
    has = workflow.info().typed_search_attributes
    updates = [
        key.value_set(value) if value else key.value_unset()
        for key, value in wanted.items()
        if (has.get(key) or "") != value
    ]
    if updates:
        workflow.upsert_search_attributes(updates)
