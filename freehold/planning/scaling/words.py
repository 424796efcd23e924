"""Figures as people say them."""

from __future__ import annotations

from datetime import UTC, datetime

_UNITS = ((86400, "day", "days"), (3600, "hour", "hours"), (60, "minute", "minutes"), (1, "second", "seconds"))


def span(seconds: float) -> str:
    """`3 days`, `90 minutes`: in the greatest unit of which there are at least 1.5, or that fits exactly."""
    for length, one, many in _UNITS:
        count = seconds / length
        if count >= 1.5 or round(count, 6) == 1:
            return f"{count:.2g} {many if round(count, 1) != 1 else one}" if count < 10 else f"{count:,.0f} {many}"
    return f"{seconds:.2g} seconds"


def ago(seconds: float) -> str:
    return f"{span(seconds)} ago"


def percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def when(at: float) -> datetime:
    """A time in seconds since 1970."""
    return datetime.fromtimestamp(at, UTC)


def day(at: float) -> str:
    return f"{when(at):%Y-%m-%d}"


def moment(at: float) -> str:
    return f"{when(at):%Y-%m-%d %H:%M} UTC"
