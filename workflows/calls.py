"""Calling activities, named after the step they belong to, so that a timeline reads like the runbook."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from temporalio import workflow

_step: ContextVar[str] = ContextVar("step", default="")


@contextmanager
def named_after(step: str) -> Iterator[None]:
    """What is called inside bears the name of this step."""
    token = _step.set(step)
    try:
        yield
    finally:
        _step.reset(token)


def _call(method: Callable[..., Any], given: Any, *, summary: str = "", **options: Any) -> Any:
    words = ": ".join(word for word in (_step.get(), summary) if word)
    return workflow.execute_activity_method(method, given, summary=words or None, **options)


if TYPE_CHECKING:
    call = workflow.execute_activity_method
else:
    call = _call
