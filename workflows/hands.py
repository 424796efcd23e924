"""A checklist in people's hands: takes their words in and shows what is open."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from freehold.models.cabling import CableFinding
    from freehold.models.checklist import Checklist, ConfirmItems, Item, ItemKind, ItemState
    from freehold.models.installation import Installed, Progress, Reissue, ServerCheck
    from freehold.planning import hands
    from freehold.planning.checklists import item_id


class ChecklistInHands:
    """The state of one checklist. What it means is decided in `freehold.planning.hands`."""

    def __init__(self, checklist: Checklist, reissued: Iterable[Reissue] = ()) -> None:
        self._head = checklist
        self._items: dict[str, Item] = {i.id: i for i in checklist.items}
        self.reissued = list(reissued)
        self.fresh = any(i.state is ItemState.CONFIRMED for i in checklist.items)
        """Whether something was said since machines looked last."""

    # -- people

    def checklist(self) -> Checklist:
        return self._head.model_copy(update={"items": tuple(self._items.values())})

    def refuse(self, said: ConfirmItems) -> str:
        return hands.refusal(self._items, said)

    def accept(self, said: ConfirmItems) -> str:
        self._items, done = hands.confirm(self._items, said, workflow.now())
        self.fresh = self.fresh or bool(done) or bool(said.problems)
        left = self.count(ItemState.OPEN)
        parts = [f"{len(done)} noted as done" if done else "", f"{len(said.problems)} go to the operators"]
        return "; ".join([p for p in parts if p and not p.startswith("0 ")] or ["known already"]) + f"; {left} open"

    def reopen_problems(self) -> None:
        self._items = hands.reopened(self._items)

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
        return "; ".join([", ".join(f"{n} {what}" for what, n in counts.items() if n), *problems])

    def progress(self, until: datetime) -> Progress:
        return Progress(checklist=self.checklist(), reissued=tuple(self.reissued), until=until)

    def installed(self, instance: str) -> Installed:
        """What the inventory may know by now: mounted by word, switched on and cabled only as machines saw it."""
        said = (ItemState.CONFIRMED, ItemState.VERIFIED)
        items = self._items.values()
        return Installed(
            instance=instance,
            mounted=tuple(i.device for i in items if i.kind is ItemKind.RACK and i.state in said),
            powered=tuple(i.device for i in items if i.kind is ItemKind.POWER_ON and i.state is ItemState.VERIFIED),
            cables=tuple(
                i.cable.label for i in items if i.kind is ItemKind.CABLE and i.cable and i.state is ItemState.VERIFIED
            ),
        )
