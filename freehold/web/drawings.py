"""Pictures for hands: a rack from the front, and the face plate of a switch or server, this change marked in them.

Pure functions of the hall and the checklist. What is not part of the change is drawn pale.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise

from freehold.models.cabling import Move, Verdict
from freehold.models.checklist import Checklist, Item, ItemKind, ItemState
from freehold.models.hall import Device, DeviceKind, Hall, Rack
from freehold.models.network import PortRef
from freehold.web import svg

WORDS = {
    ItemKind.RACK: "mount",
    ItemKind.FEED: "feeds",
    ItemKind.CABLE: "cable",
    ItemKind.POWER_ON: "switch on",
    ItemKind.POWER_OFF: "switch off",
    ItemKind.UNCABLE: "uncable",
    ItemKind.UNRACK: "take out",
}
MARKED = "#ffe066"
RACK_WIDTH, UNIT, GUTTER = 360.0, 24.0, 34.0
FEW_EMPTY = 2  # more empty units in a row are folded into one, where the picture is not to scale
CELL, PORT_HEIGHT, LABEL_SIZE = 64.0, 52.0, 22.0
NEAR = 7  # columns that a phone shows large


def racks(checklist: Checklist) -> tuple[str, ...]:
    """The racks of this change, in walking order."""
    places = (place for item in checklist.items for place in (item.place, *item.cable_places) if place)
    return tuple(dict.fromkeys(place.rack for place in places))


def plates(checklist: Checklist) -> tuple[str, ...]:
    """The devices with ports of this change, in walking order, switches' ends first."""
    ends = [(item.cable.a.device, item.cable.b.device) for item in checklist.items if item.cable]
    moved = (ref.device for item in checklist.items for move in item.moves for ref in _ends(move))
    return tuple(dict.fromkeys([*(a for a, _ in ends), *(b for _, b in ends), *moved]))


def rack_elevation(
    hall: Hall, checklist: Checklist, rack: str, *, only: str | None = None, folded: bool = False
) -> str | None:
    """The rack from the front, the highest unit on top, what this change (or item `only`) handles marked.

    None when the hall has no such rack.
    """
    frame = next((r for r in hall.racks if r.site == checklist.site and r.name == rack), None)
    if frame is None:
        return None
    filled = _filled(hall, checklist, frame)
    rows = list(_rows(frame, {unit for unit, height, _ in filled for unit in range(unit, unit + height)}, folded))
    tops = {unit: 10 + UNIT * n for n, (unit, _) in enumerate(rows)}
    root = svg.picture(RACK_WIDTH, UNIT * len(rows) + 20, f"rack {rack} from the front")
    svg.add(root, "rect", x=GUTTER - 6, y=4, width=RACK_WIDTH - GUTTER + 2, height=UNIT * len(rows) + 12, rx=5,
            fill=svg.PLATE, stroke=svg.INK, stroke_width=2)  # fmt: skip
    for unit, last in rows:
        middle = tops[unit] + UNIT / 2
        svg.text(root, GUTTER - 11, middle, str(unit), 13, text_anchor="end", fill="#555555")
        if unit != last:
            words = f"{last} to {unit} empty"
            svg.text(root, (RACK_WIDTH + GUTTER) / 2, middle, words, 12, text_anchor="middle", fill="#555555")
        else:
            svg.add(root, "line", x1=GUTTER, x2=RACK_WIDTH - 8, y1=tops[unit] + UNIT, y2=tops[unit] + UNIT,
                    stroke="#d0d4d8", stroke_width=1)  # fmt: skip
    for unit, height, device in filled:
        _draw_device(root, tops[unit + height - 1], height, device, _of_device(checklist, device.name, only))
    return svg.done(root)


def _filled(hall: Hall, checklist: Checklist, frame: Rack) -> list[tuple[int, int, Device]]:
    """Lowest unit, height and device: what stands there, and what this change brings."""
    known = {device.name: device for device in hall.devices if device.site == frame.site}
    filled = [
        (d.position.unit, d.position.height, d) for d in known.values() if d.position and d.position.rack == frame.name
    ]
    there = {unit for first, height, _ in filled for unit in range(first, first + height)}
    for item in checklist.items:
        if item.kind is ItemKind.RACK and item.place and item.place.rack == frame.name and item.device in known:
            device, unit = known[item.device], item.place.unit
            if device.position is None and unit not in there and 1 <= unit <= frame.units:
                filled.append((unit, 1, device))
                there.add(unit)
    return filled


def _rows(frame: Rack, filled: set[int], folded: bool) -> Iterator[tuple[int, int]]:
    """From the top: each unit by itself, or highest and lowest unit of an empty stretch."""
    if not folded:
        yield from ((unit, unit) for unit in range(frame.units, 0, -1))
        return
    edges = [frame.units + 1, *sorted(filled, reverse=True), 0]
    for above, below in pairwise(edges):
        empty = range(above - 1, below, -1)
        if len(empty) > FEW_EMPTY:
            yield empty[0], empty[-1]
        else:
            yield from ((unit, unit) for unit in empty)
        if below:
            yield below, below


