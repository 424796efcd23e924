"""What the service acknowledged, key by key, and the judgement of what it says afterwards.

Each key has one writer, so the order of its versions is known. A write whose outcome is unknown makes both what was
before and what it wrote acceptable, until a later write is acknowledged.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

LOST, STALE, RESURRECTED, CORRUPTED = "lost", "stale", "resurrected", "corrupted"

LATE_ARRIVAL_S = 60.0
"""After a write of unknown outcome its key rests: what arrives late must not be taken for something that was lost."""


class Outcome:
    PENDING, DONE, UNKNOWN = range(3)


@dataclass
class Version:
    """One state of a key. Without a digest the key does not exist."""

    digest: str | None
    size: int = 0
    outcome: int = Outcome.PENDING
    ended: float = 0.0


@dataclass
class Key:
    """A key and all that its only writer ever did to it, in order."""

    name: str
    versions: list[Version] = field(default_factory=lambda: [Version(None, outcome=Outcome.DONE)])

    @property
    def last(self) -> Version:
        return self.versions[-1]


class Truth:
    """Shared by all clients."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: dict[str, Key] = {}

    def key(self, name: str) -> Key:
        with self._lock:
            return self._keys.setdefault(name, Key(name))

    def written(self) -> list[Key]:
        """Every key that was ever written."""
        with self._lock:
            return [key for key in self._keys.values() if len(key.versions) > 1]

    def begin_write(self, key: Key, digest: str | None, size: int = 0) -> Version:
        with self._lock:
            version = Version(digest, size)
            key.versions.append(version)
            return version

    def end_write(self, version: Version, known: bool) -> None:
        with self._lock:
            version.outcome = Outcome.DONE if known else Outcome.UNKNOWN
            version.ended = self._clock()

    def may_write(self, key: Key) -> bool:
        """Whether the writer of the key can write it now."""
        with self._lock:
            last = key.last
            return last.outcome == Outcome.DONE or (
                last.outcome == Outcome.UNKNOWN and self._clock() - last.ended > LATE_ARRIVAL_S
            )

    def present(self, key: Key) -> bool:
        """Whether the key exists for certain."""
        with self._lock:
            return key.last.outcome == Outcome.DONE and key.last.digest is not None

    def begin_read(self, key: Key) -> int:
        """The oldest version that an answer to a question asked now may show."""
        with self._lock:
            return self._floor(key)

    def judge(self, key: Key, floor: int, seen: str | None) -> str | None:
        """What is wrong with an answer: the digest that was read, or None for an absent key. None if nothing is."""
        with self._lock:
            acceptable = {version.digest for version in key.versions[floor:]}
            older = {version.digest for version in key.versions[:floor]}
        if seen in acceptable:
            return None
        if seen is None:
            return LOST
        if seen not in older:
            return CORRUPTED
        return RESURRECTED if acceptable == {None} else STALE

    def begin_listing(self, keys: Iterable[Key]) -> list[tuple[Key, int]]:
        with self._lock:
            return [(key, self._floor(key)) for key in keys]

    def judge_listing(self, floors: Iterable[tuple[Key, int]], listed: Mapping[str, int]) -> list[str]:
        """What is wrong with a listing (key to size), one line for each key."""
        wrong, expected = [], set()
        with self._lock:
            for key, floor in floors:
                expected.add(key.name)
                acceptable = {None if v.digest is None else v.size for v in key.versions[floor:]}
                if (seen := listed.get(key.name)) not in acceptable:
                    wrong.append(f"{key.name}: {_size(seen)} instead of {' or '.join(map(_size, acceptable))}")
        return wrong + [f"{name}: never written" for name in listed if name not in expected]

    def _floor(self, key: Key) -> int:
        return max(i for i, version in enumerate(key.versions) if version.outcome == Outcome.DONE)


def _size(size: int | None) -> str:
    return "not listed" if size is None else f"{size} bytes"
