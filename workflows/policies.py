"""Every time-out, retry and limit of the procedures, decided once and named."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from temporalio.common import RetryPolicy
from temporalio.workflow import ActivityCancellationType

TASK_QUEUE = "freehold"

_RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=2,
    maximum_interval=timedelta(seconds=15),
    maximum_attempts=5,
)

BEAT = timedelta(seconds=15)
"""The worker beats for every activity; silence of this length means that it is dead, and the work is done again."""

QUICK: dict[str, Any] = {
    "start_to_close_timeout": timedelta(seconds=60),
    "heartbeat_timeout": BEAT,
    "retry_policy": _RETRY,
    "cancellation_type": ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
}
"""Inventory and secret store: seconds at most. A cancelled one is waited for, because undo must not begin beside it."""

DEVICE: dict[str, Any] = {**QUICK, "start_to_close_timeout": timedelta(minutes=15)}
"""A device works on it."""

EVALUATION: dict[str, Any] = {
    **QUICK,
    "start_to_close_timeout": timedelta(minutes=5),
    "retry_policy": RetryPolicy(initial_interval=timedelta(seconds=2), maximum_attempts=3),
}
"""A look at thousands of instances. When the metrics do not answer, the next one comes soon enough."""

LONG: dict[str, Any] = {**DEVICE, "start_to_close_timeout": timedelta(hours=12)}
"""Erasing disks and moving data."""

PARKED_FOR = timedelta(days=7)
"""A parked step waits this long for `retry` or `abort`; then the procedure undoes what it did."""

RECOMMENDED_FOR = timedelta(days=14)
"""A recommendation waits this long for operators; when it is still needed then, it is made again."""

SWITCH_ANSWER = timedelta(seconds=90)
"""A switch's answer takes at most this long; then the same change is handed in again (which is harmless)."""

SWITCH_HAND_INS = 5
"""How often a change is handed in before the step parks."""

GATHER = timedelta(milliseconds=200)
"""How long a switch session waits for more changes after the last one came in..."""

GATHER_AT_MOST = timedelta(seconds=2)
"""...and how long at most, however many come."""

BATCH_AT_MOST = 200
"""Changes in one session with a switch."""

REMEMBERED_CALLERS = 300
"""Callers whose last answer a switch session remembers, to answer a repeat without touching the switch."""

HANDS_WITHIN = timedelta(days=30)
"""How long hardware may take to be delivered and installed, before the procedure gives up."""

HANDS_REMINDER = timedelta(days=7)
"""People are told of work in the hall when it has waited for so long without a word."""

CHECKS_PER_RUN = 200
"""Rounds of looking at people's work before a run's history is cut."""

BETWEEN_ROUNDS = timedelta(seconds=2)
"""A breath after a round of moving data that brought nothing."""

PAUSED_FOR = timedelta(days=7)
"""After so long a pause data moves on by itself: an instance between two plans is harder to repair."""

PROOF_HOLDS = timedelta(minutes=15)
"""So long a server is taken to be as empty as it was proven to be; then it is proven anew before it is cleared."""

IDLE_ROUNDS = 20
"""After so many rounds in which nothing got less, moving data has stopped and people are asked."""

LARGEST_MESSAGE = 32 * 1024
"""Bytes of a message from a person."""

REFUSALS_KEPT = 500
"""Refused updates that a run's history keeps; a server takes 2,000 updates of one run, and the good ones need room."""
