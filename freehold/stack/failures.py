"""How errors reach a history: what pydantic found wrong becomes one sentence with a stable type."""

from __future__ import annotations

from pydantic import ValidationError
from temporalio.api.failure.v1 import Failure
from temporalio.converter import DefaultFailureConverter, PayloadConverter
from temporalio.exceptions import ApplicationError

from freehold.errors import BadInput
from freehold.models.wording import in_words


class ReadableFailures(DefaultFailureConverter):
    """Whoever fills in a start form reads this on the run's page; pydantic's own report is for programmers."""

    def to_failure(self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure) -> None:
        if isinstance(exception, ValidationError):
            exception = ApplicationError(in_words(exception), type=BadInput.__name__, non_retryable=True)
        super().to_failure(exception, payload_converter, failure)
