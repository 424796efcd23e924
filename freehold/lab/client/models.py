"""What the counting client is asked for, and what it answers."""

from __future__ import annotations

from pydantic import Field

from freehold.models.base import Model

MIB = 1 << 20


class Load(Model):
    """How much is asked of the endpoint at most; rates are for each kind of client, with and without retries."""

    requests_per_s: float = Field(8, gt=0, le=200)
    workers: int = Field(4, ge=1, le=32)
    """Clients of each kind that make quick requests; the last of them opens a connection for every request."""
    keys: int = Field(40, ge=2, le=10_000)
    """Keys of each of these."""
    object_bytes: int = Field(100_000, ge=2, le=5 * MIB)
    """The largest ordinary object; the smallest is half as large."""
    part_bytes: int = Field(5 * MIB, ge=1, le=64 * MIB)
    """An upload in parts has one of these and a small last one. S3 takes 5 MiB at least."""
    parts_every_s: float = Field(30, gt=0)
    slow_s: float = Field(20, gt=0, le=600)
    """How long a slow transfer lasts."""
    slow_upload_bytes: int = Field(4 * MIB, ge=2, le=64 * MIB)
    slow_download_bytes: int = Field(12 * MIB, ge=2, le=256 * MIB)
    at_most_s: float = Field(1800, gt=0, le=7 * 24 * 3600)
    """The run ends by itself after this time."""
    check_at_most_s: float = Field(300, gt=0)
    """For reading everything back at the end; what was not read by then is `unchecked`."""
    seed: int = 1


class Counts(Model):
    """What a customer minds. Each wrong answer counts once, those of the check at the end included."""

    requests: int
    failed: int
    """The sum of the next two: no good answer, with boto3's default retries or without any."""
    failed_with_retries: int
    failed_without_retries: int
    retried: int
    """Requests that were answered well after boto3 had tried again by itself."""
    lost: int
    """An acknowledged object is not there."""
    stale: int
    """An older version than the acknowledged one."""
    corrupted: int
    """Something that was never written to the key, or body and metadata of different versions."""
    resurrected: int
    """An object whose deletion was acknowledged."""
    listings_wrong: int
    """Entries of listings: missing, of another size, or of a key that does not exist."""
    unchecked: int
    """Keys that could not be read at the end."""

    @property
    def wrong(self) -> dict[str, int]:
        """Everything that must be 0."""
        names = ("failed", "lost", "stale", "corrupted", "resurrected", "listings_wrong", "unchecked")
        return {name: getattr(self, name) for name in names}

    @property
    def clean(self) -> bool:
        """Whether there were requests and nothing was wrong with any of them."""
        return bool(self.requests) and not any(self.wrong.values())


class Latencies(Model):
    """Of requests that were answered."""

    answered: int
    p50_ms: float | None
    p99_ms: float | None
    max_ms: float | None


class PhaseResult(Counts, Latencies):
    """Between two moments that the caller named. Latencies are those of quick requests.

    A request belongs to the phase in which it ended.
    """

    name: str
    judged: bool
    seconds: float
    p99_ratio: float | None
    """Against the quiet phase; None without one."""
    cpu: float
    """Share of all the computer's cores that was in use, by whomever."""
    client_cpu: float
    """The counting client's own part of it."""
    operations: dict[str, Latencies]


class ClientResult(Counts):
    """The verdict. The last phase is the check of everything at the end."""

    seconds: float
    keys: int
    """How many keys were written, and read back at the end."""
    p99_ratio: float | None
    """Of the judged phases together, against the quiet one."""
    phases: tuple[PhaseResult, ...]
    findings: tuple[str, ...]
    """The first things that went wrong, in words."""
    removed: bool
    """Whether the client's bucket is gone."""


class Progress(Counts):
    """Where a run stands; counts are those of the whole run so far."""

    phase: str
    phase_seconds: float
    seconds: float
    rps: float
    """Quick requests answered per second, of the last ten seconds, as is the next."""
    p99_ms: float | None
