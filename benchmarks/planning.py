"""How long a plan takes in a hall of 10,000 servers on 400 switches.

    python -m benchmarks.planning [--json] [--racks 400] [--servers 25] [--rounds 5]

Building and importing the hall are no part of the figures. A plan is made from a snapshot just read, so it
pays for every index that planning builds; the reading of the snapshot from SQLite is stated for itself.
Seconds are wall clock; `cpu` is the processor time of the same work, which other load on the machine does not stretch.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from freehold.inventory import Inventory
from freehold.logs import configure_logs
from freehold.planning.change import UP, plan_change
from freehold.planning.provision import plan_instance
from freehold.settings import LogLevel
from tests.halls import COMPACT, DISTRIBUTED, big_hall, request

T = TypeVar("T")
FIGURES = {
    "read": "reading the snapshot from SQLite",
    "compact": "planning a compact instance",
    "distributed": "planning a distributed instance",
    "change": "planning a change to four storage servers",
    "reserve": "reserving the plan",
}
DISTRIBUTED_MORE = (DISTRIBUTED[0], DISTRIBUTED[1].model_copy(update={"count": 4}))


def timed(work: Callable[[], T]) -> tuple[tuple[float, float], T]:
    """Seconds of wall clock and of processor time, and what came of it."""
    began, cpu = time.perf_counter(), time.process_time()
    result = work()
    return (time.perf_counter() - began, time.process_time() - cpu), result


def measure(racks: int, servers: int, rounds: int) -> dict[str, object]:
    hall = big_hall(racks, servers)
    seconds: dict[str, list[tuple[float, float]]] = {
        "read": [],
        "compact": [],
        "distributed": [],
        "reserve": [],
        "change": [],
    }
    with tempfile.TemporaryDirectory() as folder:
        inventory = Inventory(f"sqlite:///{Path(folder)}/inventory.db")
        importing, _ = timed(lambda: inventory.import_hall(hall, {}))
        for number in range(rounds):
            for name, needs in (("compact", COMPACT), ("distributed", DISTRIBUTED)):
                reading, snapshot = timed(inventory.snapshot)
                wanted = request(f"{name}-{number}")
                planning, plan = timed(lambda w=wanted, n=needs, s=snapshot: plan_instance(w, n, s))  # type: ignore[misc]
                reserving, _ = timed(lambda p=plan: inventory.reserve(p))  # type: ignore[misc]
                seconds["read"].append(reading)
                seconds[name].append(planning)
                seconds["reserve"].append(reserving)
                now = inventory.snapshot()
                changing, _ = timed(lambda p=plan, s=now: plan_change(p, p.request, DISTRIBUTED_MORE, s, UP))  # type: ignore[misc]
                seconds["change"].append(changing)
        inventory.close()
    return {
        "servers": racks * servers,
        "switches": racks,
        "cables": len(hall.cables),
        "rounds": rounds,
        "import_s": round(importing[0], 3),
        **{f"{name}_s": round(statistics.median(s for s, _ in both), 4) for name, both in seconds.items()},
        **{f"{name}_worst_s": round(max(s for s, _ in both), 4) for name, both in seconds.items()},
        **{f"{name}_cpu_s": round(statistics.median(cpu for _, cpu in both), 4) for name, both in seconds.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--racks", type=int, default=400, help="racks, with a leaf switch each")
    parser.add_argument("--servers", type=int, default=25, help="servers a rack")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    configure_logs(LogLevel.warning)
    found = measure(given.racks, given.servers, given.rounds)
    if given.json:
        print(json.dumps(found, indent=2))
        return
    print(f"{found['servers']} servers on {found['switches']} switches, {found['cables']} cables; seconds")
    print(f"  {'':<42} {'median':>8} {'worst':>8} {'cpu':>8}")
    for name, what in FIGURES.items():
        print(f"  {what:<42} {found[f'{name}_s']:>8} {found[f'{name}_worst_s']:>8} {found[f'{name}_cpu_s']:>8}")


if __name__ == "__main__":
    main()
