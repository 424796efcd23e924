"""Work on paper: a checklist over the lab's hall as an installation makes it, without a running procedure."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from freehold.errors import BadInput, NotFound
from freehold.models.cabling import CableFinding, Move, Verdict
from freehold.models.checklist import Checklist, ConfirmItems, Item, ItemKind, ItemState, Place
from freehold.models.hall import Cable, Hall, load_hall
from freehold.models.network import PortRef
from freehold.planning import hands
from freehold.planning.checklists import item_id
from freehold.web.work import OpenWork

RUN = "install-acme-1"
AT = datetime(2025, 3, 4, 9, 26, tzinfo=UTC)


def lab_hall() -> Hall:
    return load_hall(Path(__file__).parents[2] / "halls" / "lab.yaml")


def ref(text: str) -> PortRef:
    return PortRef.parse(text)


def _server(name: str, place: Place, switch: str, ports: tuple[str, str]) -> list[Item]:
    cables = [
        Cable(label=f"{switch}.{port}", a=ref(f"{switch}/{port}"), b=ref(f"{name}/eth{n}"), colour=colour)
        for n, (port, colour) in enumerate(zip(ports, ("blue", "yellow"), strict=True), start=1)
    ]
    serial = f"FHSRV00{name.removeprefix('srv-')}"
    feeds = ("north-a", "north-b")

    def item(kind: ItemKind, instruction: str, **more: object) -> Item:
        cable = more.get("cable")
        about = cable.label if isinstance(cable, Cable) else name
        given = {"id": item_id(kind, about), "kind": kind, "device": name, "place": place, "instruction": instruction}
        return Item.model_validate(given | more)

    return [
        item(ItemKind.RACK, f"Carry {name} (serial {serial}) from the storeroom and mount it in rack {place}.",
             serial=serial),
        item(ItemKind.FEED, f"Plug the power supplies of {name} (rack {place}) into north-a and north-b.",
             feeds=feeds),
        *(
            item(ItemKind.CABLE, f"Plug cable {c.label} (cat6a, 2 m, {c.colour}) into {c.b} and {c.a}.", cable=c,
                 cable_places=(Place(rack=place.rack, unit=42), place))
            for c in cables
        ),
        item(ItemKind.POWER_ON, f"Switch {name} on (rack {place})."),
    ]  # fmt: skip


def checklist() -> Checklist:
    return Checklist(
        instance="acme-1",
        site="north",
        workflow_id=RUN,
        title="Install 2 servers for acme-1",
        items=(
            *_server("srv-10", Place(rack="r1", unit=15), "leaf1", ("swp11", "swp12")),
            *_server("srv-11", Place(rack="r2", unit=15), "leaf2", ("swp9", "swp10")),
        ),
    )


def after_a_swap(at: datetime = AT) -> Checklist:
    """Rack r1 is done, but its two cables were exchanged at the switch; in r2 the first two things are said."""
    start = checklist()
    items = {item.id: item for item in start.items}
    first = tuple(item.id for item in start.items[:5])
    items, _ = hands.confirm(items, ConfirmItems(operator="tess", done=first), at)
    items = hands.verified(items, [i for i in first if not i.startswith("cable:")])
    one, other = (items[f"cable:leaf1.swp{port}"].cable for port in (11, 12))
    assert one and other
    moves = (
        Move(cable=one.label, from_port=other.a, to_port=one.a),
        Move(cable=other.label, from_port=one.a, to_port=other.a),
    )
    for cable, swapped in ((one, other), (other, one)):
        finding = CableFinding(
            cable=cable,
            verdict=Verdict.SWAPPED,
            words=f"Cable {cable.label} is in {swapped.a}; move it to {cable.a}.",
            swapped_with=(swapped.label,),
            moves=moves,
        )
        key = item_id(ItemKind.CABLE, cable.label)
        items[key] = hands.issue_again(items[key], finding.words, finding)
    second = [item.id for item in start.items[5:]]
    items, _ = hands.confirm(items, ConfirmItems(operator="tess", done=tuple(second[:1])), at)
    why = ConfirmItems(operator="tess", problems={second[1]: "no free socket on the feed: north-b is full"})
    items, _ = hands.confirm(items, why, at)
    return start.model_copy(update={"items": tuple(items.values())})


class PaperWork:
    """Checklists in memory; answers are taken by the procedure's own rules and kept."""

    def __init__(self, **lists: Checklist) -> None:
        self.lists = {name.replace("_", "-"): found for name, found in lists.items()}
        self.said: list[tuple[str, ConfirmItems, str]] = []

    async def open_checklists(self) -> tuple[OpenWork, ...]:
        return tuple(OpenWork(run=run, checklist=found) for run, found in self.lists.items())

    async def checklist(self, run: str) -> Checklist:
        if run not in self.lists:
            raise NotFound(f"There is no procedure {run!r}.")
        return self.lists[run]

    async def confirm(self, run: str, said: ConfirmItems, identity: str) -> str:
        found = await self.checklist(run)
        items = {item.id: item for item in found.items}
        if reason := hands.refusal(items, said):
            raise BadInput(reason)
        self.said.append((run, said, identity))
        after, fresh = hands.confirm(items, said, AT)
        self.lists[run] = found.model_copy(update={"items": tuple(after.values())})
        left = hands.count(after, lambda item: item.state is ItemState.OPEN)
        return f"{len(fresh)} noted as done; {left} open" if fresh else f"1 go to the operators; {left} open"
