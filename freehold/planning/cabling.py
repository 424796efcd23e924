"""What is plugged where, held against what should be: which cable is wrong, and the fewest moves that cure it.

Every port has at most one planned cable and, when no hub is in between, at most one observed link. So planned cables
and links form chains and rings. Each link is taken for the planned cable that it shares an end with: that end stays and
only the other one moves. In a ring of n wrong cables n moves are enough, and fewer are never enough, because each move
brings at most one cable into place.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from freehold.models.cabling import CableFinding, Move, Sight, Verdict
from freehold.models.hall import Cable
from freehold.models.network import PortRef
from freehold.planning.chains import (
    Chain,
    Step,
    Strand,
    best_cut,
    best_gap,
    chain_of,
    known,
    moving_left,
    moving_right,
    plain,
    total,
)
from freehold.planning.sightings import Seen, see
from freehold.planning.snapshot import End, natural


def judge(
    cables: Sequence[Cable], sights: Sequence[Sight], macs: Mapping[str, PortRef] | None = None
) -> tuple[CableFinding, ...]:
    """One finding per planned cable and per unexpected one, sorted by label.

    `cables` are all that should be plugged. `macs` says which network card has which address; it is used where a port
    shows no neighbour.
    """
    seen = see(cables, sights, macs or {})
    findings: list[CableFinding] = []
    planned = {plain(end): cable for cable in cables for end in (cable.a, cable.b)}
    done: set[str] = set()
    for cable in cables:
        if plain(cable.a) in seen.joined or plain(cable.b) in seen.joined:
            findings.append(_duplicate(cable, seen))
            done.add(cable.label)
    for cable in cables:
        if cable.label not in done:
            chain = chain_of(cable, planned, seen.link)
            done |= {strand.cable.label for strand in chain.strands}
            findings += _judge_chain(chain, seen)
    for end, other in seen.link.items():
        if end < other and end not in planned and other not in planned:
            findings.append(_unexpected(end, other, ()))
    findings += [_joint(ports) for ports in seen.joints if not any(port in planned for port in ports)]
    return tuple(sorted(findings, key=lambda f: natural(f.cable.label)))


def near(
    cables: Sequence[Cable], labels: Collection[str], sights: Sequence[Sight], macs: Mapping[str, PortRef]
) -> tuple[Cable, ...]:
    """These cables and those at ports of which devices told something: no other can be entangled with them, and to
    judge all of a big hall for one server's takes long."""
    told = {s.port for s in sights}
    told.update(other for s in sights for other in s.neighbours)
    told.update(macs[mac] for s in sights for mac in s.macs if mac in macs)
    return tuple(c for c in cables if c.label in labels or c.a in told or c.b in told)


def concerning(
    findings: Sequence[CableFinding], labels: Collection[str], devices: Collection[str]
) -> tuple[CableFinding, ...]:
    """Findings about these cables, about those entangled with them, and about unexpected ones at these devices."""
    return tuple(
        f
        for f in findings
        if f.cable.label in labels
        or any(label in labels for label in f.entangled)
        or (f.verdict is Verdict.UNEXPECTED and (f.cable.a.device in devices or f.cable.b.device in devices))
    )


def _ref(end: End) -> PortRef:
    return PortRef(device=end[0], port=end[1])


def _text(end: End) -> str:
    return "/".join(end)


def _judge_chain(chain: Chain, seen: Seen) -> list[CableFinding]:
    strands = chain.strands
    if chain.ring and len(strands) == 1:
        return [_right(strands[0], seen)]
    rightwards = [moving_right(chain, i) for i in range(len(strands))]
    leftwards = [moving_left(chain, i) for i in range(len(strands))]
    if chain.ring:
        return _rotation(min((known(rightwards), known(leftwards)), key=total), seen)
    missing, surplus = None, None
    if chain.before and chain.after:
        cut = best_cut(rightwards, leftwards)
        steps = known(rightwards[:cut] + leftwards[cut:])
        surplus = (
            (chain.before if cut == 0 else strands[cut - 1].right),
            (chain.after if cut == len(strands) else strands[cut].left),
        )
    elif chain.before:
        steps = known(rightwards)
    elif chain.after:
        steps = known(leftwards)
    else:
        gap = best_gap(rightwards, leftwards, lambda i: seen.dark(strands[i].left) or seen.dark(strands[i].right))
        steps = known([*leftwards[:gap], *rightwards[gap + 1 :]])
        missing = strands[gap]
    return _findings(steps, missing, surplus, seen)


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
    dark = [end for end in (plain(cable.a), plain(cable.b)) if seen.dark(end)]
    if dark:
        silent = " and ".join(dict.fromkeys(end[0] for end in dark))
        lit = [end for end in (plain(cable.a), plain(cable.b)) if end not in dark]
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
    now = "; ".join(_occupied(end, holders).removeprefix(", ") for end in (plain(cable.a), plain(cable.b)))
    return CableFinding(
        cable=cable,
        verdict=Verdict.MISSING,
        words=(
            f"{cable.label} is not plugged: {now}. {_first_pull(holders, plain(cable.a), plain(cable.b))}"
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
    ports = next(ports for ports in seen.joints if plain(cable.a) in ports or plain(cable.b) in ports)
    return CableFinding(cable=cable, verdict=Verdict.DUPLICATE, words=_joined_words(ports, seen, cable))


def _joined_words(ports: Sequence[End], seen: Seen, cable: Cable) -> str:
    own = [end for end in (plain(cable.a), plain(cable.b)) if end in ports]
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