def _draw_device(root: svg.Element, top: float, height: int, device: Device, items: list[Item]) -> None:
    coming = any(item.kind is ItemKind.RACK and item.state is not ItemState.VERIFIED for item in items)
    group = svg.add(root, "g", data_device=device.name)
    svg.add(group, "rect", x=GUTTER, y=top + 1.5, width=RACK_WIDTH - GUTTER - 8, height=UNIT * height - 3, rx=3,
            fill=MARKED if items else svg.EMPTY, stroke=svg.INK if items else "#8a9097",
            stroke_width=2.5 if items else 1, **({"stroke_dasharray": "7 4"} if coming else {}))  # fmt: skip
    middle = top + UNIT * height / 2
    svg.text(group, GUTTER + 8, middle, device.name, 14 if items else 12, fill=svg.INK,
             font_weight="bold" if items else "normal")  # fmt: skip
    if not items:
        return
    verified = all(item.state is ItemState.VERIFIED for item in items)
    right = RACK_WIDTH - 16
    if verified:
        svg.tick(group, right - 14, middle - 8, 14)
        right -= 24
    svg.text(group, right, middle, _work(items), 12, text_anchor="end", fill=svg.INK)


def _work(items: Iterable[Item]) -> str:
    counts: dict[ItemKind, int] = {}
    for item in items:
        counts[item.kind] = counts.get(item.kind, 0) + 1
    return ", ".join(
        f"{n} {WORDS[kind]}s" if kind is ItemKind.CABLE and n > 1 else WORDS[kind] for kind, n in counts.items()
    )


def _of_device(checklist: Checklist, device: str, only: str | None) -> list[Item]:
    return [
        item
        for item in checklist.items
        if only in (None, item.id)
        and device in ({item.cable.a.device, item.cable.b.device} if item.cable else {item.device})
    ]


def face_plate(
    hall: Hall, checklist: Checklist, device: str, *, only: str | None = None, columns: int = 24, near: bool = False
) -> str | None:
    """All ports of a device, those of this change (or of item `only`) in the colour of their cable, with its label.

    What was plugged wrong is shown as an arrow from port to port. `near` leaves out what is far from the ports that
    are marked, so that a small screen shows those large. None when the hall has no such device.
    """
    found = next((d for d in hall.devices if d.name == device), None)
    if found is None or not found.port_names():
        return None
    items = [item for item in checklist.items if only in (None, item.id)]
    return _Plate(found, items, columns, near).draw()


def _ends(move: Move) -> tuple[PortRef, ...]:
    return tuple(ref for ref in (move.from_port, move.to_port) if ref)


