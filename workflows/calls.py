"""Calling activities, named after the step they belong to, so that a timeline reads like the runbook."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

from temporalio import workflow

T = TypeVar("T")

_step: ContextVar[str] = ContextVar("step", default="")


@contextmanager
def named_after(step: str) -> Iterator[None]:
    """What is called inside bears the name of this step."""
    token = _step.set(step)
    try:
        yield
    finally:
        with suppress(ValueError):  # a run that is put away half-way is closed from elsewhere, which keeps its own
            _step.reset(token)


def _call(method: Callable[..., Any], given: Any, *, summary: str = "", **options: Any) -> Any:
    words = ": ".join(word for word in (_step.get(), summary) if word)
    return workflow.execute_activity_method(method, given, summary=words or None, **options)


if TYPE_CHECKING:
    call = workflow.execute_activity_method
else:
    call = _call


async def together(works: Iterable[Awaitable[T]]) -> list[T]:
    """All at the same time. When one fails the others still come to their end: nothing runs on beside an undo."""
    done = await asyncio.gather(*works, return_exceptions=True)
    for result in done:
        if isinstance(result, BaseException):
            raise result
    return [result for result in done if not isinstance(result, BaseException)]
