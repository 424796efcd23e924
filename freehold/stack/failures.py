"""How errors reach a history, and from there the pages and dialogs of the Temporal Web UI."""

from __future__ import annotations

from pydantic import ValidationError
from temporalio.api.failure.v1 import Failure
from temporalio.converter import DefaultFailureConverter, PayloadConverter
from temporalio.exceptions import ApplicationError

from freehold.errors import BadInput
from freehold.models.wording import in_words


class ReadableFailures(DefaultFailureConverter):
    """One sentence with a stable type, also for what pydantic found wrong.

    An ApplicationError is raised on purpose, with words for people; where in our code is nothing to them.
    """

    def to_failure(self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure) -> None:
        if isinstance(exception, ValidationError):
            exception = ApplicationError(in_words(exception), type=BadInput.__name__, non_retryable=True)
        super().to_failure(exception, payload_converter, failure)
        if isinstance(exception, ApplicationError):
            failure.stack_trace = ""
