"""Ways to cable wrongly, each with what must be found of it. What is drawn at random is drawn from `rng` only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from random import Random

from freehold.lab import PowerAction
from freehold.lab.commands import run
from freehold.lab.network import panel_end
from freehold.lab.testing import ssh
from freehold.models.hall import Cable
from tests.lab.hands import Hands, Verdicts

Pattern = Callable[["Bench"], "Verdicts | None"]
"""Spoils something and says what must be found; None when too little is left for it."""


@dataclass
class Bench:
    """One round of faults side by side. Every cable and every free port is spoiled once at most."""

    hands: Hands
    rng: Random
    owner: Mapping[str, str]
    """Server -> customer."""
    free_ports: list[str]
    died: Callable[[str], None]
    revived: Callable[[str], None]
    cables: list[Cable] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)
    """Devices that must be named because they do not answer."""
    rings: list[frozenset[str]] = field(default_factory=list)
    """Cables that changed places among one another: each must name all of the others."""
    faults: ExitStack = field(default_factory=ExitStack)
    """What is not cured by moving cables: machines that are off, programs that stand still, a hub."""

    def spoil(self, todo: list[Pattern]) -> Verdicts:
        """Make as many of these faults as there are cables for, and take them off the list."""
        self.cables = [c for c in self.hands.lab.hall.cables if c.b.device in self.owner]
        self.rng.shuffle(todo)
        expected: Verdicts = {}
        hubs = [p for p in todo if p is two_neighbours][:1]  # the last: the lab would undo it at the next cable
        for pattern in [*(p for p in todo if p is not two_neighbours), *hubs]:
            must_be_found = pattern(self)
            if must_be_found is not None:
                print(f"  {pattern.__name__}: {must_be_found}")
                expected |= must_be_found
                todo.remove(pattern)
        print(f"  and silent: {self.silent}")
        return expected

    def take(self, *cables: Cable) -> None:
        for cable in cables:
            self.cables.remove(cable)

    def draw(self, count: int) -> list[Cable] | None:
        if len(self.cables) < count:
            return None
        chosen = self.rng.sample(self.cables, count)
        self.take(*chosen)
        return chosen

    def pair(self, fits: Callable[[Cable, Cable], bool]) -> tuple[Cable, Cable] | None:
        pairs = [(one, two) for one in self.cables for two in self.cables if one != two and fits(one, two)]
        if not pairs:
            return None
        chosen = self.rng.choice(pairs)
        self.take(*chosen)
        return chosen

    def free_port(self, switch: str) -> str:
        port = self.rng.choice([p for p in self.free_ports if p.startswith(f"{switch}/")])
        self.free_ports.remove(port)
        return port


def swap(bench: Bench) -> Verdicts | None:
    return _rotate(bench, bench.draw(2))


def rotation(bench: Bench) -> Verdicts | None:
    return _rotate(bench, bench.draw(3))


def exchanged_cards(bench: Bench) -> Verdicts | None:
    return _rotate(bench, bench.pair(lambda one, two: one.b.device == two.b.device))


def _rotate(bench: Bench, cables: Sequence[Cable] | None) -> Verdicts | None:
    if cables is None:
        return None
    bench.hands.pull(*(c.label for c in cables))
    for cable, other in zip(cables, [*cables[1:], cables[0]], strict=True):
        bench.hands.put(cable.label, str(cable.a), str(other.b))
    bench.rings.append(frozenset(c.label for c in cables))
    return {c.label: "swapped with" for c in cables}


def wrong_port(bench: Bench) -> Verdicts | None:
    cables = bench.draw(1)
    return None if cables is None else _into_free_port(bench, *cables)


def _into_free_port(bench: Bench, cable: Cable) -> Verdicts:
    bench.hands.pull(cable.label)
    bench.hands.put(cable.label, bench.free_port(cable.a.device), str(cable.b))
    return {cable.label: "wrong port"}


def forgotten(bench: Bench) -> Verdicts | None:
    cables = bench.draw(1)
    if cables is None:
        return None
    bench.hands.pull(cables[0].label)
    return {cables[0].label: "missing"}


def other_customers_port(bench: Bench) -> Verdicts | None:
    return _displace(bench, bench.pair(lambda one, two: bench.owner[one.b.device] != bench.owner[two.b.device]))


def other_switch(bench: Bench) -> Verdicts | None:
    """The right port on the wrong switch."""
    return _displace(bench, bench.pair(lambda one, two: one.a.port == two.a.port and one.a.device != two.a.device))


def _displace(bench: Bench, pair: tuple[Cable, Cable] | None) -> Verdicts | None:
    """The first is plugged where the second belongs, and the second lies on the floor."""
    if pair is None:
        return None
    one, two = pair
    bench.hands.pull(one.label, two.label)
    bench.hands.put(one.label, str(two.a), str(one.b))
    return {one.label: "wrong port" if one.a.device == two.a.device else "wrong device", two.label: "missing"}


def two_neighbours(bench: Bench) -> Verdicts | None:
    """A hub between. Both cables are one customer's: what a hub joins, no switch can part."""
    pair = bench.pair(lambda one, two: bench.owner[one.b.device] == bench.owner[two.b.device])
    if pair is None:
        return None
    one, two = pair
    bench.hands.pull(two.label)
    bench.faults.enter_context(hub(bench.hands, one, two))
    return {one.label: "duplicate neighbour", two.label: "duplicate neighbour"}


