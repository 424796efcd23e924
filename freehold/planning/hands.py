"""A checklist as it changes: people say what they did, machines say what they found. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from freehold.models.cabling import CableFinding, Verdict
from freehold.models.checklist import ConfirmItems, Item, ItemKind, ItemState
from freehold.models.installation import Reissue
from freehold.planning.checklists import item_id

Items = Mapping[str, Item]
"""By id, in the order of the walk."""

ALL = "all"
_ASKED = (ItemState.OPEN, ItemState.PROBLEM)


def refusal(items: Items, said: ConfirmItems) -> str:
    """Why this cannot be taken, in one sentence; empty when it can."""
    if not said.done and not said.problems:
        return 'done: name items, e.g. ["power-on:srv-10"], or ["all"]; or give problems: {"item": "why"}'
    if unknown := sorted({*said.done, *said.problems} - {ALL} - items.keys()):
        known = ", ".join(i.id for i in items.values() if i.state in _ASKED) or "none: all are done"
        return f"done: there is no item {unknown[0]!r}; open are {known}"[:500]
    if both := sorted(set(said.done) & said.problems.keys()):
        return f"problems: {both[0]} cannot be both done and a problem"
    if ALL in said.problems:
        return 'problems: name each item that could not be done; "all" is for done'
    if silent := sorted(name for name, why in said.problems.items() if not why.strip()):
        return f"problems: say why {silent[0]} could not be done"
    return ""


def confirm(items: Items, said: ConfirmItems, at: datetime) -> tuple[dict[str, Item], tuple[str, ...]]:
    """The checklist after the message, and the ids that are newly done. What is done already stays as it is."""
    every = {i.id for i in items.values() if i.state is ItemState.OPEN} if ALL in said.done else set()
    done = (every | set(said.done)) - said.problems.keys()
    after = dict(items)
    fresh = tuple(i for i in items if i in done and items[i].state in _ASKED)
    for name in fresh:
        after[name] = _said(items[name], ItemState.CONFIRMED, said.operator, at)
    for name, why in said.problems.items():
        if items[name].state is not ItemState.VERIFIED:
            after[name] = _said(items[name], ItemState.PROBLEM, said.operator, at, why.strip()[:500])
    return after, fresh


def _said(item: Item, state: ItemState, by: str, at: datetime, problem: str = "") -> Item:
    return item.model_copy(update={"state": state, "by": by, "at": at, "problem": problem})


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
