"""The tables of docs/benchmarks.md, from the results in benchmarks/results: `python -m docs.programs.benchmarks`.

With the names of benchmarks it runs those first: `python -m docs.programs.benchmarks planning port_changes`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from docs.programs.marked import fill, table

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks/results"
PAGE = ROOT / "docs/benchmarks.md"

Result = dict[str, Any]


def port_changes(found: Result) -> str:
    rows = [(r["way"], r["sessions"], r["saves"], f"{r['seconds']:.2f} s", f"{r['ratio']:.1f}") for r in found["rows"]]
    return table(("way", "sessions", "saves", "time", "times the first way"), rows)


def planning(found: Result) -> str:
    rows = [
        ("plan one compact instance (1 server)", f"{found['compact_s']:.2f} s", f"{found['compact_worst_s']:.2f} s"),
        ("plan one distributed instance", f"{found['distributed_s']:.2f} s", f"{found['distributed_worst_s']:.2f} s"),
        ("read the hall from the inventory", f"{found['read_s']:.2f} s", f"{found['read_worst_s']:.2f} s"),
        ("reserve", f"{found['reserve_s'] * 1000:.1f} ms", f"{found['reserve_worst_s'] * 1000:.1f} ms"),
    ]
    size = f"{found['servers']:,} servers, {found['switches']} switches, {found['cables']:,} cables:\n\n"
    return size + table(("what", f"median of {found['rounds']}", "worst"), rows)


def mariadb_objects(found: Result) -> str:
    rows = [
        (r["method"], r["size"], f"{r['mariadb_ms']:.1f} ms", f"{r['disk_ms']:.1f} ms", f"{r['speed']:.2f}")
        for r in found["rows"]
    ]
    return table(("request", "size", "in MariaDB", "on disk", "speed against disk"), rows)


def provisioning(found: Result) -> str:
    rows = [
        (
            *(r["what"], r["workflows"], r["activities"], f"{r['seconds']:.1f} s", r["activities_per_s"]),
            *(f"{r['worker_ms']:.1f} ms", f"{r['server_ms']:.1f} ms", r["events"], f"{r['history_kib']:.0f} KiB"),
        )
        for r in found["rows"]
    ]
    spent = ("worker's CPU", "server's CPU", "events", "history")
    told = table(("what", "workflows", "activities", "time", "activities a second", *spent), rows)
    return f"{told}\n\nRatio {found['ratio']}; goal {found['goal']}."


def consolidation(found: Result) -> str:
    rows = [
        (
            r["way"],
            f"{r['mib']:.0f} MiB",
            f"{r['seconds']:.1f} s",
            f"{r['mib_per_s']:.1f} MiB/s",
            f"{r['p99_ms']:.0f} ms",
        )
        for r in found["rows"]
    ]
    told = table(("way", "moved", "time", "rate", "customers' p99"), rows)
    wrong = ", ".join(f"{count} {what}" for what, count in found["wrong"].items()) or "nothing wrong"
    return (
        f"{told}\n\nRatio {found['ratio']}, the median of {len(found['ratios'])}; goal {found['goal']}. "
        f"Customers' p99 in the quiet time before: {found['quiet_p99_ms']:.0f} ms; while every storage server only "
        f"computed, on the same processors: {found['busy_p99_ms']:.0f} ms. Of {found['requests']:,} requests: {wrong}."
    )


def evaluate_scaling(found: Result) -> str:
    rows = [
        ("ask Prometheus", f"{found['read_s']:.1f} s", f"{found['queries']} questions"),
        ("decide", f"{found['decide_s']:.1f} s", f"{found['forecasts']:,} forecasts"),
        ("together", f"{found['seconds']:.1f} s", f"{found['cpu_s']:.1f} s of a core; goal: {found['goal_s']:.0f} s"),
        ("import of the library, once a process", f"{found['import_s']:.1f} s", f"{found['memory_library_mib']} MiB"),
    ]
    made = ", ".join(f"{count:,} {action}" for action, count in sorted(found["decisions"].items()))
    told = f"{found['instances']:,} instances: {made}. Memory at most {found['memory_mib']:,} MiB."
    return f"{told}\n\n{table(('what', 'time', 'with'), rows)}"


TABLES: dict[str, Callable[[Result], str]] = {
    "port_changes": port_changes,
    "planning": planning,
    "mariadb_objects": mariadb_objects,
    "provisioning": provisioning,
    "evaluate_scaling": evaluate_scaling,
    "consolidation": consolidation,
}


def run(name: str) -> None:
    """Run one benchmark and keep what it printed, with the load that the computer had before."""
    load, began = os.getloadavg()[0], datetime.now(UTC)
    words = [sys.executable, "-m", f"benchmarks.{name}", "--json"]
    done = subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if not done.stdout:  # a missed goal is an exit code of 1 too, and is published
        raise SystemExit(f"benchmark {name} ended with exit code {done.returncode}")
    kept = {
        "benchmark": name,
        "at": f"{began:%Y-%m-%d %H:%M:%S} UTC",
        "cores": os.cpu_count(),
        "load_before": round(load, 2),
        "result": json.loads(done.stdout),
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(kept, indent=1) + "\n")


def main(names: Sequence[str]) -> None:
    for name in names:
        run(name)
    parts = {}
    for name, make in TABLES.items():
        file = RESULTS / f"{name}.json"
        if not file.exists():
            parts[name] = f"Not measured yet: `python -m docs.programs.benchmarks {name}`."
            continue
        kept = json.loads(file.read_text())
        note = f"_{kept['at']}, {kept['cores']} cores, load before the run {kept['load_before']}._"
        parts[name] = f"{make(kept['result'])}\n\n{note}"
    fill(PAGE, parts)


if __name__ == "__main__":
    main(sys.argv[1:])