class _Plate:
    """Odd ports above, even ones below, as on real switches; in blocks of `columns` so that paper can hold it."""

    def __init__(self, device: Device, items: list[Item], columns: int, near: bool) -> None:
        self.device = device
        self.ports = device.port_names()
        self.rows = 2 if device.kind is DeviceKind.SWITCH else 1
        all_columns = -(-len(self.ports) // self.rows)
        self.columns = min(columns, all_columns)
        self.marks = {
            ref.port: item for item in items if item.cable for ref in (item.cable.a, item.cable.b) if self._here(ref)
        }
        self.moves = tuple(
            dict.fromkeys(
                move
                for item in items
                if item.state is ItemState.OPEN
                for move in item.moves
                if any(map(self._here, _ends(move)))
            )
        )
        self.arrows = [
            (move.from_port.port, move.to_port.port)
            for move in self.moves
            if move.from_port and move.to_port and self._here(move.from_port) and self._here(move.to_port)
        ]
        self.leaving = {m.from_port.port for m in self.moves if m.from_port and self._here(m.from_port)}
        self.notes = self._notes()
        self.first, self.shown = 0, self.columns
        if near and (window := self._window(all_columns)):
            self.columns, (self.first, self.shown) = all_columns, window
        self.above, self.below = self._margin(0), self._margin(1) if self.rows == 2 else 6.0
        self.block_height = self.above + self.rows * PORT_HEIGHT + 16 + self.below

    def _here(self, ref: PortRef | None) -> bool:
        return ref is not None and ref.device == self.device.name and ref.port in self.ports

    def _notes(self) -> dict[str, str]:
        """What stands beside a port: the label of its cable, and where a moved cable goes when not on this plate."""
        notes = {port: item.cable.label for port, item in self.marks.items() if item.cable}
        for move in self.moves:
            start, end = move.from_port, move.to_port
            if start and self._here(start) and not self._here(end):
                notes[start.port] = f"{move.cable} to {end}" if end else f"{move.cable}: pull"
            elif end and self._here(end):
                came = "" if self._here(start) else f" from {start}" if start else " (loose)"
                notes[end.port] = f"{move.cable}{came}"
        return notes

    def _margin(self, row: int) -> float:
        lengths = [len(words) for port, words in self.notes.items() if self.ports.index(port) % self.rows == row]
        return max(lengths) * LABEL_SIZE * 0.62 + 18 if lengths else 6.0

    def _window(self, all_columns: int) -> tuple[int, int] | None:
        """First column and how many, around the marked ports; None when they are too far apart, or all fit."""
        marked = [self.ports.index(port) // self.rows for port in {*self.marks, *self.leaving, *self.notes}]
        if not marked or all_columns <= NEAR or max(marked) - min(marked) >= NEAR:
            return None
        first = (min(marked) + max(marked) + 1 - NEAR) // 2
        return min(max(first, 0), all_columns - NEAR), NEAR

    def draw(self) -> str:
        per_block = self.columns * self.rows
        blocks = -(-len(self.ports) // per_block)
        width = max(self.shown, NEAR) * CELL + 24
        root = svg.picture(width, blocks * self.block_height, f"ports of {self.device.name}")
        for block in range(blocks):
            # What is left out lies beyond the edge: there the plate has no end.
            left = 4 if self.first == 0 else -20
            right = self.shown * CELL + 20 if self.first + self.shown == self.columns else width + 20
            svg.add(root, "rect", x=left, y=block * self.block_height + self.above, width=right - left,
                    height=self.rows * PORT_HEIGHT + 16, rx=8, fill=svg.PLATE, stroke=svg.INK,
                    stroke_width=2)  # fmt: skip
        for number, port in enumerate(self.ports):
            if self.first <= number // self.rows % self.columns < self.first + self.shown:
                self._draw_port(root, number, port)
        for start, end in self.arrows:
            svg.arrow(root, self._anchor(start), self._anchor(end), svg.ALARM)
        return svg.done(root)

    def _corner(self, number: int) -> tuple[float, float]:
        column, row = divmod(number, self.rows)
        block, column = divmod(column, self.columns)
        return 12 + (column - self.first) * CELL, block * self.block_height + self.above + 8 + row * PORT_HEIGHT

    def _anchor(self, port: str) -> tuple[float, float]:
        """Where an arrow begins or ends: beside the number, which must stay readable."""
        x, y = self._corner(self.ports.index(port))
        return x + CELL * 0.72, y + PORT_HEIGHT * 0.55

    def _draw_port(self, root: svg.Element, number: int, port: str) -> None:
        x, y = self._corner(number)
        item = self.marks.get(port)
        fill = svg.colour(item.cable.colour) if item and item.cable else svg.PAPER
        leaving, pointed = port in self.leaving, any(port in pair for pair in self.arrows)
        strong = item is not None or port in self.leaving or port in self.notes
        group = svg.add(root, "g", data_port=port)
        svg.add(group, "rect", x=x + 4, y=y + 4, width=CELL - 8, height=PORT_HEIGHT - 8, rx=5, fill=fill,
                stroke=svg.ALARM if leaving else svg.INK if strong else "#9aa0a6",
                stroke_width=4 if strong else 1.5, **({"stroke_dasharray": "8 5"} if leaving else {}))  # fmt: skip
        svg.text(group, x + CELL * (0.32 if pointed else 0.5), y + PORT_HEIGHT / 2, _short(port), 22 if strong else 18,
                 text_anchor="middle", fill=svg.ink_on(fill) if strong else "#6b7178",
                 font_weight="bold" if strong else "normal")  # fmt: skip
        if item:
            self._draw_state(group, x, y, item)
        if port in self.notes:
            up = number % self.rows == 0
            edge = y - 14 if up else y + PORT_HEIGHT + 14
            middle = x + CELL / 2
            svg.text(group, middle, edge, self.notes[port], LABEL_SIZE, font_weight="bold", fill=svg.INK,
                     text_anchor="start" if up else "end",
                     transform=f"rotate(-90 {middle:.1f} {edge:.1f})")  # fmt: skip

    def _draw_state(self, group: svg.Element, x: float, y: float, item: Item) -> None:
        if item.state is ItemState.VERIFIED:
            svg.tick(group, x + CELL - 26, y + 2, 20)
        elif item.kind is ItemKind.UNCABLE or item.verdict is Verdict.UNEXPECTED:
            for x1, x2 in ((x + 8, x + CELL - 8), (x + CELL - 8, x + 8)):
                svg.add(group, "line", x1=x1, y1=y + 8, x2=x2, y2=y + PORT_HEIGHT - 8, stroke=svg.ALARM,
                        stroke_width=5)  # fmt: skip


def _short(port: str) -> str:
    """What is printed beside a port on the device: its number."""
    found = re.search(r"\d+(?:/\d+)*$", port)
    return found.group() if found else port[-4:]
