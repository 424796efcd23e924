"""Counts, latencies and the load of the computer, phase by phase."""

from __future__ import annotations

import math
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

WITH_RETRIES, WITHOUT_RETRIES = "with_retries", "without_retries"
KINDS = (WITH_RETRIES, WITHOUT_RETRIES)

QUICK = frozenset({"put", "get", "head", "list", "copy", "delete"})
"""Operations that carry little: what a whole phase's latencies are about."""

WRONGS = ("lost", "stale", "corrupted", "resurrected", "listings_wrong")
QUIET = "quiet"
FINDINGS_KEPT = 50
RECENT_S = 10.0


@dataclass
class Cpu:
    """Processor time of the whole computer and of this program, since both began."""

    busy: float
    total: float
    own: float

    @classmethod
    def now(cls, stat: Path = Path("/proc/stat")) -> Cpu:
        ticks = [int(word) for word in stat.read_text().partition("\n")[0].split()[1:9]]
        total = sum(ticks) / os.sysconf("SC_CLK_TCK")
        idle = (ticks[3] + ticks[4]) / os.sysconf("SC_CLK_TCK")
        return cls(total - idle, total, time.process_time())

    def shares_since(self, before: Cpu) -> tuple[float, float]:
        """Shares of all cores: used by anybody, used by this program."""
        total = self.total - before.total
        return (0.0, 0.0) if total <= 0 else ((self.busy - before.busy) / total, (self.own - before.own) / total)


@dataclass
class Phase:
    """What happened between two moments. A request belongs to the phase in which it ended."""

    name: str
    judged: bool
    began: float
    cpu: Cpu
    counts: Counter[str] = field(default_factory=Counter)
    latencies: dict[str, list[float]] = field(default_factory=dict)
    seconds: float = 0.0
    shares: tuple[float, float] = (0.0, 0.0)

    def quick(self) -> list[float]:
        return [latency for name in sorted(QUICK) for latency in self.latencies.get(name, ())]

    def summary(self, quiet: float | None) -> dict[str, Any]:
        """All figures; `quiet` is the 99th percentile of the quiet phase."""
        quick = self.quick()
        return {
            "name": self.name,
            "judged": self.judged,
            "seconds": round(self.seconds, 1),
            **counted(self.counts),
            **spread(quick),
            "p99_ratio": ratio(quick, quiet),
            "cpu": round(self.shares[0], 3),
            "client_cpu": round(self.shares[1], 3),
            "operations": {name: spread(each) for name, each in sorted(self.latencies.items())},
        }


class Tally:
    """Shared by all clients."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._phases: list[Phase] = []
        self._recent: deque[tuple[float, float]] = deque()
        self._in_flight: dict[int, tuple[str, str]] = {}
        self._tickets = 0
        self.findings: list[str] = []

    def phase(self, name: str, judged: bool) -> None:
        """What ends from now on belongs to this phase."""
        with self._lock:
            self._end_phase()
            self._phases.append(Phase(name, judged, time.monotonic(), Cpu.now()))

    def begin(self, kind: str, operation: str) -> int:
        with self._lock:
            self._tickets += 1
            self._in_flight[self._tickets] = (kind, operation)
            return self._tickets

    def answered(self, ticket: int, seconds: float, retried: int) -> None:
        with self._lock:
            if (request := self._in_flight.pop(ticket, None)) is None:
                return
            phase, now = self._phases[-1], time.monotonic()
            phase.counts["requests"] += 1
            phase.counts["retried"] += retried > 0
            phase.latencies.setdefault(request[1], []).append(seconds)
            if request[1] in QUICK:
                self._recent.append((now, seconds))
            self._forget(now)

    def failed(self, ticket: int, why: str) -> None:
        with self._lock:
            if (request := self._in_flight.pop(ticket, None)) is None:
                return
            kind, operation = request
            self._phases[-1].counts.update(["requests", "failed", f"failed_{kind}"])
            self._find(f"{operation} {kind.replace('_', ' ')} failed: {why}")

    def give_up(self) -> None:
        """What has no answer by now has failed."""
        with self._lock:
            left = list(self._in_flight)
        for ticket in left:
            self.failed(ticket, "no answer by the end of the run")

    def wrong(self, what: str, how: str, count: int = 1) -> None:
        with self._lock:
            self._phases[-1].counts[what] += count
            self._find(f"{what}: {how}")

    def unchecked(self) -> None:
        """A key whose content could not be read at the end."""
        with self._lock:
            self._phases[-1].counts["unchecked"] += 1

    def progress(self) -> dict[str, Any]:
        """Where it stands, for a display."""
        with self._lock:
            now = time.monotonic()
            self._forget(now)
            phase = self._phases[-1]
            lasts = min(RECENT_S, max(now - self._phases[0].began, 1.0))
            return {
                "phase": phase.name,
                "phase_seconds": round(now - phase.began, 1),
                "seconds": round(now - self._phases[0].began, 1),
                **counted(self._all()),
                "rps": round(len(self._recent) / lasts, 1),
                "p99_ms": spread([seconds for _, seconds in self._recent])["p99_ms"],
            }

    def result(self) -> dict[str, Any]:
        with self._lock:
            self._end_phase()
            quiet = next((quantile(p.quick(), 0.99) for p in self._phases if p.name == QUIET), None)
            judged = [each for p in self._phases if p.judged and p.name != QUIET for each in p.quick()]
            return {
                "seconds": round(sum(p.seconds for p in self._phases), 1),
                **counted(self._all()),
                "p99_ratio": ratio(judged, quiet),
                "phases": [p.summary(quiet) for p in self._phases],
                "findings": self.findings,
            }

    def _all(self) -> Counter[str]:
        return sum((phase.counts for phase in self._phases), Counter())

    def _end_phase(self) -> None:
        if self._phases and not self._phases[-1].seconds:
            phase = self._phases[-1]
            phase.seconds = time.monotonic() - phase.began
            phase.shares = Cpu.now().shares_since(phase.cpu)

    def _forget(self, now: float) -> None:
        while self._recent and now - self._recent[0][0] > RECENT_S:
            self._recent.popleft()

    def _find(self, what: str) -> None:
        if len(self.findings) < FINDINGS_KEPT:
            at = time.strftime("%H:%M:%S", time.gmtime())
            self.findings.append(f"{at} {self._phases[-1].name}: {what}"[:300])


def counted(counts: Counter[str]) -> dict[str, int]:
    names = ("requests", "failed", *(f"failed_{kind}" for kind in KINDS), "retried", *WRONGS, "unchecked")
    return {name: counts[name] for name in names}


def spread(latencies: Iterable[float]) -> dict[str, Any]:
    each = list(latencies)
    return {
        "answered": len(each),
        **{f"{name}_ms": _ms(quantile(each, q)) for name, q in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))},
    }


def quantile(latencies: Iterable[float], q: float) -> float | None:
    """The smallest latency that a share of `q` does not exceed."""
    each = sorted(latencies)
    return each[max(math.ceil(q * len(each)) - 1, 0)] if each else None


def ratio(latencies: Iterable[float], quiet: float | None) -> float | None:
    p99 = quantile(latencies, 0.99)
    return None if p99 is None or not quiet else round(p99 / quiet, 2)


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)
