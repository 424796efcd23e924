"""A few words to build SVG with. Attributes only, no style: a page's security policy forbids inline style.

Built as a tree, so that whatever a name holds the result is well-formed.
"""

from __future__ import annotations

from xml.etree import ElementTree

Element = ElementTree.Element

COLOURS = {
    "aqua": "#22b8cf",
    "beige": "#d9c9a3",
    "black": "#222222",
    "blue": "#1c6dd0",
    "brown": "#8a5a2b",
    "green": "#2b9348",
    "grey": "#9aa0a6",
    "orange": "#f08c00",
    "pink": "#f06595",
    "purple": "#7b3fb5",
    "red": "#d62828",
    "turquoise": "#22b8cf",
    "violet": "#7b3fb5",
    "white": "#ffffff",
    "yellow": "#ffd400",
}
INK, PAPER, PLATE, EMPTY, ALARM, GOOD = "#1a1a1a", "#ffffff", "#e9ecef", "#c3c9cf", "#c1121f", "#1b7f3b"
FONT = "system-ui, 'DejaVu Sans', sans-serif"


def colour(name: str) -> str:
    """How a cable of that colour is drawn; an unknown one is grey, its name stands beside it anyway."""
    return COLOURS.get(name.casefold().replace("gray", "grey"), COLOURS["grey"])


def ink_on(fill: str) -> str:
    """Black or white, whichever is read better on `fill`."""
    red, green, blue = (int(fill[i : i + 2], 16) for i in (1, 3, 5))
    return INK if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else PAPER


def picture(width: float, height: float, title: str) -> Element:
    """A picture that scales with its place on the page; `title` is what a screen reader says."""
    root = Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {_number(width)} {_number(height)}",
            "role": "img",
            "font-family": FONT,
        },
    )
    ElementTree.SubElement(root, "title").text = title
    return root


def add(parent: Element, tag: str, words: str = "", /, **attributes: float | str) -> Element:
    """`stroke_width=2` becomes `stroke-width="2"`."""
    given = {name.rstrip("_").replace("_", "-"): _number(value) for name, value in attributes.items()}
    child = ElementTree.SubElement(parent, tag, given)
    if words:
        child.text = words
    return child


def text(parent: Element, x: float, y: float, words: str, size: float, **attributes: float | str) -> Element:
    """`y` is the middle of the line, which not every renderer can work out itself."""
    return add(parent, "text", words, x=x, y=y + size * 0.36, font_size=size, **attributes)


def tick(parent: Element, x: float, y: float, size: float) -> None:
    points = [(x, y + size * 0.55), (x + size * 0.38, y + size), (x + size, y)]
    for stroke, width in ((PAPER, 0.42), (GOOD, 0.24)):
        add(parent, "polyline", points=_points(points), fill="none", stroke=stroke, stroke_width=size * width)


def arrow(parent: Element, start: tuple[float, float], end: tuple[float, float], stroke: str) -> None:
    """A bent arrow; two between the same ports bend to different sides."""
    (x1, y1), (x2, y2) = start, end
    length = max(1.0, ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5)
    bend = min(30.0, length * 0.14)
    middle = ((x1 + x2) / 2 + (y2 - y1) / length * bend * 2, (y1 + y2) / 2 - (x2 - x1) / length * bend * 2)
    away = max(1.0, ((x2 - middle[0]) ** 2 + (y2 - middle[1]) ** 2) ** 0.5)
    dx, dy = (x2 - middle[0]) / away, (y2 - middle[1]) / away
    neck = (x2 - dx * 22, y2 - dy * 22)
    path = f"M {_pair((x1, y1))} Q {_pair(middle)} {_pair(neck)}"
    head = [end, (neck[0] - dy * 13, neck[1] + dx * 13), (neck[0] + dy * 13, neck[1] - dx * 13)]
    for line, width in ((PAPER, 13), (stroke, 7)):
        add(parent, "path", d=path, fill="none", stroke=line, stroke_width=width, stroke_linecap="round")
    add(parent, "circle", cx=x1, cy=y1, r=8, fill=stroke, stroke=PAPER, stroke_width=2)
    add(parent, "polygon", points=_points(head), fill=stroke, stroke=PAPER, stroke_width=2)


def done(root: Element) -> str:
    return ElementTree.tostring(root, encoding="unicode")


def _points(points: list[tuple[float, float]]) -> str:
    return " ".join(_pair(point) for point in points)


def _pair(point: tuple[float, float]) -> str:
    return f"{_number(point[0])},{_number(point[1])}"


def _number(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.1f}".removesuffix(".0")
