"""How long it takes to look at the cables of a hall and to judge them.

    python -m benchmarks.cabling [--json] [--switches 100] [--servers 10] [--miswired 0.1] [--answer-ms 500]

Each switch has `servers` servers with one cable each, so 100 and 10 are 1,000 links. A part of the cables is miswired
(swapped, rotated, forgotten, in a wrong port). `judge` is the pure part. `look` also asks every switch and server for
what it sees, many at the same time; they are simulated, and each takes `answer-ms` to answer, as an SSH login does.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from freehold.cables import check
from freehold.devices.sights import AT_ONCE
from freehold.devices.simulated import SimulatedDevices, SimulatedServer, SimulatedSwitch
from freehold.inventory import Inventory
from freehold.logs import configure_logs
from freehold.models.access import Access
from freehold.models.cabling import CablesInput, Sight, Verdict
from freehold.models.hall import Cable, Hall
from freehold.models.network import PortRef
from freehold.planning.cabling import judge
from freehold.settings import LogLevel
from tests.halls import HallBuilder


class SlowDevices(SimulatedDevices):
    """Every session takes its time."""

    answer_s = 0.0

    @contextmanager
    def switch(self, access: Access) -> Iterator[SimulatedSwitch]:
        time.sleep(self.answer_s)
        with super().switch(access) as switch:
            yield switch

    @contextmanager
    def server(self, access: Access) -> Iterator[SimulatedServer]:
        time.sleep(self.answer_s)
        with super().server(access) as server:
            yield server


def make_hall(switches: int, servers: int) -> Hall:
    hall = HallBuilder()
    for rack in range(1, switches + 1):
        hall.rack(f"r{rack}")
        hall.switch(f"leaf{rack}", f"r{rack}")
        for unit in range(1, servers + 1):
            hall.server(f"r{rack}-s{unit}", f"r{rack}", (f"leaf{rack}",), unit=unit, nics=1)
    return hall.build()


def miswire(cables: tuple[Cable, ...], part: float) -> tuple[tuple[Cable, ...], Counter[Verdict]]:
    """The cables as they are plugged, and how many verdicts of each kind they must get."""
    dice = random.Random(1)
    left = dice.sample(cables, round(len(cables) * part))
    wrong: dict[str, Cable | None] = {}
    expected: Counter[Verdict] = Counter()
    while left:
        group = [left.pop() for _ in range(min(dice.choice((1, 1, 2, 3)), len(left)))]
        if len(group) > 1:
            for cable, other in zip(group, (*group[1:], group[0]), strict=True):
                wrong[cable.label] = cable.model_copy(update={"a": other.a})
            expected[Verdict.SWAPPED] += len(group)
        elif dice.random() < 0.5:
            wrong[group[0].label] = None
            expected[Verdict.MISSING] += 1
        else:
            device, port = group[0].a.device, f"swp{63 - int(group[0].a.port.removeprefix('swp'))}"
            wrong[group[0].label] = group[0].model_copy(update={"a": PortRef(device=device, port=port)})
            expected[Verdict.WRONG_PORT] += 1
    expected[Verdict.OK] = len(cables) - expected.total()
    plugged = (wrong.get(cable.label, cable) for cable in cables)
    return tuple(cable for cable in plugged if cable), expected


def sights_of(hall: Hall, plugged: tuple[Cable, ...]) -> list[Sight]:
    ends = {end: other for c in plugged for end, other in ((c.a, c.b), (c.b, c.a))}
    ports = (PortRef(device=d.name, port=port) for d in hall.devices for port in d.port_names())
    return [Sight(port=port, neighbours=(ends[port],) if port in ends else ()) for port in ports]


def measure(switches: int, servers: int, part: float, answer_s: float) -> dict[str, object]:
    hall = make_hall(switches, servers)
    plugged, expected = miswire(hall.cables, part)
    sights = sights_of(hall, plugged)
    began, cpu = time.perf_counter(), time.process_time()
    findings = judge(hall.cables, sights)
    judging, judging_cpu = time.perf_counter() - began, time.process_time() - cpu
    if (found := Counter(f.verdict for f in findings)) != expected:
        raise SystemExit(f"found {found} instead of {expected}")
    with tempfile.TemporaryDirectory() as folder:
        inventory = Inventory(f"sqlite:///{Path(folder)}/inventory.db")
        inventory.import_hall(hall, {d.name: "ssh-ed25519 AAAA" for d in hall.devices})
        devices = SlowDevices(hall.model_copy(update={"cables": plugged}))
        devices.answer_s = answer_s
        began, cpu = time.perf_counter(), time.process_time()
        report = check(inventory, devices, CablesInput())
        looking, looking_cpu = time.perf_counter() - began, time.process_time() - cpu
        inventory.close()
    if (found := Counter(f.verdict for f in report.findings)) != expected:
        raise SystemExit(f"the whole look found {found} instead of {expected}")
    return {
        "switches": switches,
        "servers": switches * servers,
        "links": len(hall.cables),
        "ports": len(sights),
        "miswired": expected.total() - expected[Verdict.OK],
        "verdicts": dict(sorted((verdict.value, number) for verdict, number in expected.items())),
        "judge_s": round(judging, 3),
        "judge_cpu_s": round(judging_cpu, 3),
        "answer_s": answer_s,
        "at_once": AT_ONCE,
        "look_s": round(looking, 3),
        "look_cpu_s": round(looking_cpu, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--switches", type=int, default=100)
    parser.add_argument("--servers", type=int, default=10, help="servers a switch, with one cable each")
    parser.add_argument("--miswired", type=float, default=0.1, help="part of the cables that is plugged wrongly")
    parser.add_argument("--answer-ms", type=int, default=500, help="how long one device takes to answer")
    given = parser.parse_args()
    configure_logs(LogLevel.warning)
    found = measure(given.switches, given.servers, given.miswired, given.answer_ms / 1000)
    if given.json:
        print(json.dumps(found, indent=2))
        return
    print(f"{found['switches']} switches, {found['links']} links, {found['miswired']} of them miswired; all were named")
    print(f"  judging what {found['ports']} ports see: {found['judge_s']} s")
    print(
        f"  asking {found['switches']} switches and {found['servers']} servers, {found['at_once']} at once, "
        f"{found['answer_s']} s each, and judging: {found['look_s']} s"
    )


if __name__ == "__main__":
    main()
