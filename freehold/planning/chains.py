"""Planned cables and observed links as chains and rings, and which end of which cable moves with the least walking."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from freehold.models.hall import Cable
from freehold.models.network import PortRef
from freehold.planning.snapshot import End

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


def plain(end: PortRef) -> End:
    return end.device, end.port


def chain_of(cable: Cable, planned: Mapping[End, Cable], link: Mapping[End, End]) -> Chain:
    """All that hangs together with a cable."""
    first = Strand(cable, plain(cable.a), plain(cable.b))
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
        a, b = plain(planned[end].a), plain(planned[end].b)
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
        return int(self.source[0] != self.target[0]), int(self.target == plain(self.strand.cable.b))


def moving_right(chain: Chain, index: int) -> Step | None:
    """The cable is the link at its left end: its right end moves."""
    strand, source = chain.strands[index], chain.linked_left(index)
    return Step(strand, strand.left, source, strand.right) if source else None


def moving_left(chain: Chain, index: int) -> Step | None:
    strand, source = chain.strands[index], chain.linked_right(index)
    return Step(strand, strand.right, source, strand.left) if source else None


def known(steps: Sequence[Step | None]) -> list[Step]:
    return [step for step in steps if step]


def total(steps: Sequence[Step]) -> Cost:
    return sum(s.cost[0] for s in steps), sum(s.cost[1] for s in steps)


def _sums(steps: Sequence[Step | None]) -> list[Cost]:
    """The cost of the first 0, 1, 2, ... steps."""
    costs = (step.cost if step else (0, 0) for step in steps)
    return list(accumulate(costs, lambda sum_, cost: (sum_[0] + cost[0], sum_[1] + cost[1]), initial=(0, 0)))


def best_cut(rightwards: Sequence[Step | None], leftwards: Sequence[Step | None]) -> int:
    """One link too many: which one, counted from the left, is no planned cable."""
    before, after = _sums(rightwards), _sums(leftwards[::-1])[::-1]
    return min(range(len(before)), key=lambda i: (before[i][0] + after[i][0], before[i][1] + after[i][1]))


def best_gap(
    rightwards: Sequence[Step | None], leftwards: Sequence[Step | None], unclear: Callable[[int], bool]
) -> int:
    """One link too few: which cable is not plugged; of equally likely ones that of which nothing is known."""
    before, after = _sums(leftwards), _sums(rightwards[::-1])[::-1]
    walks = [(before[i][0] + after[i + 1][0], before[i][1] + after[i + 1][1]) for i in range(len(rightwards))]
    return min(range(len(walks)), key=lambda i: (walks[i], not unclear(i)))
