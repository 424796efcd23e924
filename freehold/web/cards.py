"""A checklist as the pages and the sheet show it: what comes first, grouped by rack, in walking order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from freehold.models.base import Choice
from freehold.models.cabling import Verdict
from freehold.models.checklist import Checklist, Item, ItemKind, ItemState, Place
from freehold.models.hall import Hall
from freehold.models.network import PortRef
from freehold.planning.checklists import places_of
from freehold.planning.hands import INSTALLING
from freehold.web import drawings, svg

ELSEWHERE = "elsewhere"
ASKED = (ItemState.OPEN, ItemState.PROBLEM)

TITLES = {
    ItemKind.RACK: "Mount {device}",
    ItemKind.FEED: "Plug in power of {device}",
    ItemKind.CABLE: "Plug cable {label}",
    ItemKind.POWER_ON: "Switch {device} on",
    ItemKind.POWER_OFF: "Switch {device} off",
    ItemKind.UNCABLE: "Pull cable {label}",
    ItemKind.UNRACK: "Take {device} out",
}
REASONS = {
    ItemKind.RACK: ("the rack unit is taken", "the server is not in the storeroom", "rails or screws are missing"),
    ItemKind.FEED: ("no free socket on the feed", "the power supply is broken", "the power cord is missing"),
    ItemKind.CABLE: ("the port is taken", "the port is broken", "the cable is too short", "no such cable here"),
    ItemKind.POWER_ON: ("it does not switch on", "it switches itself off again"),
    ItemKind.POWER_OFF: ("it does not switch off",),
    ItemKind.UNCABLE: ("the label is not on this cable", "I cannot find this cable"),
    ItemKind.UNRACK: ("it is still running", "the rails are stuck"),
}


class Stage(Choice):
    """What the tick box shows."""

    TODO = "to do"
    AGAIN = "do again"
    CHECKING = "being checked"
    VERIFIED = "verified"
    PROBLEM = "problem"


@dataclass(frozen=True)
class End:
    """One end of a cable, or where a server goes."""

    ref: PortRef
    place: Place | None

    @property
    def where(self) -> str:
        return f"rack {self.place.rack}, unit {self.place.unit}" if self.place else ""


@dataclass(frozen=True)
class Card:
    item: Item
    number: int
    rack: str
    ends: tuple[End, ...] = ()
    pictures: tuple[tuple[str, str], ...] = ()
    """Devices and their face plates."""

    @property
    def title(self) -> str:
        label = self.item.cable.label if self.item.cable else ""
        if self.item.verdict is Verdict.UNEXPECTED:
            return f"Pull cable {label} out"
        if self.stage is Stage.AGAIN and self.item.moves:
            return f"Move cable {label}"
        return TITLES[self.item.kind].format(device=self.item.device, label=label)

    @property
    def stage(self) -> Stage:
        if self.item.state is ItemState.OPEN:
            return Stage.AGAIN if self.item.issue > 1 else Stage.TODO
        return {
            ItemState.CONFIRMED: Stage.CHECKING,
            ItemState.VERIFIED: Stage.VERIFIED,
            ItemState.PROBLEM: Stage.PROBLEM,
        }[self.item.state]

    @property
    def asked(self) -> bool:
        """Whether it can be confirmed now."""
        return self.item.state in ASKED

    @property
    def reasons(self) -> tuple[str, ...]:
        return REASONS[self.item.kind]

    @property
    def replaceable(self) -> tuple[str, ...]:
        """What of it another could be planned for: the switch's port, the server. A stray cable needs neither."""
        if self.item.kind not in INSTALLING or self.item.place is None:
            return ()
        return (*([str(self.item.cable.a)] if self.item.cable else []), self.item.device)

    @property
    def key(self) -> list[str | int]:
        """What a confirmation names: an item that was issued again since is another one."""
        return [self.item.id, self.item.issue]

    @property
    def colour(self) -> str:
        return svg.colour(self.item.cable.colour) if self.item.cable else svg.PAPER

    @property
    def ink(self) -> str:
        return svg.ink_on(self.colour)


@dataclass(frozen=True)
class Group:
    rack: str
    cards: tuple[Card, ...]

    @property
    def open(self) -> tuple[Card, ...]:
        return tuple(card for card in self.cards if card.item.state is ItemState.OPEN)


@dataclass(frozen=True)
class Counts:
    total: int
    open: int
    again: int
    checking: int
    verified: int
    problems: int


def counts(checklist: Checklist) -> Counts:
    states = [item.state for item in checklist.items]
    return Counts(
        total=len(states),
        open=states.count(ItemState.OPEN),
        again=sum(item.state is ItemState.OPEN and item.issue > 1 for item in checklist.items),
        checking=states.count(ItemState.CONFIRMED),
        verified=states.count(ItemState.VERIFIED),
        problems=states.count(ItemState.PROBLEM),
    )


def cards(hall: Hall, checklist: Checklist) -> tuple[Card, ...]:
    """All items, numbered in walking order."""
    places = places_of(hall.devices)
    places |= {item.device: item.place for item in checklist.items if item.place}
    return tuple(_card(item, number, places) for number, item in enumerate(checklist.items, start=1))


def _card(item: Item, number: int, places: dict[str, Place]) -> Card:
    ends: tuple[End, ...] = ()
    if item.cable:
        a, b = item.cable_places
        ends = (
            End(item.cable.b, b or places.get(item.cable.b.device)),
            End(item.cable.a, a or places.get(item.cable.a.device)),
        )
    place = item.place or next((end.place for end in ends if end.place), None)
    return Card(item, number, place.rack if place else ELSEWHERE, ends)


def grouped(found: Sequence[Card]) -> tuple[Group, ...]:
    racks = dict.fromkeys(card.rack for card in found)
    return tuple(Group(rack, tuple(card for card in found if card.rack == rack)) for rack in racks)


def pictures(hall: Hall, checklist: Checklist, item: Item) -> tuple[tuple[str, str], ...]:
    """The face plates that this item is about: for one that was issued again the ports it is moved between."""
    again = item.state is ItemState.OPEN
    mine = tuple(move for move in item.moves if item.cable and move.cable == item.cable.label) or item.moves
    moves = mine if again else ()
    shown = checklist.model_copy(update={"items": (item.model_copy(update={"moves": moves}),)})
    moved = dict.fromkeys(ref.device for move in moves for ref in (move.from_port, move.to_port) if ref)
    drawn = [(name, drawings.face_plate(hall, shown, name, near=True)) for name in moved or drawings.plates(shown)]
    return tuple((name, picture) for name, picture in drawn if picture)
