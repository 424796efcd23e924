"""What people read when an activity failed."""

from __future__ import annotations

from temporalio.exceptions import ActivityError, ApplicationError, RetryState

from workflows.ends import explain


def failed(cause: BaseException) -> ActivityError:
    error = ActivityError(
        "Activity task failed",
        scheduled_event_id=1,
        started_event_id=2,
        identity="worker",
        activity_type="preview_server",
        activity_id="1",
        retry_state=RetryState.MAXIMUM_ATTEMPTS_REACHED,
    )
    error.__cause__ = cause
    return error


def test_the_reason_is_our_sentence_not_what_lies_below_it() -> None:
    ours = ApplicationError("srv-3 does not answer; check its power", type="DeviceUnreachable")
    ours.__cause__ = ApplicationError("[Errno 113] No route to host", type="OSError")
    assert explain(failed(ours)) == "srv-3 does not answer; check its power [DeviceUnreachable]"
