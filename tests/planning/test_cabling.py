"""Random plans, random faults: every fault is named, nothing else is, and the fewest moves cure them all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from itertools import permutations

from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.models.cabling import CableFinding, Sight, Verdict
from freehold.models.hall import Cable
from freehold.models.network import PortRef
from freehold.planning.cabling import concerning, judge, near

Link = frozenset[PortRef]
LEAVES, PORTS, SERVERS, NICS = 3, 8, 6, 2
FAULTS = ("swap", "rotate", "wrong port", "forget", "wrong server", "other switch", "foreign", "duplicate")


def ref(text: str) -> PortRef:
    return PortRef.parse(text)


ALL_PORTS = [ref(f"leaf{i + 1}/swp{p + 1}") for i in range(LEAVES) for p in range(PORTS)]
ALL_NICS = [ref(f"srv-{i + 1}/eth{n + 1}") for i in range(SERVERS) for n in range(NICS)]


def make_plan(ports: Sequence[PortRef], nics: Sequence[PortRef]) -> tuple[Cable, ...]:
    return tuple(Cable(label=f"N-{i + 1}", a=a, b=b) for i, (a, b) in enumerate(zip(ports, nics, strict=False)))


def links_of(cables: Iterable[Cable]) -> dict[str, Link]:
    return {c.label: frozenset((c.a, c.b)) for c in cables}


def look(links: Iterable[Link], silent: Iterable[str] = (), deaf: Iterable[str] = ()) -> tuple[Sight, ...]:
    """What all ports see. A silent device cannot be asked; a deaf one neither, and sends nothing either."""
    seen: dict[PortRef, list[PortRef]] = {}
    for link in links:
        for one in link:
            seen.setdefault(one, []).extend(other for other in link - {one} if other.device not in deaf)
    dark = {*silent, *deaf}
    return tuple(
        Sight(
            port=port,
            neighbours=() if port.device in dark else tuple(seen.get(port, ())),
            answered=port.device not in dark,
        )
        for port in (*ALL_PORTS, *ALL_NICS)
    )


def cured(links: Iterable[Link], findings: Iterable[CableFinding]) -> set[Link]:
    """What is plugged after the technician did what the findings say, and nothing more."""
    loose: list[set[PortRef]] = [set(link) for link in links]
    moves = dict.fromkeys(move for f in findings for move in f.moves)
    for finding in findings:
        if finding.verdict is Verdict.UNEXPECTED:
            assert {finding.cable.a, finding.cable.b} in loose, "it tells to pull what is not there"
            loose.remove({finding.cable.a, finding.cable.b})
    in_hand: dict[str, set[PortRef]] = {}
    for move in moves:
        if move.from_port is None:
            in_hand.setdefault(move.cable, set())
        else:
            cable = next(link for link in loose if move.from_port in link)
            cable.remove(move.from_port)
            in_hand[move.cable] = cable
    for move in moves:
        assert not any(move.to_port in link for link in [*loose, *in_hand.values()]), "it plugs into a port in use"
        in_hand[move.cable].add(move.to_port)
    new = [link for label, link in in_hand.items() if link not in loose]
    return {frozenset(link) for link in [*loose, *new]}


def work(findings: Iterable[CableFinding]) -> int:
    """How many cable ends are touched; pulling a strange cable out touches two."""
    moves = {move for f in findings for move in f.moves}
    return len(moves) + 2 * sum(f.verdict is Verdict.UNEXPECTED for f in findings)


def least_work(cables: Sequence[Cable], links: Sequence[Link]) -> int:
    """By trying every way to take links for planned cables with which they share an end."""
    wanted = [frozenset((c.a, c.b)) for c in cables]

    @cache
    def rest(index: int, used: frozenset[int]) -> int:
        if index == len(wanted):
            return 2 * (len(links) - len(used))
        ways = [2 + rest(index + 1, used)]
        for number, link in enumerate(links):
            if number not in used and (common := len(link & wanted[index])):
                ways.append(2 - common + rest(index + 1, used | {number}))
        return min(ways)

    return rest(0, frozenset())


plans = st.builds(
    make_plan,
    st.permutations(ALL_PORTS).map(lambda ports: ports[:9]),
    st.permutations(ALL_NICS).map(lambda nics: nics[:9]),
)


def free(all_ports: Sequence[PortRef], links: dict[str, Link], cables: Sequence[Cable]) -> list[PortRef]:
    used = {port for link in links.values() for port in link} | {end for c in cables for end in (c.a, c.b)}
    return [port for port in all_ports if port not in used]


class Technician:
    """Makes mistakes, each on cables of its own, and knows what the verdict on each cable must be."""

    def __init__(self, cables: Sequence[Cable], draw: st.DataObject) -> None:
        self.cables, self.draw = list(cables), draw
        self.links = links_of(cables)
        self.extra: list[Link] = []
        self.truth = dict.fromkeys(self.links, Verdict.OK)
        self.untouched = list(cables)
        self.unexpected = 0
        self.rotations: list[tuple[str, ...]] = []

    def take(self, number: int) -> list[Cable]:
        return [self.untouched.pop() for _ in range(number)]

    def make(self, fault: str) -> None:
        number = {"swap": 2, "rotate": 3, "foreign": 0}.get(fault, 1)
        if len(self.untouched) < number:
            return
        mine = self.take(number)
        if number > 1:
            for cable, other in zip(mine, (*mine[1:], mine[0]), strict=True):
                self.put(cable, Verdict.SWAPPED, frozenset((other.a, cable.b)))
            self.rotations.append(tuple(c.label for c in mine))
        elif fault == "foreign":
            switch, nic = self.any(ALL_PORTS), self.any(ALL_NICS)
            if switch and nic:
                self.extra.append(frozenset((switch, nic)))
                self.unexpected += 1
        elif fault == "forget":
            self.truth[mine[0].label] = Verdict.MISSING
            del self.links[mine[0].label]
        else:
            self.misplace(fault, mine[0])

    def misplace(self, fault: str, cable: Cable) -> None:
        if fault == "wrong port" and (port := self.any(p for p in ALL_PORTS if p.device == cable.a.device)):
            self.put(cable, Verdict.WRONG_PORT, frozenset((port, cable.b)))
        elif fault == "other switch" and (port := self.any(p for p in ALL_PORTS if p.device != cable.a.device)):
            self.put(cable, Verdict.WRONG_DEVICE, frozenset((port, cable.b)))
        elif fault == "wrong server" and (nic := self.any(n for n in ALL_NICS if n.device != cable.b.device)):
            self.put(cable, Verdict.WRONG_DEVICE, frozenset((cable.a, nic)))
        elif fault == "duplicate" and (nic := self.any(ALL_NICS)):
            self.put(cable, Verdict.DUPLICATE, frozenset((cable.a, cable.b, nic)))

    def put(self, cable: Cable, verdict: Verdict, link: Link) -> None:
        self.links[cable.label], self.truth[cable.label] = link, verdict

    def any(self, ports: Iterable[PortRef]) -> PortRef | None:
        links = {**self.links, **{str(n): link for n, link in enumerate(self.extra)}}
        found = free(list(ports), links, self.cables)
        return self.draw.draw(st.sampled_from(found)) if found else None

    @property
    def plugged(self) -> list[Link]:
        return [*self.links.values(), *self.extra]


@given(plans, st.lists(st.sampled_from(FAULTS), max_size=6), st.data())
@settings(max_examples=400, deadline=None)
def test_every_fault_is_named_and_nothing_else(
    cables: tuple[Cable, ...], faults: list[str], data: st.DataObject
) -> None:
    technician = Technician(cables, data)
    for fault in faults:
        technician.make(fault)
    findings = judge(cables, look(technician.plugged))
    named = {f.cable.label: f.verdict for f in findings if f.verdict is not Verdict.UNEXPECTED}
    assert named == technician.truth
    assert sum(f.verdict is Verdict.UNEXPECTED for f in findings) == technician.unexpected
    for rotation in technician.rotations:
        for index, label in enumerate(rotation):
            finding = next(f for f in findings if f.cable.label == label)
            assert finding.swapped_with in (
                (*rotation[index + 1 :], *rotation[:index]),
                (*rotation[:index][::-1], *rotation[index + 1 :][::-1]),
            )
    for finding in findings:
        assert (finding.verdict is Verdict.OK) <= (not finding.moves)
        if finding.verdict not in (Verdict.OK, Verdict.UNEXPECTED):
            assert finding.cable.label in finding.words
            assert str(finding.cable.a) in finding.words or str(finding.cable.b) in finding.words


@given(plans, st.permutations(ALL_PORTS), st.permutations(ALL_NICS), st.integers(0, 12), st.booleans())
@settings(max_examples=400, deadline=None)
def test_the_moves_cure_any_tangle_with_the_least_work(
    cables: tuple[Cable, ...], ports: list[PortRef], nics: list[PortRef], number: int, switch_to_server: bool
) -> None:
    """Not made of single faults: any cabling at all, however entangled, also between switches or between servers."""
    cables = cables[:6]
    some = sorted({c.a for c in cables}, key=str) + [p for p in ports if p not in {c.a for c in cables}][:4]
    others = sorted({c.b for c in cables}, key=str) + [n for n in nics if n not in {c.b for c in cables}][:4]
    order = {port: i for i, port in enumerate((*ports, *nics))}
    tangle = sorted(
        (*some, *others), key=order.__getitem__ if switch_to_server else lambda port: order[port] * 7919 % 37
    )
    half = len(tangle) // 2
    links = [frozenset(pair) for pair in zip(tangle[:half], tangle[half:], strict=False)][:number]
    findings = judge(cables, look(links))
    assert cured(links, findings) == set(links_of(cables).values())
    assert work(findings) == least_work(cables, links)
    assert all(f.verdict is Verdict.OK for f in judge(cables, look(cured(links, findings))))


@given(plans, st.lists(st.sampled_from(FAULTS[:6]), max_size=4), st.data())
@settings(max_examples=200, deadline=None)
def test_one_end_that_cannot_be_asked_changes_no_verdict(
    cables: tuple[Cable, ...], faults: list[str], data: st.DataObject
) -> None:
    """It still sends; what its neighbours see is enough. Only of a cable that is not plugged nothing can be said."""
    technician = Technician(cables, data)
    for fault in faults:
        technician.make(fault)
    silent = data.draw(st.sampled_from(["leaf1", "srv-1", "srv-2"]))
    findings = judge(cables, look(technician.plugged, silent=[silent]))
    for finding in findings:
        expected = technician.truth[finding.cable.label]
        if expected is Verdict.MISSING and silent in (finding.cable.a.device, finding.cable.b.device):
            expected = Verdict.UNKNOWN
        assert finding.verdict is expected


@given(plans, st.lists(st.sampled_from(FAULTS), max_size=4), st.sets(st.sampled_from(ALL_PORTS + ALL_NICS)), st.data())
@settings(max_examples=200, deadline=None)
def test_cables_that_nobody_told_of_change_no_verdict(
    cables: tuple[Cable, ...], faults: list[str], asked: set[PortRef], data: st.DataObject
) -> None:
    technician = Technician(cables, data)
    for fault in faults:
        technician.make(fault)
    devices = {port.device for port in asked}
    sights = [s for s in look(technician.plugged) if s.port.device in devices]
    labels = data.draw(st.sets(st.sampled_from([c.label for c in cables])))
    some = near(cables, labels, sights, {})
    assert concerning(judge(some, sights), labels, devices) == concerning(judge(cables, sights), labels, devices)


def test_lldp_off_at_one_end_is_made_up_for_by_the_mac_table() -> None:
    cables = make_plan([ref("leaf1/swp1"), ref("leaf1/swp2")], [ref("srv-1/eth1"), ref("srv-2/eth1")])
    macs = {"02:00:00:00:00:01": ref("srv-1/eth1"), "02:00:00:00:00:02": ref("srv-2/eth1")}
    sights = look(links_of(cables).values(), deaf=["srv-1"])
    unknown, right = judge(cables, sights, macs)
    assert (unknown.verdict, right.verdict) == (Verdict.UNKNOWN, Verdict.OK)
    assert unknown.words == (
        "N-1 (leaf1/swp1 - srv-1/eth1) cannot be seen: srv-1 shows no neighbours, leaf1/swp1 sees nothing. Check that "
        "srv-1 is on, reachable and runs LLDP, and that N-1 is plugged at both ends."
    )
    learned = Sight(port=ref("leaf1/swp1"), macs=("02:00:00:00:00:01",))
    known, _ = judge(cables, [s for s in sights if s.port != learned.port] + [learned], macs)
    assert known.verdict is Verdict.OK
    assert "known by its MAC address only" in known.words
    elsewhere = Sight(port=ref("leaf1/swp5"), macs=("02:00:00:00:00:01",))
    wrong, _ = judge(cables, [s for s in sights if s.port != elsewhere.port] + [elsewhere], macs)
    assert wrong.verdict is Verdict.WRONG_PORT
    assert [(str(m.from_port), str(m.to_port)) for m in wrong.moves] == [("leaf1/swp5", "leaf1/swp1")]


def test_an_address_that_a_switch_still_remembers_hides_no_missing_cable() -> None:
    (cable,) = cables = make_plan([ref("leaf1/swp1")], [ref("srv-1/eth1")])
    sights = [Sight(port=cable.a, macs=("02:00:00:00:00:01",)), Sight(port=cable.b)]
    (finding,) = judge(cables, sights, {"02:00:00:00:00:01": cable.b})
    assert finding.verdict is Verdict.MISSING


def test_a_dead_switch_does_not_turn_a_swap_into_a_wrong_server() -> None:
    """Whose server's end shows up in a port is that server's cable, also when the other one cannot be seen."""
    cables = make_plan([ref("leaf1/swp1"), ref("leaf2/swp1")], [ref("srv-1/eth1"), ref("srv-2/eth1")])
    links = [frozenset((cables[0].a, cables[1].b)), frozenset((cables[1].a, cables[0].b))]
    first, second = judge(cables, look(links, deaf=["leaf2"]))
    assert (first.verdict, second.verdict) == (Verdict.MISSING, Verdict.WRONG_DEVICE)
    assert "Pull N-2 out of leaf1/swp1 first. Plug it into leaf1/swp1 and srv-1/eth1." in first.words
    assert [(str(m.from_port), str(m.to_port)) for m in second.moves] == [("leaf1/swp1", "leaf2/swp1")]


def test_addresses_behind_a_trunk_are_no_neighbours() -> None:
    trunk = Cable(label="T-1", a=ref("leaf1/swp8"), b=ref("leaf2/swp8"))
    macs = {"02:00:00:00:00:01": ref("srv-1/eth1")}
    sights = [Sight(port=ref("leaf1/swp8"), macs=tuple(macs)), Sight(port=ref("leaf2/swp8"), answered=False)]
    (finding,) = judge([trunk], sights, macs)
    assert finding.verdict is Verdict.UNKNOWN


def test_a_rotation_of_three_is_told_as_one() -> None:
    ports, nics = [ref(f"leaf1/swp{n}") for n in (1, 2, 3)], [ref(f"srv-{n}/eth1") for n in (1, 2, 3)]
    cables = make_plan(ports, nics)
    links = [frozenset((ports[(i + 1) % 3], nics[i])) for i in range(3)]
    first, second, third = judge(cables, look(links))
    assert first.swapped_with == ("N-2", "N-3")
    assert first.moves == second.moves == third.moves
    assert first.words == (
        "N-1, N-2 and N-3 are rotated: N-1 is in leaf1/swp2, N-2 is in leaf1/swp3, N-3 is in leaf1/swp1. Pull all 3 "
        "there, then plug N-1 into leaf1/swp1, N-2 into leaf1/swp2, N-3 into leaf1/swp3; the other end of N-1, "
        "srv-1/eth1, stays."
    )


def test_two_cards_of_one_server_are_exchanged_at_the_server() -> None:
    """Their switch ends are in different racks: nobody has to walk."""
    cables = make_plan([ref("leaf1/swp1"), ref("leaf2/swp1")], [ref("srv-1/eth1"), ref("srv-1/eth2")])
    links = [frozenset((cables[0].a, cables[1].b)), frozenset((cables[1].a, cables[0].b))]
    first, _ = judge(cables, look(links))
    assert {(str(m.from_port), str(m.to_port)) for m in first.moves} == {
        ("srv-1/eth2", "srv-1/eth1"),
        ("srv-1/eth1", "srv-1/eth2"),
    }


def test_what_holds_the_port_is_named_and_pulled_first() -> None:
    cables = make_plan([ref("leaf1/swp1"), ref("leaf1/swp2")], [ref("srv-1/eth1"), ref("srv-2/eth1")])
    links = [frozenset((ref("leaf1/swp2"), ref("srv-1/eth1"))), frozenset((ref("leaf1/swp7"), ref("srv-2/eth1")))]
    first, second = judge(cables, look(links))
    assert first.words == (
        "N-1 is in leaf1/swp2 instead of swp1. Move that end from leaf1/swp2 to leaf1/swp1; the other end, srv-1/eth1, "
        "stays."
    )
    assert "Pull N-1 out of leaf1/swp2 first." in second.words
    assert concerning((first, second), {"N-2"}, ()) == (first, second), "who is in the way belongs to it"


def test_a_foreign_device_between_is_a_duplicate_and_a_strange_cable_is_named() -> None:
    (cable,) = cables = make_plan([ref("leaf1/swp1")], [ref("srv-1/eth1")])
    hub = frozenset((cable.a, cable.b, ref("laptop/x-1")))
    (finding,) = judge(cables, look([hub]))
    assert finding.verdict is Verdict.DUPLICATE
    assert "leaf1/swp1 sees laptop/x-1 and srv-1/eth1" in finding.words
    right, strange = judge(cables, look([frozenset((cable.a, cable.b)), frozenset((ref("leaf1/swp2"), ref("pc/x-1")))]))
    assert right.verdict is Verdict.OK
    assert strange.words == ("A cable leads from leaf1/swp2 to pc/x-1, where none should be. Pull it out at both ends.")
    assert concerning((right, strange), {"N-1"}, {"srv-1"}) == (right,), "it is at none of our devices"


def test_the_order_of_what_is_given_makes_no_difference() -> None:
    cables = make_plan(ALL_PORTS[:3], ALL_NICS[:3])
    links = [frozenset((ALL_PORTS[1], ALL_NICS[0])), frozenset((ALL_PORTS[2], ALL_NICS[1]))]
    expected = [(f.cable.label, f.verdict) for f in judge(cables, look(links))]
    for some in permutations(cables):
        assert [(f.cable.label, f.verdict) for f in judge(some, look(links)[::-1])] == expected
