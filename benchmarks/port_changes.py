"""60 port changes of 60 callers on one real switch: one session for all, one session each, and netmiko by hand.

Boots a leaf switch with 60 ports in a lab of its own, so it needs root. Every way starts from closed ports.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import structlog
import yaml

sys.path.insert(0, str(Path(__file__).parent.parent))
from freehold.devices.base import Secrets, Switch
from freehold.devices.switches import open_switch
from freehold.devices.switches.changes import apply_changes
from freehold.devices.switches.terminal import ANSWER_TIMEOUT_S, open_terminal
from freehold.lab.testing import HALL, small_lab
from freehold.models.access import Access
from freehold.models.network import PortChange, PortConfig, PortMode, SwitchChange, SwitchChangeResult, SwitchState
from tests.devices.switches.lab import reach

CHANGES = 60
PORTS = [f"swp{n}" for n in range(1, CHANGES + 1)]


@dataclass(frozen=True)
class Row:
    way: str
    sessions: int
    applies: int
    saves: int
    """What the driver was asked; Open vSwitch itself keeps what it is told without one."""
    reads: int
    seconds: float
    ratio: float = 1.0
    """Times the seconds of the first way."""


class Counted:
    """Hands out sessions with the switch and counts what is done with them."""

    def __init__(self, access: Access, secrets: Secrets) -> None:
        self._access, self._secrets = access, secrets
        self.sessions = self.applies = self.saves = self.reads = 0

    @contextmanager
    def session(self) -> Iterator[Switch]:
        self.sessions += 1
        with open_switch(self._access, self._secrets) as switch:
            for method in ("read", "apply", "save"):
                setattr(switch, method, self._counting(method, getattr(switch, method)))
            yield switch

    def by_hand(self, commands: Sequence[str]) -> None:
        """As scripts do it: every command a line, each waiting for the prompt; nothing is read first or read back."""
        self.sessions += 1
        with open_terminal(self._access, self._secrets, "ovs_linux", ANSWER_TIMEOUT_S) as terminal:
            for command in commands:
                self.applies += 1
                answer = terminal.send_command(f"sudo {command}")
                if "ovs-vsctl:" in str(answer):
                    raise SystemExit(f"{command}: {answer}")

    def row(self, way: str, seconds: float) -> Row:
        return Row(way, self.sessions, self.applies, self.saves, self.reads, round(seconds, 2))

    def _counting(self, what: str, method: Callable[..., object]) -> Callable[..., object]:
        name = {"read": "reads", "apply": "applies", "save": "saves"}[what]

        def counted(*given: object) -> object:
            setattr(self, name, getattr(self, name) + 1)
            return method(*given)

        return counted


def measure(access: Access, secrets: Secrets) -> list[Row]:
    opened = [
        _change(n, PortConfig(mode=PortMode.ACCESS, vlan=200 + n, description=f"caller-{n}")) for n in range(CHANGES)
    ]
    closed = [_change(n, PortConfig()) for n in range(CHANGES)]
    with open_switch(access, secrets) as switch:
        before = switch.read()
        commands = [command for change in opened for command in switch.render(before, [change])]
        apply_changes(switch, opened)
        wanted = switch.read()
        apply_changes(switch, closed)

    def in_one_session(count: Counted) -> None:
        with count.session() as switch:
            _must(apply_changes(switch, opened))

    def one_session_each(count: Counted) -> None:
        for change in opened:
            with count.session() as switch:
                _must(apply_changes(switch, [change]))

    ways: dict[str, Callable[[Counted], None]] = {
        "one session for all": in_one_session,
        "one session each": one_session_each,
        "netmiko by hand, one session": lambda count: count.by_hand(commands),
    }
    rows = []
    for way, run in ways.items():
        count = Counted(access, secrets)
        began = time.perf_counter()
        run(count)
        rows.append(count.row(way, time.perf_counter() - began))
        _check_and_close(access, secrets, wanted, closed)
    return [Row(**{**asdict(row), "ratio": round(row.seconds / rows[0].seconds, 1)}) for row in rows]


def _change(number: int, config: PortConfig) -> SwitchChange:
    return SwitchChange(switch="leaf1", ports=(PortChange(port=PORTS[number], config=config),))


def _must(results: Sequence[SwitchChangeResult]) -> None:
    bad = [result for result in results if not (result.ok and result.changed)]
    if bad:
        raise SystemExit(f"a change was not made: {bad[0]}")


def _check_and_close(access: Access, secrets: Secrets, wanted: SwitchState, closed: Sequence[SwitchChange]) -> None:
    with open_switch(access, secrets) as switch:
        if switch.read() != wanted:
            raise SystemExit("the switch is not as wanted")
        apply_changes(switch, closed)


def _wide_hall(folder: Path) -> Path:
    """The lab's hall with more ports on its first leaf switch, all of them closed."""
    hall = yaml.safe_load(HALL.read_text())
    leaf = next(device for device in hall["devices"] if device["name"] == "leaf1")
    leaf["ports"] = [{"name": port} for port in PORTS]
    file = folder / "hall.yaml"
    file.write_text(yaml.safe_dump(hall))
    return file


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    as_json = parser.parse_args().json
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with (
        tempfile.TemporaryDirectory(prefix="freehold-benchmark-") as folder,
        small_lab("bench", "198.18.33.0/24", ["leaf1"], hall=_wide_hall(Path(folder))) as lab,
    ):
        rows = measure(*reach(lab, "leaf1"))
    together = rows[0]
    good = (together.sessions, together.saves) == (1, 1)
    if as_json:
        print(json.dumps({"changes": CHANGES, "rows": [asdict(row) for row in rows], "goal_reached": good}))
    else:
        heads = f"{'sessions':>9}{'reads':>7}{'applies':>9}{'saves':>7}{'seconds':>9}{'ratio':>7}"
        print(f"{f'{CHANGES} port changes':31}{heads}")
        for r in rows:
            print(f"{r.way:31}{r.sessions:>9}{r.reads:>7}{r.applies:>9}{r.saves:>7}{r.seconds:>9}{r.ratio:>7}")
        print(f"The goal is 1 session and 1 save: {'reached' if good else 'MISSED'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
