"""What is plugged where, held against what should be: which cable is wrong, and the fewest moves that cure it.

Every port has at most one planned cable and, when no hub is in between, at most one observed link. So planned cables
and links form chains and rings. Each link is taken for the planned cable that it shares an end with: that end stays and
only the other one moves. In a ring of n wrong cables n moves are enough, and fewer are never enough, because each move
brings at most one cable into place.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from freehold.models.cabling import CableFinding, Move, Sight, Verdict
from freehold.models.hall import Cable
from freehold.models.network import PortRef
from freehold.planning.sightings import Seen, see
from freehold.planning.snapshot import End, natural

Cost = tuple[int, int]
"""Moves to another device, and moves of a server's end: of equally many moves those with the shortest walk."""


@dataclass(frozen=True)
class Strand:
    """A planned cable as a chain passes it, from left to right."""

    cable: Cable
    left: End
    right: End


@dataclass(frozen=True)
class Chain:
    """Strands joined by observed links: `links[i]` ends at the left of strand i, the one after it at its right.

    The first and the last link may be absent. In a ring they are the same.
    """

    strands: tuple[Strand, ...]
    before: End | None
    """What the first strand's left end is linked to."""
    after: End | None
    ring: bool = False

    def linked_left(self, index: int) -> End | None:
        """What the left end of a strand is linked to."""
        return self.strands[index - 1].right if index or self.ring else self.before

    def linked_right(self, index: int) -> End | None:
        last = index == len(self.strands) - 1
        return self.strands[(index + 1) % len(self.strands)].left if self.ring or not last else self.after


def judge(
    cables: Sequence[Cable], sights: Sequence[Sight], macs: Mapping[str, PortRef] | None = None
) -> tuple[CableFinding, ...]:
    """One finding per planned cable and per unexpected one, sorted by label.

    `cables` are all that should be plugged. `macs` says which network card has which address; it is used where a port
    shows no neighbour.
    """
    seen = see(cables, sights, macs or {})
    findings: list[CableFinding] = []
    planned = {_plain(end): cable for cable in cables for end in (cable.a, cable.b)}
    done: set[str] = set()
    for cable in cables:
        if _plain(cable.a) in seen.joined or _plain(cable.b) in seen.joined:
            findings.append(_duplicate(cable, seen))
            done.add(cable.label)
    for cable in cables:
        if cable.label not in done:
            chain = _chain(cable, planned, seen.link)
            done |= {strand.cable.label for strand in chain.strands}
            findings += _judge_chain(chain, seen)
    for end, other in seen.link.items():
        if end < other and end not in planned and other not in planned:
            findings.append(_unexpected(end, other, ()))
    findings += [_joint(ports) for ports in seen.joints if not any(port in planned for port in ports)]
    return tuple(sorted(findings, key=lambda f: natural(f.cable.label)))


def concerning(
    findings: Sequence[CableFinding], labels: Collection[str], devices: Collection[str]
) -> tuple[CableFinding, ...]:
    """Findings about these cables, about those entangled with them, and about unexpected ones at these devices."""
    return tuple(
        f
        for f in findings
        if f.cable.label in labels
        or any(label in labels for label in f.entangled)
        or (f.verdict is Verdict.UNEXPECTED and {f.cable.a.device, f.cable.b.device} & set(devices))
    )


def _plain(end: PortRef) -> End:
    return end.device, end.port


def _ref(end: End) -> PortRef:
    return PortRef(device=end[0], port=end[1])


def _text(end: End) -> str:
    return "/".join(end)


# -- chains


def _chain(cable: Cable, planned: Mapping[End, Cable], link: Mapping[End, End]) -> Chain:
    """All that hangs together with a cable."""
    first = Strand(cable, _plain(cable.a), _plain(cable.b))
    right, after = _follow(first, planned, link)
    if after == first.left:
        return Chain((first, *right), None, None, ring=True)
    left, before = _follow(Strand(cable, first.right, first.left), planned, link)
    turned = [Strand(s.cable, s.right, s.left) for s in reversed(left)]
    return Chain((*turned, first, *right), before, after)


def _follow(first: Strand, planned: Mapping[End, Cable], link: Mapping[End, End]) -> tuple[list[Strand], End | None]:
    """The strands to the right of `first`, and the port at which no further one begins."""
    found: list[Strand] = []
    end = link.get(first.right)
    while end is not None and end in planned and end != first.left:
        a, b = _plain(planned[end].a), _plain(planned[end].b)
        found.append(Strand(planned[end], end, b if end == a else a))
        end = link.get(found[-1].right)
    return found, end


@dataclass(frozen=True)
class Step:
    """One end of a strand's cable moves, the other stays."""

    strand: Strand
    stays: End
    source: End
    target: End

    @property
    def cost(self) -> Cost:
        return int(self.source[0] != self.target[0]), int(self.target == _plain(self.strand.cable.b))


