"""An instance's life with faults, in the lab, under the counting client: `python -m tests.life [--fault NAME ...]`.

Compact to distributed, one storage server more, one less, one that dies, one drained, and back to compact; in each
part something else goes wrong. What was acknowledged to a customer must never be lost, old, or back from the dead;
a procedure must end where it should, or say in words what it waits for. Takes a while, and the computer for itself.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import time
from dataclasses import asdict, dataclass
from ipaddress import IPv4Network
from pathlib import Path

from freehold.lab import Lab
from freehold.lab.client import QUIET, ClientResult, CountingClient, Load
from freehold.lab.halls import part, rebase
from freehold.logs import configure_logs
from freehold.models.hall import load_hall
from freehold.settings import LogLevel, Settings
from tests.life.faults import FAULTS, Life
from tests.sweep.provider import INSTANCE, provider, standing
from tests.workflows.rig import ROOT

LAB, MANAGEMENT = "life", IPv4Network("198.18.57.0/24")
DEVICES = ("leaf1", "leaf2", *(f"srv-{n}" for n in range(1, 8)), "acme-host", "beta-host")
QUIET_S = 15
NEVER = ("lost", "stale", "corrupted", "resurrected", "unchecked")
"""Whatever fails, this is 0. A request may fail while a server that it was sent to dies; that is counted, too."""


@dataclass
class Row:
    fault: str
    words: str
    seconds: float
    good: bool
    requests: int = 0
    failed: int = 0
    lost: int = 0
    stale: int = 0
    corrupted: int = 0
    resurrected: int = 0
    listings_wrong: int = 0
    unchecked: int = 0
    p99_ms: float | None = None

    def with_counts(self, result: ClientResult) -> Row:
        for phase in result.phases:
            if phase.name == self.fault:
                counts = {name: getattr(phase, name) for name in COUNTS}
                good = self.good and not any(counts[name] for name in NEVER)
                return Row(self.fault, self.words, self.seconds, good, **counts, p99_ms=phase.p99_ms)
        return self

    def line(self) -> str:
        counts = "".join(f"{getattr(self, name):>9}" for name in COUNTS)
        return f"{self.fault:20}{self.seconds:7.0f}{counts}{self.p99_ms or 0:9.0f}  {'ok' if self.good else 'WRONG'}"


COUNTS = ("requests", "failed", "lost", "stale", "corrupted", "resurrected", "listings_wrong", "unchecked")


async def play(settings: Settings, lab: Lab, faults: tuple[str, ...], away_s: float, load: Load) -> list[Row]:
    played = await provider(settings, lab)
    try:
        assert (await played.approved(await played.provision())).outcome == "active"
        with CountingClient.of(played.inventory, played.secrets, INSTANCE, load) as client:
            await asyncio.to_thread(client.phase, QUIET)
            await asyncio.sleep(QUIET_S)
            rows = [Row(QUIET, "nothing goes wrong", QUIET_S, good=True)]
            for fault in faults:
                rows.append(await disturbed(Life(played, away_s), client, fault))
                if not rows[-1].good:
                    break
            rows.append(Row("check", "everything that was ever written is read back", 0, good=True))
            await asyncio.to_thread(client.phase, "check")
            result = await asyncio.to_thread(client.stop)
        for finding in result.findings:
            print(finding)
        last = result.phases[-1].name
        return [
            (row if row.fault != "check" else Row(last, row.words, 0, good=True)).with_counts(result) for row in rows
        ]
    finally:
        played.inventory.close()


async def disturbed(life: Life, client: CountingClient, fault: str) -> Row:
    await asyncio.to_thread(client.phase, fault)
    began = time.monotonic()
    try:
        words, good = await FAULTS[fault](life), True
    except Exception as error:
        words, good = f"{type(error).__name__}: {error}", False
    row = Row(fault, words, round(time.monotonic() - began, 1), good)
    print(f"{fault}: {row.seconds} s, {words}", flush=True)
    return row


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--fault", nargs="*", default=list(FAULTS), choices=FAULTS, help="these instead of all")
    parser.add_argument("--away-s", type=float, default=60, help="how long a killed server stays away")
    parser.add_argument("--requests-per-s", type=float, default=4, help="of each kind of client")
    parser.add_argument("--json", type=Path, help="write the result to this file, as JSON")
    given = parser.parse_args()
    configure_logs(LogLevel.error)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # clean up then, too
    hall = part(rebase(load_hall(ROOT / "halls" / "lab.yaml"), MANAGEMENT), DEVICES)
    load = Load(requests_per_s=given.requests_per_s, at_most_s=7200)
    with standing(hall, LAB) as (settings, lab):
        rows = asyncio.run(play(settings, lab, tuple(given.fault), given.away_s, load))
    print(f"{'':20}{'s':>7}" + "".join(f"{name.split('_')[0][:8]:>9}" for name in COUNTS) + f"{'p99 ms':>9}")
    for row in rows:
        print(row.line())
    if given.json:
        given.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    return 0 if all(row.good for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
