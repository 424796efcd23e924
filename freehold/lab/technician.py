"""The technician of the lab: does with cables and power buttons what a checklist says, and errs as it is told to.

It reads a checklist and answers it as a person would; it knows nothing of the plan or of what machines found but the
words and moves of the items.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Protocol

from freehold.errors import BadInput, NotFound
from freehold.models.base import Choice
from freehold.models.cabling import Move, Verdict
from freehold.models.checklist import Checklist, ConfirmItems, Item, ItemKind
from freehold.models.hall import Cable, DeviceKind, Hall
from freehold.models.installation import miswire
from freehold.models.network import PortRef
from freehold.planning.hands import needs


class Mistake(Choice):
    """What can be told to go wrong, once each."""

    SWAP = "swap"  # two cables change places
    ROTATE = "rotate"  # three do
    FORGET = "forget"
    WRONG_PORT = "wrong-port"
    WRONG_SERVER = "wrong-server"  # another one is switched on
    CONFIRM_WITHOUT_DOING = "confirm-without-doing"
    UNPLUG_NEIGHBOUR = "unplug-neighbour"  # a cable that is none of the checklist's is pulled


CABLES_NEEDED = {Mistake.SWAP: 2, Mistake.ROTATE: 3, Mistake.FORGET: 1, Mistake.WRONG_PORT: 1}


class HallInReach(Protocol):
    """What hands can do in the lab."""

    hall: Hall

    def cables(self) -> Sequence[Cable]: ...

    def plug(self, a: str, b: str, label: str) -> object: ...

    def unplug(self, end: str) -> Cable: ...

    def switch_on(self, device: str) -> None: ...

    def switch_off(self, device: str) -> None: ...

    def is_on(self, device: str) -> bool: ...


def silent(words: str) -> None:
    """Nobody watches."""


class Technician:
    """One pair of hands. `made` lists the mistakes with cables, in the words in which they must be found."""

    def __init__(
        self,
        hall: HallInReach,
        mistakes: Iterable[Mistake] = (),
        walk_s: float = 0,
        say: Callable[[str], None] = silent,
        broken: Iterable[str] = (),
    ) -> None:
        """`broken`: switch ports and servers that turn out to be of no use, e.g. leaf1/swp7."""
        self._hall, self._walk_s, self._say = hall, walk_s, say
        self._mistakes = list(mistakes)
        self._broken = list(broken)
        self.made: list[str] = []

    def work(self, checklist: Checklist, operator: str) -> ConfirmItems:
        """Do all that is open and can be done. Returns what to say."""
        found = [thing for thing in self._broken if any(needs(i, thing) for i in checklist.open())]
        todo = [i for i in checklist.open() if not any(needs(i, thing) for thing in found)]
        for thing in found:
            self._say(f"{thing} is broken.")
        again = [i for i in todo if i.issue > 1 and i.kind is ItemKind.CABLE]
        fresh = [i for i in todo if i not in again]
        if again:
            self._correct(again)
        if fresh and not self._errs(Mistake.CONFIRM_WITHOUT_DOING):
            ends = self._ends([i for i in fresh if i.kind is ItemKind.CABLE], checklist)
            for item in fresh:
                self._do(item, ends)
        done = tuple(i.id for i in todo)
        return ConfirmItems(operator=operator, done=done, out_of_use=dict.fromkeys(found, "it is broken"))

    def _errs(self, mistake: Mistake) -> bool:
        if mistake not in self._mistakes:
            return False
        self._mistakes.remove(mistake)
        return True

    def _do(self, item: Item, ends: dict[str, tuple[str, str]]) -> None:
        time.sleep(self._walk_s)
        self._say(item.instruction)
        if item.kind is ItemKind.POWER_ON:
            device = item.device
            if self._errs(Mistake.WRONG_SERVER):
                device = self._another(device)
            self._hall.switch_on(device)
        elif item.kind is ItemKind.POWER_OFF:
            self._hall.switch_off(item.device)
        elif item.kind is ItemKind.CABLE and item.cable and item.cable.label in ends:
            if item.replaces:
                self._pull(item.replaces)
            self._hall.plug(*ends[item.cable.label], item.cable.label)
        elif item.kind is ItemKind.UNCABLE and item.cable:
            if self._errs(Mistake.FORGET):
                self.made.append(miswire(item.cable.label, Verdict.UNEXPECTED))
            else:
                self._pull(item.cable.a)

    def _another(self, device: str) -> str:
        """A server that is off and is not the one that was meant; the right one if there is no other."""
        servers = (d.name for d in self._hall.hall.devices if d.kind is DeviceKind.SERVER and d.name != device)
        return next((name for name in servers if not self._hall.is_on(name)), device)

    # -- mistakes

    def _ends(self, items: Sequence[Item], checklist: Checklist) -> dict[str, tuple[str, str]]:
        """Where each cable really goes: as written, but for the mistakes. A forgotten one goes nowhere."""
        cables = [i.cable for i in items if i.cable]
        ends = {c.label: (str(c.a), str(c.b)) for c in cables}
        if not cables:
            return ends
        untouched = list(cables)
        for mistake, needed in CABLES_NEEDED.items():
            if mistake in self._mistakes and len(untouched) >= needed:
                self._errs(mistake)
                chosen, untouched = untouched[:needed], untouched[needed:]
                self._spoil(mistake, chosen, ends)
        if self._errs(Mistake.UNPLUG_NEIGHBOUR):
            self._unplug_neighbour(cables[0], checklist)
        return ends

    def _spoil(self, mistake: Mistake, chosen: list[Cable], ends: dict[str, tuple[str, str]]) -> None:
        if mistake is Mistake.FORGET:
            del ends[chosen[0].label]
            self.made.append(miswire(chosen[0].label, Verdict.MISSING))
        elif mistake is Mistake.WRONG_PORT:
            (cable,) = chosen
            ends[cable.label] = (str(self._free_port(cable, ends)), str(cable.b))
            self.made.append(miswire(cable.label, Verdict.WRONG_PORT))
        else:
            labels = [c.label for c in chosen]
            for cable, other in zip(chosen, [*chosen[1:], chosen[0]], strict=True):
                ends[cable.label] = (str(cable.a), str(other.b))
                rest = tuple(label for label in labels if label != cable.label)
                self.made.append(miswire(cable.label, Verdict.SWAPPED, rest))

    def _free_port(self, cable: Cable, ends: dict[str, tuple[str, str]]) -> PortRef:
        used = {str(e) for c in self._hall.cables() for e in (c.a, c.b)} | {e for pair in ends.values() for e in pair}
        ports = (PortRef(device=cable.a.device, port=p) for p in self._hall.hall.device(cable.a.device).port_names())
        free = next((p for p in reversed(list(ports)) if str(p) not in used), None)
        if free is None:
            raise BadInput(f"{Mistake.WRONG_PORT}: {cable.a.device} has no free port to err into")
        return free

    def _unplug_neighbour(self, near: Cable, checklist: Checklist) -> None:
        own = {i.cable.label for i in checklist.items if i.cable}
        for cable in self._hall.cables():
            if cable.a.device == near.a.device and cable.label not in own and self._is_asked(cable.b.device):
                self._hall.unplug(str(cable.a))
                self._say(f"Pulled cable {cable.label} by mistake.")
                self.made.append(miswire(cable.label, Verdict.MISSING))
                return

    def _is_asked(self, device: str) -> bool:
        """Whether machines can tell its cable from that of a device which is off, or which is a customer's own."""
        return self._hall.is_on(device) and self._hall.hall.device(device).kind is not DeviceKind.HOST

    # -- corrections

    def _correct(self, items: Sequence[Item]) -> None:
        """Follow the moves: pull every end that moves first, then plug."""
        moves: dict[Move, None] = {}
        for item in items:
            time.sleep(self._walk_s)
            self._say(item.finding)
            moves |= dict.fromkeys(item.moves)
            if item.verdict in (Verdict.UNEXPECTED, Verdict.DUPLICATE) and item.cable:
                self._pull(item.cable.a)
        pulled = {str(m.from_port): self._pull(m.from_port) for m in moves if m.from_port}
        links: list[tuple[str, list[str]]] = []
        where: dict[str, list[str]] = {}
        loose: dict[str, list[str]] = {}
        for cable in pulled.values():
            if cable is not None:
                ends = [str(cable.a), str(cable.b)]
                links.append((cable.label, ends))
                where |= dict.fromkeys(ends, ends)
        for move in moves:
            here = str(move.from_port)
            if here in where:
                where[here][where[here].index(here)] = str(move.to_port)
            else:
                loose.setdefault(move.cable, []).append(str(move.to_port))
        for label, ends in [*links, *loose.items()]:
            if len(ends) == 2:
                self._hall.plug(ends[0], ends[1], label)

    def _pull(self, end: PortRef) -> Cable | None:
        with suppress(NotFound):
            return self._hall.unplug(str(end))
        return None