def _judge_chain(chain: Chain, seen: Seen) -> list[CableFinding]:
    strands = chain.strands
    if chain.ring and len(strands) == 1:
        return [_right(strands[0], seen)]
    rightwards = [_moving_right(chain, i) for i in range(len(strands))]
    leftwards = [_moving_left(chain, i) for i in range(len(strands))]
    if chain.ring:
        return _rotation(min((_known(rightwards), _known(leftwards)), key=_total), seen)
    missing, surplus = None, None
    if chain.before and chain.after:
        cut = _best_cut(rightwards, leftwards)
        steps = _known(rightwards[:cut] + leftwards[cut:])
        surplus = (
            (chain.before if cut == 0 else strands[cut - 1].right),
            (chain.after if cut == len(strands) else strands[cut].left),
        )
    elif chain.before:
        steps = _known(rightwards)
    elif chain.after:
        steps = _known(leftwards)
    else:
        dark = [i for i, s in enumerate(strands) if seen.dark(s.left) or seen.dark(s.right)]
        gap = _best_gap(rightwards, leftwards, dark or range(len(strands)))
        steps = _known([*leftwards[:gap], *rightwards[gap + 1 :]])
        missing = strands[gap]
    return _findings(steps, missing, surplus, seen)


def _moving_right(chain: Chain, index: int) -> Step | None:
    """The cable is the link at its left end: its right end moves."""
    strand, source = chain.strands[index], chain.linked_left(index)
    return Step(strand, strand.left, source, strand.right) if source else None


def _moving_left(chain: Chain, index: int) -> Step | None:
    strand, source = chain.strands[index], chain.linked_right(index)
    return Step(strand, strand.right, source, strand.left) if source else None


def _known(steps: Sequence[Step | None]) -> list[Step]:
    return [step for step in steps if step]


def _total(steps: Sequence[Step]) -> Cost:
    return sum(s.cost[0] for s in steps), sum(s.cost[1] for s in steps)


def _sums(steps: Sequence[Step | None]) -> list[Cost]:
    """The cost of the first 0, 1, 2, ... steps."""
    costs = (step.cost if step else (0, 0) for step in steps)
    return list(accumulate(costs, lambda sum_, cost: (sum_[0] + cost[0], sum_[1] + cost[1]), initial=(0, 0)))


def _best_cut(rightwards: Sequence[Step | None], leftwards: Sequence[Step | None]) -> int:
    """One link too many: which one, counted from the left, is no planned cable."""
    before, after = _sums(rightwards), _sums(leftwards[::-1])[::-1]
    return min(range(len(before)), key=lambda i: (before[i][0] + after[i][0], before[i][1] + after[i][1]))


def _best_gap(rightwards: Sequence[Step | None], leftwards: Sequence[Step | None], among: Sequence[int]) -> int:
    """One link too few: which cable is not plugged."""
    before, after = _sums(leftwards), _sums(rightwards[::-1])[::-1]
    return min(among, key=lambda i: (before[i][0] + after[i + 1][0], before[i][1] + after[i + 1][1]))


# -- findings and their words


def _right(strand: Strand, seen: Seen) -> CableFinding:
    how = seen.how(strand.left, strand.right)
    return CableFinding(
        cable=strand.cable,
        verdict=Verdict.OK,
        words=f"{strand.cable.label} is as planned: {strand.cable.a} - {strand.cable.b}{how}.",
    )


def _move(step: Step) -> Move:
    return Move(cable=step.strand.cable.label, from_port=_ref(step.source), to_port=_ref(step.target))


def _rotation(steps: list[Step], seen: Seen) -> list[CableFinding]:
    """Cables that changed places among one another, each named with the others in the order of the ring."""
    at = {step.target: step for step in steps}
    ring = [steps[0]]
    while (following := at[ring[-1].source]) is not steps[0]:
        ring.append(following)
    labels = [step.strand.cable.label for step in ring]
    moves = tuple(map(_move, ring))
    what = f"{_listed(labels)} are swapped" if len(ring) == 2 else f"{_listed(labels)} are rotated"
    now = ", ".join(f"{s.strand.cable.label} is in {_text(s.source)}" for s in ring)
    then = ", ".join(f"{s.strand.cable.label} into {_text(s.target)}" for s in ring)
    both = "both" if len(ring) == 2 else f"all {len(ring)}"
    words = f"{what}: {now}{seen.note(*(s.source for s in ring))}. Pull {both} there, then plug {then}; "
    return [
        CableFinding(
            cable=step.strand.cable,
            verdict=Verdict.SWAPPED,
            words=words + f"the other end of {step.strand.cable.label}, {_text(step.stays)}, stays.",
            swapped_with=(*labels[i + 1 :], *labels[:i]),
            entangled=(*labels[i + 1 :], *labels[:i]),
            moves=moves,
        )
        for i, step in enumerate(ring)
    ]


