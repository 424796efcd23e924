"""What was observed of an instance. Bulk data of thousands of instances, so plain and light; it is never stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from freehold.models.scaling import Measure


@dataclass(frozen=True, slots=True)
class Series:
    """Values at times (seconds since 1970, rising). A gap is a time that is missing, NaN stays NaN.

    Instances may share one `times`.
    """

    times: Sequence[float] = ()
    values: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class Observed:
    """One measure of one instance at two distances.

    `recent`: as it was, every `data.step_s` of the policy, at least as far back as `up.window_s`.
    `peaks`: the greatest value within each `data.peak_step_s`, as far back as `data.history_s` if it is foreseen, else
    as `down.window_s`; the time is the end of the step. The last may be of a step that is not over.
    """

    recent: Series = field(default_factory=Series)
    peaks: Series = field(default_factory=Series)


@dataclass(frozen=True, slots=True)
class Usage:
    """All that was observed of one instance in one evaluation."""

    read_at: float
    """The clock of the metrics' server when it answered, seconds since 1970."""
    measures: Mapping[Measure, Observed] = field(default_factory=dict)
    coverage: Series = field(default_factory=Series)
    """For steps of the peaks, the share (0 to 1) in which the instance was seen at all; without a value: enough."""
    measured_at: float | None = None
    """The instance's own clock when it took its newest figures; older than `data.most_age_s`: stale."""
    complaints: tuple[str, ...] = ()
    """What the reader found wrong with the answer, each a sentence: no decision is made then."""
