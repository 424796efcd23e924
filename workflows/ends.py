"""How a procedure comes to its end: stopped by a person or by time, refused, or carried through."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from temporalio import workflow
from temporalio.exceptions import ApplicationError, FailureError

T = TypeVar("T")


class Undone(Exception):
    """The procedure was stopped by a person or by time; `outcome` says how it ends."""

    def __init__(self, outcome: str, reason: str) -> None:
        super().__init__(reason)
        self.outcome, self.reason = outcome, reason


class Refused(Undone):
    """The request cannot be fulfilled as it is; `type` is the error's stable type."""

    def __init__(self, reason: str, type_: str) -> None:
        super().__init__("refused", reason)
        self.type = type_


def explain(error: BaseException) -> str:
    """The reason, in the words of whoever raised it in our code, with its type."""
    reason, type_ = reason_and_type(error)
    return f"{reason} [{type_}]"


def reason_and_type(error: BaseException) -> tuple[str, str]:
    while not isinstance(error, ApplicationError) and isinstance(error, FailureError) and error.cause is not None:
        error = error.cause  # no further than our sentence: below it is what a library said
    if isinstance(error, ApplicationError):
        return error.message, error.type or "ApplicationError"
    return str(error) or type(error).__name__, type(error).__name__


async def to_the_end(work: Awaitable[T]) -> T:
    """Finish the work even when the run is cancelled meanwhile: half of it would be worse than all of it."""
    task = asyncio.ensure_future(work)
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            workflow.logger.warning("cancelled; going on to the end")
    return task.result()


def needed(given: T | None) -> T:
    """A procedure's input. Nothing at all (an empty start form) fails the run with a readable message."""
    if given is None:
        raise ApplicationError(
            "the input is missing: give one JSON object, e.g. that of the completed example run of this type",
            type="BadInput",
            non_retryable=True,
        )
    return given
