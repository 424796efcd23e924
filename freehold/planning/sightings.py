"""From what single ports see to which ports are linked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import networkx as nx

from freehold.models.cabling import Sight
from freehold.models.hall import Cable
from freehold.models.network import PortRef
from freehold.planning.snapshot import End


@dataclass(frozen=True)
class Seen:
    """Links between ports, whichever end showed them."""

    neighbours: dict[End, set[End]]
    """All that a port sees, or that see it."""
    answered: frozenset[End]
    by_mac: frozenset[End]
    """Ports whose link is known only from the switch's MAC table."""
    joints: tuple[tuple[End, ...], ...]
    """Groups of ports that see more than one another: a hub, or contradicting words."""

    @cached_property
    def joined(self) -> frozenset[End]:
        return frozenset(port for ports in self.joints for port in ports)

    @cached_property
    def link(self) -> dict[End, End]:
        """Both ways, of ports that have exactly one neighbour."""
        return {port: next(iter(others)) for port, others in self.neighbours.items() if port not in self.joined}

    def dark(self, end: End) -> bool:
        """Nothing is known of this port: its device did not say, and nobody sees it."""
        return end not in self.answered and end not in self.link

    def how(self, a: End, b: End) -> str:
        """How a link is known, when not from both ends."""
        if a in self.by_mac or b in self.by_mac:
            return " (known by its MAC address only)"
        silent = [end for end in (a, b) if end not in self.answered]
        return f" (only {'/'.join(b if a in silent else a)} shows it)" if silent else ""

    def note(self, *ends: End) -> str:
        return " (known by its MAC address only)" if any(end in self.by_mac for end in ends) else ""


def see(cables: Sequence[Cable], sights: Sequence[Sight], macs: Mapping[str, PortRef]) -> Seen:
    neighbours: dict[End, set[End]] = {}

    def linked(one: End, other: End) -> None:
        if one != other:  # a port that hears itself is a loop plug, and no cable
            neighbours.setdefault(one, set()).add(other)
            neighbours.setdefault(other, set()).add(one)

    for sight in sights:
        for other in sight.neighbours:
            linked((sight.port.device, sight.port.port), (other.device, other.port))
    answered = frozenset((s.port.device, s.port.port) for s in sights if s.answered)
    found = _by_mac(cables, sights, macs, neighbours, answered)
    for port, nic in found.items():
        linked(port, nic)
    graph: nx.Graph[End] = nx.Graph()
    for port, others in neighbours.items():
        if len(others) > 1:
            graph.add_edges_from((port, other) for other in others)
    return Seen(
        neighbours=neighbours,
        answered=answered,
        by_mac=frozenset(found) | frozenset(found.values()),
        joints=tuple(tuple(sorted(group)) for group in nx.connected_components(graph)),
    )


def _by_mac(
    cables: Sequence[Cable],
    sights: Sequence[Sight],
    macs: Mapping[str, PortRef],
    neighbours: Mapping[End, set[End]],
    answered: Collection[End],
) -> dict[End, End]:
    """Switch port -> the one card whose address it learned, where LLDP shows neither.

    Switches remember addresses for minutes. So this is used only where LLDP of one end cannot be read, and neither for
    cards that two ports learned, as after a move, nor for ports that learned several. Ports that should lead to another
    switch are left out: behind them are addresses of many machines.
    """
    owners = {nic.device for nic in macs.values()}
    far = {(e.device, e.port): o.device for c in cables for e, o in ((c.a, c.b), (c.b, c.a))}
    learned: dict[End, End] = {}
    for sight in sights:
        port = (sight.port.device, sight.port.port)
        cards = {(macs[mac].device, macs[mac].port) for mac in sight.macs if mac in macs}
        cards = {c for c in cards if c not in neighbours and not (sight.answered and c in answered)}
        if len(cards) == 1 and port not in neighbours and (port not in far or far[port] in owners):
            learned[port] = cards.pop()
    times = Counter(learned.values())
    return {port: card for port, card in learned.items() if times[card] == 1}