def _findings(
    steps: list[Step], missing: Strand | None, surplus: tuple[End, End] | None, seen: Seen
) -> list[CableFinding]:
    """Findings of an open chain: every end that moves, what is not plugged, what is too many."""
    labels = [s.strand.cable.label for s in steps] + ([missing.cable.label] if missing else [])
    holders = {step.source: step.strand.cable.label for step in steps}
    if surplus:
        labels.append(unexpected_label(*surplus))
        holders |= dict.fromkeys(surplus, labels[-1])

    def others(label: str) -> tuple[str, ...]:
        return tuple(other for other in labels if other != label)

    found = [_misplaced(step, holders, others(step.strand.cable.label), seen) for step in steps]
    if missing:
        found.append(_absent(missing, holders, others(missing.cable.label), seen))
    if surplus:
        found.append(_unexpected(*surplus, others(labels[-1])))
    return found


def _misplaced(step: Step, holders: Mapping[End, str], others: tuple[str, ...], seen: Seen) -> CableFinding:
    label = step.strand.cable.label
    same = step.source[0] == step.target[0]
    target = step.target[1] if same else _text(step.target)
    first = _first_pull(holders, step.target)
    return CableFinding(
        cable=step.strand.cable,
        verdict=Verdict.WRONG_PORT if same else Verdict.WRONG_DEVICE,
        words=(
            f"{label} is in {_text(step.source)} instead of {target}{seen.note(step.source)}. {first}Move that end "
            f"from {_text(step.source)} to {_text(step.target)}; the other end, {_text(step.stays)}, stays."
        ),
        entangled=others,
        moves=(_move(step),),
    )


def _absent(strand: Strand, holders: Mapping[End, str], others: tuple[str, ...], seen: Seen) -> CableFinding:
    cable = strand.cable
    dark = [end for end in (_plain(cable.a), _plain(cable.b)) if seen.dark(end)]
    if dark:
        silent = " and ".join(dict.fromkeys(end[0] for end in dark))
        lit = [end for end in (_plain(cable.a), _plain(cable.b)) if end not in dark]
        rest = "".join(_occupied(end, holders) for end in lit)
        return CableFinding(
            cable=cable,
            verdict=Verdict.UNKNOWN,
            words=(
                f"{cable.label} ({cable.a} - {cable.b}) cannot be seen: {silent} shows no neighbours{rest}. Check that "
                f"{silent} is on, reachable and runs LLDP, and that {cable.label} is plugged at both ends."
            ),
            entangled=others,
        )
    now = "; ".join(_occupied(end, holders).removeprefix(", ") for end in (_plain(cable.a), _plain(cable.b)))
    return CableFinding(
        cable=cable,
        verdict=Verdict.MISSING,
        words=(
            f"{cable.label} is not plugged: {now}. {_first_pull(holders, _plain(cable.a), _plain(cable.b))}"
            f"Plug it into {cable.a} and {cable.b}."
        ),
        entangled=others,
        moves=tuple(Move(cable=cable.label, from_port=None, to_port=end) for end in (cable.a, cable.b)),
    )


def _occupied(end: End, holders: Mapping[End, str]) -> str:
    return f", {_text(end)} holds {holders[end]}" if end in holders else f", {_text(end)} sees nothing"


def _first_pull(holders: Mapping[End, str], *targets: End) -> str:
    return "".join(f"Pull {holders[end]} out of {_text(end)} first. " for end in targets if end in holders)


def _unexpected(a: End, b: End, others: tuple[str, ...]) -> CableFinding:
    a, b = sorted((a, b))
    return CableFinding(
        cable=Cable(label=unexpected_label(a, b), a=_ref(a), b=_ref(b), type="unknown", colour="unknown"),
        verdict=Verdict.UNEXPECTED,
        words=f"A cable leads from {_text(a)} to {_text(b)}, where none should be. Pull it out at both ends.",
        entangled=others,
    )


def unexpected_label(a: End, b: End) -> str:
    """What a cable without a plan is called; ports that sort differently give the same name."""
    return f"unknown at {_text(min(a, b))}"[:64]


def _duplicate(cable: Cable, seen: Seen) -> CableFinding:
    ports = next(ports for ports in seen.joints if _plain(cable.a) in ports or _plain(cable.b) in ports)
    return CableFinding(cable=cable, verdict=Verdict.DUPLICATE, words=_joined_words(ports, seen, cable))


def _joined_words(ports: Sequence[End], seen: Seen, cable: Cable) -> str:
    own = [end for end in (_plain(cable.a), _plain(cable.b)) if end in ports]
    many = [end for end in own if len(seen.neighbours.get(end, ())) > 1] or own
    sees = "; ".join(f"{_text(end)} sees {_listed(sorted(map(_text, seen.neighbours[end])))}" for end in many)
    return (
        f"{cable.label} ({cable.a} - {cable.b}) shares a port with others: {sees}. Take out what joins them and plug "
        f"{cable.label} straight from {cable.a} to {cable.b}."
    )


def _joint(ports: Sequence[End]) -> CableFinding:
    a, b = sorted(ports)[:2]
    words = f"{_listed([_text(p) for p in ports])} are joined, where no cable should be. Pull all of them out."
    return _unexpected(a, b, ()).model_copy(update={"words": words})


def _listed(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else "".join(words)