@contextmanager
def hub(hands: Hands, plugged: Cable, pulled: Cable) -> Iterator[None]:
    """What one of three ends sends reaches the other two; afterwards both cables are straight again."""
    lab, panel = hands.lab, hands.lab.names.panel
    ends = [panel_end(lab.hall, end.device, end.port) for end in (plugged.a, plugged.b, pulled.b)]
    last = ends[-1]
    try:
        run("ip", "-n", panel, "link", "set", last, "up")
        run("tc", "-n", panel, "qdisc", "add", "dev", last, "clsact")
        for source in ends:
            first, second = (end for end in ends if end != source)
            run("tc", "-n", panel, "filter", "del", "dev", source, "ingress")
            match = ("protocol", "all", "u32", "match", "u32", "0", "0")
            mirror = ("action", "mirred", "egress", "mirror", "dev", first)
            redirect = ("action", "mirred", "egress", "redirect", "dev", second)
            run("tc", "-n", panel, "filter", "add", "dev", source, "ingress", *match, *mirror, *redirect)
        yield
    finally:
        run("tc", "-n", panel, "qdisc", "del", "dev", last, "clsact", check=False)
        run("ip", "-n", panel, "link", "set", last, "down")
        hands.pull(plugged.label)
        for cable in (plugged, pulled):
            hands.put(cable.label, str(cable.a), str(cable.b))


def dead_server(bench: Bench) -> Verdicts | None:
    cables = bench.pair(lambda one, two: one.b.device == two.b.device)
    if cables is None:
        return None
    server = cables[0].b.device
    bench.died(server)
    bench.hands.lab.power(server, PowerAction.CUT)
    bench.faults.callback(bench.revived, server)
    bench.faults.callback(bench.hands.lab.power, server, PowerAction.ON)
    bench.silent.append(server)
    for switch in {c.a.device for c in cables}:  # as after the minutes that a switch remembers addresses
        run(*bench.hands.lab.machine(switch).entry(), "ovs-appctl", "fdb/flush", "br0")
    return {c.label: "cannot be seen" for c in cables}


def lldp_off(bench: Bench) -> Verdicts | None:
    """At the server's end, and one of its cables is in a wrong port: the switch has learned the card's address."""
    cables = bench.pair(lambda one, two: one.b.device == two.b.device)
    if cables is None:
        return None
    server = cables[0].b.device
    ssh(bench.hands.lab, server, "systemctl stop lldpd")
    bench.faults.callback(ssh, bench.hands.lab, server, "systemctl start lldpd")
    bench.silent.append(server)
    return _into_free_port(bench, cables[0])


PATTERNS: tuple[Pattern, ...] = (
    swap,
    rotation,
    exchanged_cards,
    wrong_port,
    forgotten,
    other_customers_port,
    other_switch,
    two_neighbours,
    dead_server,
    lldp_off,
)
