"""Pictures: well-formed whatever the names, each port and each device drawn once, the change marked."""

from __future__ import annotations

from collections import Counter
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.models.cabling import Move
from freehold.models.checklist import Checklist, Item, ItemKind, ItemState
from freehold.models.hall import Hall
from freehold.web import drawings
from tests.web.paper import after_a_swap, checklist, lab_hall, ref

HALL = lab_hall()
SVG = "{http://www.w3.org/2000/svg}"


def drawn(picture: str | None, attribute: str) -> Counter[str]:
    assert picture is not None
    return Counter(e.attrib[attribute] for e in ElementTree.fromstring(picture).iter() if attribute in e.attrib)


@st.composite
def checklists(draw: st.DrawFn) -> Checklist:
    """Any state of the items, and moves between any ports."""
    ports = [ref(f"{d.name}/{p}") for d in HALL.devices for p in d.port_names()]
    base = draw(st.sampled_from([checklist(), after_a_swap()]))
    items: list[Item] = []
    for item in base.items:
        moves: list[Move] = []
        if item.cable:
            for _ in range(draw(st.integers(0, 3))):
                start, end = draw(st.none() | st.sampled_from(ports)), draw(st.sampled_from(ports))
                if start != end:
                    moves.append(Move(cable=item.cable.label, from_port=start, to_port=end))
        kind = draw(st.sampled_from([item.kind, ItemKind.UNCABLE])) if item.cable else item.kind
        state = draw(st.sampled_from(list(ItemState)))
        items.append(item.model_copy(update={"state": state, "moves": tuple(moves), "kind": kind}))
    return base.model_copy(update={"items": tuple(items)})


@given(checklists(), st.sampled_from(HALL.devices), st.integers(1, 30))
@settings(max_examples=30, deadline=None)
def test_every_port_is_drawn_once(found: Checklist, device: object, columns: int) -> None:
    name = device.name  # type: ignore[attr-defined]
    ports = drawn(drawings.face_plate(HALL, found, name, columns=columns), "data-port")
    assert ports == Counter(HALL.device(name).port_names())


@given(checklists(), st.sampled_from(HALL.devices))
@settings(max_examples=30, deadline=None)
def test_a_near_view_keeps_every_port_of_the_change(found: Checklist, device: object) -> None:
    name = device.name  # type: ignore[attr-defined]
    ports = drawn(drawings.face_plate(HALL, found, name, near=True), "data-port")
    refs = [ref for item in found.items if item.cable for ref in (item.cable.a, item.cable.b)]
    refs += [m.to_port for i in found.items if i.state is ItemState.OPEN for m in i.moves if m.to_port]
    assert {ref.port for ref in refs if ref.device == name} <= set(ports) <= set(HALL.device(name).port_names())
    assert set(ports.values()) == {1}


@given(checklists(), st.sampled_from([r for r in HALL.racks if r.site == "north"]), st.booleans())
@settings(max_examples=30, deadline=None)
def test_every_device_of_a_rack_is_drawn_once(found: Checklist, rack: object, folded: bool) -> None:
    name = rack.name  # type: ignore[attr-defined]
    devices = drawn(drawings.rack_elevation(HALL, found, name, folded=folded), "data-device")
    there = {d.name for d in HALL.devices if d.position and d.position.rack == name and d.site == "north"}
    coming = {i.device for i in found.items if i.kind is ItemKind.RACK and i.place and i.place.rack == name}
    assert devices == Counter(there | coming)


def test_ports_of_the_change_carry_label_and_colour() -> None:
    picture = drawings.face_plate(HALL, checklist(), "leaf1") or ""
    root = ElementTree.fromstring(picture)
    groups = {g.attrib["data-port"]: g for g in root.iter(f"{SVG}g")}
    words = {port: [t.text for t in group.iter(f"{SVG}text")] for port, group in groups.items()}
    assert words["swp11"] == ["11", "leaf1.swp11"] and words["swp12"] == ["12", "leaf1.swp12"]
    assert all(len(found) == 1 for port, found in words.items() if port not in ("swp11", "swp12"))
    fills = {port: next(group.iter(f"{SVG}rect")).attrib["fill"] for port, group in groups.items()}
    assert (fills["swp11"], fills["swp12"], fills["swp13"]) == ("#1c6dd0", "#ffd400", "#ffffff")


def test_a_move_is_an_arrow_and_a_far_move_is_words() -> None:
    arrows = ElementTree.fromstring(drawings.face_plate(HALL, after_a_swap(), "leaf1") or "")
    assert len(list(arrows.iter(f"{SVG}polygon"))) == 2
    assert not list(ElementTree.fromstring(drawings.face_plate(HALL, checklist(), "leaf1") or "").iter(f"{SVG}polygon"))
    item = checklist().items[2]
    for start, words in ((ref("leaf2/swp3"), "leaf1.swp11 from leaf2/swp3"), (None, "leaf1.swp11 (loose)")):
        move = Move(cable="leaf1.swp11", from_port=start, to_port=ref("leaf1/swp11"))
        far = checklist().model_copy(update={"items": (item.model_copy(update={"moves": (move,)}),)})
        assert words in (drawings.face_plate(HALL, far, "leaf1") or "")


def test_what_the_hall_does_not_have_is_not_drawn() -> None:
    assert drawings.face_plate(HALL, checklist(), "leaf9") is None
    assert drawings.rack_elevation(HALL, checklist(), "r9") is None
    assert drawings.rack_elevation(HALL, checklist(), "s1") is None


@pytest.mark.parametrize("folded", [True, False])
def test_a_rack_names_what_is_done_where(folded: bool) -> None:
    picture = drawings.rack_elevation(HALL, checklist(), "r1", folded=folded) or ""
    assert "mount, feeds, 2 cables, switch on" in picture and "stroke-dasharray" in picture
    assert ("41 empty" in picture) == folded


def test_racks_and_plates_are_in_walking_order() -> None:
    assert drawings.racks(checklist()) == ("r1", "r2")
    assert drawings.plates(checklist()) == ("leaf1", "leaf2", "srv-10", "srv-11")


def hall_with_a_mean_name() -> Hall:
    mean = HALL.devices[0].model_copy(update={"name": "<script>&\"'"})
    return HALL.model_copy(update={"devices": (mean, *HALL.devices[1:])})


def test_names_are_escaped() -> None:
    picture = drawings.rack_elevation(hall_with_a_mean_name(), checklist(), "r1") or ""
    assert "<script>" not in picture and "<script>&\"'" in drawn(picture, "data-device")
