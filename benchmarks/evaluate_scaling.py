"""How long it takes to decide about 10,000 instances.

    python benchmarks/evaluate_scaling.py [--json] [--instances 10000]

One instance in five stands somewhere in one of the ten shapes of the simulations, where most ask for a change; the
others are a third to two thirds full, with weeks, noise and slow growth of their own. A real Prometheus on the same
computer has all of it in its blocks, which takes some minutes to prepare.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import TypeVar

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.long_history import remembering
from freehold.logs import configure_logs
from freehold.metrics.prometheus import Prometheus
from freehold.metrics.reading import read_usage
from freehold.models.scaling import Contract, Decision, LeadTime, Measure, Mode, Standing
from freehold.models.scaling_policy import ScalingPolicy
from freehold.models.units import DAY_S
from freehold.models.usage import Observed, Series, Usage
from freehold.planning.scaling.decision import decide
from freehold.planning.scaling.replay import TRACE_GIB
from freehold.planning.scaling.simulation import sized
from freehold.planning.scaling.traces import CAPACITY, traces
from freehold.planning.snapshot import collecting_later
from freehold.services import service
from freehold.settings import LogLevel

T = TypeVar("T")
GOAL_S = 10.0
LEAD = LeadTime(usual_s=10 * DAY_S, late_s=14 * DAY_S)


QUIETLY = {
    Measure.CAPACITY: float(TRACE_GIB * 2**30),
    Measure.OBJECTS: 1e6,
    Measure.ERRORS: 0.0,
    Measure.LATENCY: 0.05,
}
"""What is read, too, and asks for nothing here."""


def timed(work: Callable[[], T]) -> tuple[float, float, T]:
    """Seconds of wall clock and of processor time, and what came of it."""
    began, cpu = time.perf_counter(), time.process_time()
    result = work()
    return time.perf_counter() - began, time.process_time() - cpu, result


def memory_mib() -> float:
    """The most that this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def fleet(count: int, policy: ScalingPolicy, now: float) -> Iterator[tuple[Standing, Usage]]:
    """Instances that stand somewhere in the ten traces, each with noise of its own."""
    chosen, chance = service("object-storage"), random.Random(6)
    request = sized(chosen, "object-storage", "distributed", TRACE_GIB)
    carries = chosen.size(request).requests_per_s
    days, recents = policy.data.history_s // policy.data.peak_step_s, policy.up.window_s // policy.data.step_s + 1
    end = math.ceil(now / policy.data.peak_step_s) * policy.data.peak_step_s
    ends = tuple(float(end - policy.data.peak_step_s * i) for i in range(days - 1, -1, -1))
    lately = tuple(now - policy.data.step_s * i for i in range(recents - 1, -1, -1))
    whole = Series(ends, (1.0,) * days)
    shapes = [[max(t.true.values[i : i + 4]) for i in range(0, len(t.true.values), 4)] for t in traces()]
    changed_at = datetime.fromtimestamp(ends[0], UTC)

    def observed(shape: list[float], at: int, unit: float, noise: float) -> Observed:
        peaks = tuple(max(0.0, v + chance.gauss(0, noise)) * unit for v in shape[at : at + days])
        return Observed(Series(lately, (peaks[-1] * 0.98,) * recents), Series(ends, peaks))

    for number in range(count):
        moved = number % 5 == 0
        shape = shapes[number // 5 % len(shapes)] if moved else quiet(chance, len(shapes[0]))
        at = chance.randrange(len(shape) - days)
        stored = observed(shape, at, TRACE_GIB * 2**30 / CAPACITY, 0.5)
        asked = observed(quiet(chance, len(shapes[0])), at, carries / CAPACITY, 3.0)
        measures = {
            Measure.STORED: stored,
            Measure.REQUESTS: asked,
            Measure.DISK: observed(shape, at, 0.9 / CAPACITY / 3, 0.5),
            Measure.CPU: observed(shape, at, 0.7 / CAPACITY / 3, 0.5),
        }
        for measure, value in QUIETLY.items():
            measures[measure] = Observed(Series(lately, (value,) * recents))
        name = f"bench-{number}"
        standing = Standing(request=request.model_copy(update={"instance": name}), changed_at=changed_at)
        yield standing, Usage(read_at=now, measures=measures, coverage=whole, measured_at=now)


def quiet(chance: random.Random, days: int) -> list[float]:
    level, growth, wave = chance.uniform(33, 66), chance.uniform(-0.02, 0.05), chance.uniform(0, 4)
    return [level + growth * day + wave * math.sin(day / 7 * 2 * math.pi) for day in range(days)]


def evaluate(
    prometheus: Prometheus, standings: list[Standing], policy: ScalingPolicy
) -> tuple[float, float, list[Decision]]:
    """One evaluation: seconds of reading, seconds of deciding, and the decisions."""
    with collecting_later():
        names = [standing.instance for standing in standings]
        reading, _, usage = timed(lambda: read_usage(prometheus, names, policy, time.time()))
        deciding, _, made = timed(lambda: decide_all([(s, usage[s.instance]) for s in standings], policy))
    return reading, deciding, made


def decide_all(instances: list[tuple[Standing, Usage]], policy: ScalingPolicy) -> list[Decision]:
    chosen, contract = service("object-storage"), Contract(mode=Mode.APPROVE)
    now = datetime.now(UTC)
    with collecting_later():
        return [decide(chosen, standing, usage, policy, contract, LEAD, now) for standing, usage in instances]


def measure(count: int) -> dict[str, object]:
    policy, began = ScalingPolicy(), time.time()
    standings = [standing for standing, _ in fleet(count, policy, began)]
    some = list(fleet(50, policy, began))
    importing, _, _ = timed(lambda: import_module("statsmodels.regression.linear_model"))
    with_library = memory_mib()
    decide_all(some, policy)
    known = ((standing.instance, usage) for standing, usage in fleet(count, policy, began))
    with remembering(known, began) as url, Prometheus(url) as prometheus:
        cpu = time.process_time()
        reading, deciding, decisions = evaluate(prometheus, standings, policy)
        cpu = time.process_time() - cpu
        queries = prometheus.asked
    return {
        "instances": count,
        "read_s": round(reading, 2),
        "decide_s": round(deciding, 2),
        "seconds": round(reading + deciding, 2),
        "cpu_s": round(cpu, 2),
        "goal_s": GOAL_S,
        "queries": queries,
        "forecasts": sum(len(d.forecasts) for d in decisions),
        "decisions": dict(Counter(d.action.value for d in decisions)),
        "import_s": round(importing, 2),
        "memory_library_mib": round(with_library),
        "memory_mib": round(memory_mib()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--instances", type=int, default=10_000)
    given = parser.parse_args()
    configure_logs(LogLevel.warning)
    found = measure(given.instances)
    if given.json:
        print(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        print(f"{name:<22} {value}")


if __name__ == "__main__":
    main()
