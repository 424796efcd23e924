"""A checklist in people's hands: takes their words in and shows what is open."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from freehold.models.cabling import CableFinding
    from freehold.models.checklist import Checklist, ConfirmItems, Item, ItemKind, ItemState
    from freehold.models.installation import Installed, Progress, Reissue, ReplanInput, Replanned, ServerCheck
    from freehold.models.plan import Plan
    from freehold.models.removal import Removed
    from freehold.planning import hands
    from freehold.planning.checklists import item_id
    from freehold.planning.removal import removed


class ChecklistInHands:
    """The state of one checklist. What it means is decided in `freehold.planning.hands`."""

    def __init__(self, checklist: Checklist, before: Progress | None = None) -> None:
        self._head = checklist
        self._items: dict[str, Item] = {i.id: i for i in checklist.items}
        self.reissued = list(before.reissued) if before else []
        self.changes = list(before.changes) if before else []
        self._stuck = before.stuck if before else ""
        self.to_planner = before.to_planner if before else None
        """What people say cannot be used, until something else is planned."""
        self.fresh = any(i.state is ItemState.CONFIRMED for i in checklist.items) or self.to_planner is not None
        """Whether something was said since machines looked last."""

    @classmethod
    def going_on(cls, before: Progress) -> ChecklistInHands:
        """As an earlier run of the same procedure left it."""
        return cls(before.checklist, before)

    # -- people

    def checklist(self) -> Checklist:
        return self._head.model_copy(update={"items": tuple(self._items.values())})

    def refuse(self, said: ConfirmItems) -> str:
        return hands.refusal(self._items, said)

    def accept(self, said: ConfirmItems) -> str:
        if said.out_of_use:
            self._tell_planner(said)
        self._items, done = hands.confirm(self._items, said, workflow.now())
        self.fresh = self.fresh or bool(done) or bool(said.problems) or bool(said.out_of_use)
        parts = [
            f"{len(done)} noted as done" if done else "",
            f"{len(said.problems)} go to the operators" if said.problems else "",
            f"something else is planned instead of {', '.join(said.out_of_use)}" if said.out_of_use else "",
        ]
        return "; ".join([p for p in parts if p] or ["known already"]) + f"; {self.count(ItemState.OPEN)} open"

    def reopen_problems(self) -> None:
        """After `retry`: what could not be done is asked for again; what could not be planned is planned again."""
        self._items = hands.reopened(self._items)
        if self._stuck:
            self.to_planner = ReplanInput(standing=Installed(instance=self._head.instance))
            self.fresh = True

    # -- the planner

    def _tell_planner(self, said: ConfirmItems) -> None:
        told = self.to_planner or ReplanInput(standing=Installed(instance=self._head.instance))
        why = {thing: f"{words.strip()[:200]} ({said.operator})" for thing, words in said.out_of_use.items()}
        by_word = hands.installed(self._items, self._head.instance, by_word=said.out_of_use.keys())
        standing = told.standing.model_copy(
            update={
                "mounted": (*told.standing.mounted, *by_word.mounted),
                "cables": (*told.standing.cables, *by_word.cables),
            }
        )
        self.to_planner = ReplanInput(out_of_use={**told.out_of_use, **why}, standing=standing)

    def planned_anew(self, answered: ReplanInput, found: Replanned, before: Plan) -> None:
        """Take the changed plan's checklist; or ask operators when there is nothing else to be had."""
        if self.to_planner is answered:  # nothing else was said meanwhile
            self.to_planner = None
        self._stuck = found.stuck
        if found.stuck:
            self._items = hands.held_up(self._items, found.out_of_use, "the planner", workflow.now())
            return
        self._items, gone = hands.exchanged(self._items, found.checklist.items)
        if found.plan.hash != before.hash:
            self.changes.append(hands.change_in_words(before, found.plan, gone))

    # -- machines

    def servers_to_check(self) -> list[str]:
        """Servers that somebody says are on, and of which something is not yet proven."""
        mounting = (ItemKind.RACK, ItemKind.FEED, ItemKind.POWER_ON)
        said = (ItemState.CONFIRMED, ItemState.VERIFIED)
        on = [i.device for i in self._items.values() if i.kind is ItemKind.POWER_ON and i.state in said]
        claims = [i for i in self._items.values() if i.kind in mounting and i.state is ItemState.CONFIRMED]
        return [device for device in on if any(i.device == device for i in claims)]

    def cables_to_judge(self) -> tuple[Item, ...]:
        return hands.to_judge(self._items)

    def server_checked(self, check: ServerCheck) -> None:
        """A server that answers proves that it is racked, fed and on; what is wrong is issued again."""
        kinds = (ItemKind.RACK, ItemKind.FEED, ItemKind.POWER_ON)
        if check.wrong is None:
            self._items = hands.verified(self._items, [item_id(kind, check.server) for kind in kinds])
            return
        found = (
            self._items.get(item_id(check.wrong, check.server)) or self._items[item_id(ItemKind.POWER_ON, check.server)]
        )
        again = [found]
        if found.kind is ItemKind.RACK:  # after it was mounted anew it must be switched on anew
            again.append(self._items[item_id(ItemKind.POWER_ON, check.server)])
        for item in again:
            self._items[item.id] = hands.issue_again(item, check.words)
        self.reissued += [Reissue(item=i.id, issue=i.issue + 1, words=check.words) for i in again]

    def cables_judged(self, asked: Iterable[Item], findings: Iterable[CableFinding]) -> None:
        self._items, again = hands.judged(self._items, asked, findings)
        self.reissued += again

    def said_done(self, *kinds: ItemKind) -> tuple[Item, ...]:
        """What people say is done, and no machine has seen yet."""
        return tuple(i for i in self._items.values() if i.kind in kinds and i.state is ItemState.CONFIRMED)

    def add(self, items: Iterable[Item]) -> None:
        """What can be done now; what is there already stays as it stands."""
        self._items = {**{i.id: i for i in items}, **self._items}

    def cables_pulled(self, asked: Iterable[Item], still: Iterable[CableFinding]) -> None:
        wrong = {item_id(ItemKind.UNCABLE, f.cable.label): f for f in still}
        self._items = hands.verified(self._items, [i.id for i in asked if i.id not in wrong])
        for name, finding in wrong.items():
            item = self._items[name] = hands.issue_again(self._items[name], finding.words, finding)
            self.reissued.append(Reissue(item=name, issue=item.issue, verdict=finding.verdict, words=finding.words))

    def server_gone(self, check: ServerCheck) -> None:
        """A server that is silent may be off, and in the storeroom; one that answers is neither."""
        kinds = (ItemKind.POWER_OFF, ItemKind.UNRACK)
        ids = [item_id(kind, check.server) for kind in kinds]
        if check.wrong is None:
            self._items = hands.verified(self._items, ids)
            return
        for item in [self._items[name] for name in ids if self._items[name].state is not ItemState.OPEN]:
            self._items[item.id] = hands.issue_again(item, check.words)
            self.reissued.append(Reissue(item=item.id, issue=item.issue + 1, words=check.words))

    # -- where it stands

    def count(self, *states: ItemState) -> int:
        return hands.count(self._items, lambda item: item.state in states)

    @property
    def done(self) -> bool:
        return self.count(ItemState.VERIFIED) == len(self._items)

    def situation(self) -> str:
        """In words, for whoever is waited for."""
        again = hands.count(self._items, lambda i: i.state is ItemState.OPEN and i.issue > 1)
        counts = {
            "to do": self.count(ItemState.OPEN),
            "of them again": again,
            "not yet checked": self.count(ItemState.CONFIRMED),
            "verified": self.count(ItemState.VERIFIED),
        }
        problems = [
            f"{i.id} could not be done ({i.by}: {i.problem})"
            for i in self._items.values()
            if i.state is ItemState.PROBLEM
        ]
        return "; ".join([", ".join(f"{n} {what}" for what, n in counts.items() if n), *problems, *self._no_way_out()])

    def _no_way_out(self) -> list[str]:
        return [f"nothing else can be planned: {self._stuck}"] if self._stuck else []

    def progress(self, until: datetime) -> Progress:
        return Progress(
            checklist=self.checklist(),
            reissued=tuple(self.reissued),
            until=until,
            to_planner=self.to_planner,
            stuck=self._stuck,
            changes=tuple(self.changes),
        )

    def installed(self) -> Installed:
        return hands.installed(self._items, self._head.instance)

    def removed(self) -> Removed:
        return removed(self._items)
