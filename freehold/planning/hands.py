"""A checklist as it changes: people say what they did, machines say what they found. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime

from freehold.models.cabling import CableFinding, Verdict
from freehold.models.checklist import ConfirmItems, Item, ItemKind, ItemState
from freehold.models.installation import Installed, Reissue
from freehold.models.plan import Plan
from freehold.planning.checklists import item_id

Items = Mapping[str, Item]
"""By id, in the order of the walk."""

ALL = "all"
INSTALLING = (ItemKind.RACK, ItemKind.FEED, ItemKind.CABLE, ItemKind.POWER_ON)
"""Kinds of work for which another port or server may be planned."""
_ASKED = (ItemState.OPEN, ItemState.PROBLEM)


def refusal(items: Items, said: ConfirmItems) -> str:
    """Why this cannot be taken, in one sentence; empty when it can."""
    if not said.done and not said.problems and not said.out_of_use:
        return 'done: name items, e.g. ["power-on:srv-10"], or ["all"]; or give problems: {"item": "why"}'
    if unknown := sorted({*said.done, *said.problems} - {ALL} - items.keys()):
        known = ", ".join(i.id for i in items.values() if i.state in _ASKED) or "none: all are done"
        return f"done: there is no item {unknown[0]!r}; open are {known}"[:500]
    return _refused_problems(said) or _refused_as_out_of_use(items, said)


def _refused_problems(said: ConfirmItems) -> str:
    if both := sorted(set(said.done) & said.problems.keys()):
        return f"problems: {both[0]} cannot be both done and a problem"
    if ALL in said.problems:
        return 'problems: name each item that could not be done; "all" is for done'
    if silent := sorted(name for name, why in said.problems.items() if not why.strip()):
        return f"problems: say why {silent[0]} could not be done"
    return ""


def _refused_as_out_of_use(items: Items, said: ConfirmItems) -> str:
    for thing, why in said.out_of_use.items():
        concerned = {i.id for i in items.values() if i.kind in INSTALLING and needs(i, thing)}
        if not concerned:
            things = dict.fromkeys(
                t for i in items.values() for t in (i.device, str(i.cable.a) if i.cable else i.device)
            )
            return f"out_of_use: {thing!r} is no server and no switch port of this list; it has {', '.join(things)}"[
                :500
            ]
        if not why.strip():
            return f"out_of_use: say why {thing} cannot be used"
        if done := sorted(concerned & set(said.done)):
            return f"out_of_use: {done[0]} cannot be done with {thing}, which is out of use"
    return ""


def needs(item: Item, thing: str) -> bool:
    """Whether an item is about this server or this port of a switch."""
    return item.device == thing or (item.cable is not None and str(item.cable.a) == thing)


def confirm(items: Items, said: ConfirmItems, at: datetime) -> tuple[dict[str, Item], tuple[str, ...]]:
    """The checklist after the message, and the ids that are newly done. What is done already stays as it is."""
    every = {i.id for i in items.values() if i.state is ItemState.OPEN} if ALL in said.done else set()
    after = held_up(items, said.out_of_use, said.operator, at)
    unusable = {name for name in items if after[name] is not items[name]}
    done = (every | set(said.done)) - said.problems.keys() - unusable
    fresh = tuple(i for i in items if i in done and items[i].state in _ASKED)
    for name in fresh:
        after[name] = _said(items[name], ItemState.CONFIRMED, said.operator, at)
    for name, why in said.problems.items():
        if items[name].state is not ItemState.VERIFIED:
            after[name] = _said(items[name], ItemState.PROBLEM, said.operator, at, why.strip()[:500])
    return after, fresh


def _said(item: Item, state: ItemState, by: str, at: datetime, problem: str = "") -> Item:
    return item.model_copy(update={"state": state, "by": by, "at": at, "problem": problem})


def held_up(items: Items, out_of_use: Mapping[str, str], by: str, at: datetime) -> dict[str, Item]:
    """What needs something that is out of use cannot be done, and what was done with it is void."""
    after = dict(items)
    for thing, why in out_of_use.items():
        for name, item in items.items():
            if needs(item, thing):
                problem = f"{thing} is out of use: {why.strip()}"[:500]
                after[name] = _said(item, ItemState.PROBLEM, by, at, problem)
    return after


def exchanged(items: Items, wanted: Iterable[Item]) -> tuple[dict[str, Item], tuple[Item, ...]]:
    """The checklist of a changed plan, and what is withdrawn: what is the same stays as it stands, the rest is new.

    Work that is none of the plan's, like a stray cable, has no place and stays.
    """
    given = {item.id: item for item in wanted}
    gone = tuple(i for i in items.values() if i.place and not _same(i, given.get(i.id)))
    after = {n: items[n] if _same(i, items.get(n)) else _instead_of(i, gone) for n, i in given.items()}
    return after | {n: i for n, i in items.items() if n not in after and i not in gone}, gone


def _same(one: Item, other: Item | None) -> bool:
    return other is not None and (one.device, one.place, one.cable) == (other.device, other.place, other.cable)


def _instead_of(item: Item, gone: Iterable[Item]) -> Item:
    """What was to lead to a broken port may be plugged there already."""
    for old in gone:
        if old.cable and item.cable and old.cable.b == item.cable.b:
            words = f"It replaces cable {old.cable.label}: pull that out of {old.cable.a} and {old.cable.b} first."
            return item.model_copy(update={"replaces": old.cable.a, "instruction": f"{item.instruction} {words}"})
    return item


def change_in_words(before: Plan, after: Plan, gone: Iterable[Item]) -> str:
    """Why the plan was changed, and what is taken instead of what."""
    why = "; ".join(dict.fromkeys(i.problem for i in gone if i.problem))
    servers = [(b.server, a.server) for b, a in zip(before.servers, after.servers, strict=True)]
    ports = {c.b: c.a for c in before.cables}
    moved = [(str(ports[c.b]), str(c.a)) for c in after.cables if c.b in ports]
    taken = ", ".join(f"{new} instead of {old}" for old, new in (*servers, *moved) if old != new)
    return f"{why or 'changed'}: {taken}"


def reopened(items: Items) -> dict[str, Item]:
    """What could not be done is asked for again, once its cause is cured."""
    again = {"state": ItemState.OPEN, "problem": ""}
    return {n: i.model_copy(update=again) if i.state is ItemState.PROBLEM else i for n, i in items.items()}


def verified(items: Items, ids: Iterable[str]) -> dict[str, Item]:
    """Machines saw that these are done. Only what somebody said is done can be."""
    chosen = {i for i in ids if i in items and items[i].state is ItemState.CONFIRMED}
    update = {"state": ItemState.VERIFIED, "finding": "", "moves": ()}
    return {n: i.model_copy(update=update) if n in chosen else i for n, i in items.items()}


def issue_again(item: Item, words: str, finding: CableFinding | None = None) -> Item:
    """The item with what is where now and what to move where."""
    return item.model_copy(
        update={
            "state": ItemState.OPEN,
            "issue": item.issue + 1,
            "finding": words,
            "verdict": finding.verdict if finding else item.verdict,
            "moves": finding.moves if finding else (),
            "by": "",
            "at": None,
        }
    )


def to_judge(items: Items) -> tuple[Item, ...]:
    """Cables that somebody says are plugged, and whose server answers: only then both ends can be seen."""
    waits = {i.device for i in items.values() if i.kind is ItemKind.POWER_ON and i.state is not ItemState.VERIFIED}
    said = (ItemState.CONFIRMED, ItemState.VERIFIED)
    return tuple(i for i in items.values() if i.kind is ItemKind.CABLE and i.state in said and i.device not in waits)


def judged(
    items: Items, asked: Iterable[Item], findings: Iterable[CableFinding]
) -> tuple[dict[str, Item], tuple[Reissue, ...]]:
    """The checklist after the cables were looked at: exactly the wrong ones are issued again.

    A finding about a cable that is nobody's item (one that was pulled by mistake, or should not be there) becomes
    an item.
    """
    found = {item_id(ItemKind.CABLE, f.cable.label): f for f in findings}
    asked_ids = {i.id for i in asked}
    after = dict(items)
    reissued = []
    for name, finding in found.items():
        wrong = finding.verdict is not Verdict.OK
        if wrong and (name in asked_ids or name not in items):
            before = items.get(name) or _stray(finding)
            after[name] = issue_again(before, finding.words, finding)
            reissued.append(
                Reissue(
                    item=name,
                    issue=after[name].issue,
                    verdict=finding.verdict,
                    swapped_with=finding.swapped_with,
                    words=finding.words,
                )
            )
    right = [i for i in asked_ids if i not in found or found[i].verdict is Verdict.OK]
    return verified(after, right), tuple(reissued)


def _stray(finding: CableFinding) -> Item:
    cable = finding.cable
    return Item(
        id=item_id(ItemKind.CABLE, cable.label),
        kind=ItemKind.CABLE,
        device=cable.b.device,
        cable=cable,
        instruction=finding.words,
    )


def count(items: Items, test: Callable[[Item], bool]) -> int:
    return sum(test(i) for i in items.values())


def installed(items: Items, instance: str, by_word: Collection[str] = ()) -> Installed:
    """What the inventory may know by now: mounted by word, switched on and cabled only as machines saw it.

    With `by_word`, of these servers only, and what people say of their cables counts, too.
    """
    said = (ItemState.CONFIRMED, ItemState.VERIFIED)
    chosen = [i for i in items.values() if not by_word or i.device in by_word]
    proven = said if by_word else (ItemState.VERIFIED,)
    return Installed(
        instance=instance,
        mounted=tuple(i.device for i in chosen if i.kind is ItemKind.RACK and i.state in said),
        powered=tuple(i.device for i in chosen if i.kind is ItemKind.POWER_ON and i.state is ItemState.VERIFIED),
        cables=tuple(i.cable.label for i in chosen if i.kind is ItemKind.CABLE and i.cable and i.state in proven),
    )
