"""Plots over time as SVG: axes with words that people read, lines, bands, marks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from freehold.web.svg import INK, PAPER, add, done, picture, text

WIDTH, HEIGHT = 760.0, 340.0
LEFT, RIGHT, TOP, BOTTOM = 64.0, 16.0, 56.0, 52.0
GRID, FAINT = "#e1e5ea", "#5f6b77"
SIZE = 12.0
LETTER = 6.6
"""About how wide a letter of that size is."""

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Line:
    """What a line looks like, in the plot and in its key."""

    name: str
    stroke: str
    width: float = 1.8
    dashes: str = ""


class Plot:
    """One plot. Times are seconds since 1970."""

    def __init__(self, title: str, unit: str, times: tuple[float, float], most: float) -> None:
        self.root = picture(WIDTH, HEIGHT, title)
        self.begins, self.ends = times
        self.most = _round_up(most)
        add(self.root, "rect", width=WIDTH, height=HEIGHT, fill=PAPER)
        text(self.root, LEFT, 16, title, 14, fill=INK, font_weight="600")
        self._axes(unit)
        self._key_at = LEFT

    def x(self, at: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (at - self.begins) / max(1.0, self.ends - self.begins)

    def y(self, value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * min(value, self.most) / self.most

    def line(self, look: Line, points: Points, gap_s: float = math.inf, *, stairs: bool = False) -> None:
        """Points further apart than `gap_s` are not joined. `stairs`: a value holds until the next."""
        for part in _parts(points, gap_s):
            corners = _stairs(part) if stairs else part
            given = " ".join(f"{self.x(t):.1f},{self.y(v):.1f}" for t, v in corners)
            add(self.root, "polyline", points=given, fill="none", **_stroke(look))
        self._key(look)

    def band(self, name: str, fill: str, low: Points, high: Points) -> None:
        corners = [*high, *reversed(low)]
        given = " ".join(f"{self.x(t):.1f},{self.y(v):.1f}" for t, v in corners)
        add(self.root, "polygon", points=given, fill=fill, stroke="none")
        self._key(Line(name, fill, 9))

    def level(self, look: Line, value: float) -> None:
        add(self.root, "line", x1=LEFT, x2=WIDTH - RIGHT, y1=self.y(value), y2=self.y(value), **_stroke(look))
        self._key(look)

    def moment(self, at: float, words: str, stroke: str, row: int = 0) -> None:
        """An upright line with words at its upper end; `row`: so many lines lower, so that words do not overlap."""
        x, y = self.x(at), TOP + 9 + 15 * row
        add(
            self.root,
            "line",
            x1=x,
            x2=x,
            y1=TOP,
            y2=HEIGHT - BOTTOM,
            stroke=stroke,
            stroke_width=1.2,
            stroke_dasharray="3 3",
        )
        left = x + 5 + len(words) * LETTER > WIDTH - RIGHT
        wide = len(words) * LETTER + 4
        # Paper behind the words, so that another line does not run through them.
        add(self.root, "rect", x=x - 5 - wide if left else x + 3, y=y - 8, width=wide, height=15, fill=PAPER)
        text(self.root, x - 5 if left else x + 5, y, words, SIZE, fill=stroke, text_anchor="end" if left else "start")

    def mark(self, at: float, value: float, fill: str, *, up: bool) -> None:
        """A small triangle that points up or down."""
        x, y, s = self.x(at), self.y(value), -5.0 if up else 5.0
        add(
            self.root,
            "polygon",
            points=f"{x - 5:.1f},{y - s:.1f} {x + 5:.1f},{y - s:.1f} {x:.1f},{y + s:.1f}",
            fill=fill,
        )

    def svg(self) -> str:
        return done(self.root)

    def _key(self, look: Line) -> None:
        add(self.root, "line", x1=self._key_at, x2=self._key_at + 20, y1=36, y2=36, **_stroke(look))
        text(self.root, self._key_at + 25, 36, look.name, SIZE, fill=FAINT)
        self._key_at += 42 + len(look.name) * LETTER

    def _axes(self, unit: str) -> None:
        root = self.root
        for i in range(5):
            value = self.most * i / 4
            add(
                root, "line", x1=LEFT, x2=WIDTH - RIGHT, y1=self.y(value), y2=self.y(value), stroke=GRID, stroke_width=1
            )
            text(root, LEFT - 8, self.y(value), _axis_words(value), SIZE, fill=FAINT, text_anchor="end")
        text(root, LEFT - 8, HEIGHT - BOTTOM + 18, unit, SIZE, fill=FAINT, text_anchor="end")
        length = self.ends - self.begins
        form = "%Y-%m-%d" if length >= 4 * 86400 else "%m-%d %H:%M" if length >= 7200 else "%H:%M:%S"
        for i in range(5):
            at = self.begins + length * i / 4
            add(
                root,
                "line",
                x1=self.x(at),
                x2=self.x(at),
                y1=HEIGHT - BOTTOM,
                y2=HEIGHT - BOTTOM + 5,
                stroke=FAINT,
                stroke_width=1,
            )
            anchor = "end" if i == 4 else "middle"
            when = datetime.fromtimestamp(at, UTC).strftime(form)
            if i:
                text(root, self.x(at), HEIGHT - BOTTOM + 18, when, SIZE, fill=FAINT, text_anchor=anchor)
        text(root, WIDTH - RIGHT, HEIGHT - BOTTOM + 38, "UTC", SIZE, fill=FAINT, text_anchor="end")

    def note(self, words: str) -> None:
        """One line below the plot."""
        text(self.root, LEFT, HEIGHT - 14, words, SIZE, fill=INK)


def _axis_words(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def _stroke(look: Line) -> dict[str, float | str]:
    given: dict[str, float | str] = {"stroke": look.stroke, "stroke_width": look.width}
    return {**given, "stroke_dasharray": look.dashes} if look.dashes else given


def _parts(points: Points, gap_s: float) -> list[list[tuple[float, float]]]:
    parts: list[list[tuple[float, float]]] = []
    for point in points:
        if not parts or point[0] - parts[-1][-1][0] > gap_s:
            parts.append([])
        parts[-1].append(point)
    return parts


def _stairs(points: Points) -> list[tuple[float, float]]:
    corners = [points[0]]
    for at, value in points[1:]:
        corners += [(at, corners[-1][1]), (at, value)]
    return corners


def _round_up(value: float) -> float:
    """The next number whose quarters are short, so that the axis has readable numbers."""
    if value <= 0:
        return 1.0
    scale = 10.0 ** math.floor(math.log10(value))
    return next(scale * step for step in (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10, 12) if scale * step >= value)
