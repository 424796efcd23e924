"""Work for hands: checklists of items, how people answer them, and what machines found afterwards."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from freehold.models.base import Choice, Message, Model
from freehold.models.cabling import Move, Verdict
from freehold.models.hall import Cable
from freehold.models.names import Name, Person
from freehold.models.network import PortRef


class ItemKind(Choice):
    """In the order in which hardware comes into being; removal is the same backwards."""

    RACK = "rack"  # carry the server from the storeroom and mount it on rails
    FEED = "feed"  # plug its power supplies into feeds A and B
    CABLE = "cable"  # plug a network cable, both ends
    POWER_ON = "power on"
    POWER_OFF = "power off"
    UNCABLE = "uncable"
    UNRACK = "unrack"  # back to the storeroom


class ItemState(Choice):
    OPEN = "open"
    CONFIRMED = "confirmed"  # somebody says it is done; not yet verified
    VERIFIED = "verified"  # a machine saw that it is done
    PROBLEM = "problem"  # could not be done, because ...


class Place(Model):
    rack: Name
    unit: int

    def __str__(self) -> str:
        return f"{self.rack} unit {self.unit}"


class Item(Model):
    """One thing to do. Its id is stable over re-issues, e.g. `rack:srv-10`, `cable:N-301`, `power-on:srv-10`."""

    id: str
    kind: ItemKind
    device: Name = Field(description="the device to be handled; for a cable the server")
    place: Place | None = None
    serial: str = ""
    feeds: tuple[Name, ...] = ()
    cable: Cable | None = None
    cable_places: tuple[Place | None, Place | None] = Field(default=(None, None), description="of ends a and b")
    instruction: str = Field(description="one sentence a technician acts on")
    state: ItemState = ItemState.OPEN
    issue: int = Field(default=1, description="2 and more: issued again because a machine found it wrong")
    verdict: Verdict | None = None
    finding: str = Field(default="", description="what is where now and what to move where, when issued again")
    moves: tuple[Move, ...] = ()
    by: str = ""
    at: datetime | None = None
    problem: str = ""
    replaces: PortRef | None = Field(default=None, description="out of use: what is plugged here is pulled first")


class Checklist(Model):
    """All items of one step of one run, in the order in which a person walks."""

    instance: Name
    site: Name
    workflow_id: str
    title: str
    items: tuple[Item, ...]
    beside: tuple[str, ...] = Field(
        default=(), description="labels of others' cables that were right before the work, and must be right after it"
    )

    def item(self, item_id: str) -> Item | None:
        return next((i for i in self.items if i.id == item_id), None)

    def open(self) -> tuple[Item, ...]:
        """What is still to be done, re-issued items first."""
        todo = [i for i in self.items if i.state is ItemState.OPEN]
        return tuple(sorted(todo, key=lambda i: -i.issue))


class ConfirmItems(Message):
    """`done` names items that are done (`all`: every open one); `problems` says why others cannot be, to the operators.

    `out_of_use` says why a switch port or server of the list cannot be used: another is planned in its place.
    """

    operator: Person
    done: tuple[str, ...] = ()
    problems: dict[str, str] = Field(default_factory=dict, description="item id -> why it could not be done")
    out_of_use: dict[str, str] = Field(default_factory=dict, description="leaf1/swp7 or srv-10 -> why")
    comment: str = Field(default="", max_length=2000)
