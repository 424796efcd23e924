"""The picture of the architecture: `python -m docs.programs.architecture` writes docs/pictures/architecture.svg."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path

FILE = Path(__file__).parents[1] / "pictures/architecture.svg"
WIDTH, HEIGHT = 960, 640
STYLE = """
text { font-family: system-ui, "Segoe UI", "DejaVu Sans", sans-serif; font-size: 13px; fill: #1f2933; }
.title { font-weight: 600; font-size: 14px; }
.small { font-size: 12px; fill: #52606d; }
.band { font-size: 12px; font-weight: 600; fill: #7b8794; letter-spacing: 1px; }
.line { stroke: #52606d; stroke-width: 1.4; fill: none; marker-end: url(#tip); }
.both { marker-start: url(#tip); }
"""
PEOPLE, OURS, ENGINE, STORE, HALL, CUSTOMER = "#fff7e6", "#e3f2f1", "#e8eefc", "#f3f0fa", "#f5f7fa", "#e9f7e9"


@dataclass(frozen=True)
class Box:
    x: int
    y: int
    width: int
    height: int
    title: str
    lines: tuple[str, ...] = ()
    fill: str = OURS

    def svg(self) -> Iterator[str]:
        yield (
            f'<rect x="{self.x}" y="{self.y}" width="{self.width}" height="{self.height}" rx="7" '
            f'fill="{self.fill}" stroke="#9aa5b1"/>'
        )
        middle = self.x + self.width / 2
        top = self.y + self.height / 2 - 8.5 * len(self.lines) + 5
        yield f'<text class="title" x="{middle:g}" y="{top:g}" text-anchor="middle">{escape(self.title)}</text>'
        for number, line in enumerate(self.lines, 1):
            yield (
                f'<text class="small" x="{middle:g}" y="{top + 17 * number:g}" '
                f'text-anchor="middle">{escape(line)}</text>'
            )


def arrow(*points: tuple[int, int], label: str = "", at: tuple[int, int] = (0, 0), both: bool = False) -> Iterator[str]:
    path = " ".join(f"{'L' if i else 'M'} {x} {y}" for i, (x, y) in enumerate(points))
    yield f'<path class="line{" both" if both else ""}" d="{path}"/>'
    if label:
        yield f'<text class="small" x="{at[0]}" y="{at[1]}">{escape(label)}</text>'


def picture() -> Iterator[str]:
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}">'
    yield f"<title>Freehold: people, procedures, devices</title><style>{STYLE}</style>"
    yield (
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
        'orient="auto-start-reverse"><path d="M 0 0.5 L 7.5 4 L 0 7.5 z" fill="#52606d"/></marker></defs>'
    )
    yield f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>'
    for y, name in ((26, "PEOPLE"), (142, "PROCEDURES"), (258, "EFFECTS"), (400, "THE HALL")):
        yield f'<text class="band" x="20" y="{y}">{name}</text>'
    people = (
        Box(20, 36, 200, 62, "operator", ("starts, watches, retries, aborts",), PEOPLE),
        Box(240, 36, 200, 62, "approver", ("reads the plan, agrees or not",), PEOPLE),
        Box(520, 36, 200, 62, "freehold", ("the command line",)),
        Box(740, 36, 200, 62, "Temporal Web UI", ("forms, timeline, messages",), ENGINE),
    )
    engine = (
        Box(20, 152, 420, 62, "workflows", ("ProvisionInstance · DecommissionInstance · SwitchSession",)),
        Box(520, 152, 420, 62, "Temporal", ("keeps every procedure's history; survives restarts",), ENGINE),
    )
    effects = (
        Box(
            20,
            268,
            420,
            84,
            "activities",
            ("one file per system touched: switches, servers,", "cabling, inventory, service, metrics"),
        ),
        Box(520, 268, 130, 84, "planning", ("pure functions:", "servers, VLANs,", "addresses")),
        Box(665, 268, 130, 84, "inventory", ("hall, reservations,", "evidence"), STORE),
        Box(810, 268, 130, 84, "secret store", ("keys and", "certificates"), STORE),
    )
    hall = (
        Box(40, 442, 170, 66, "leaf switches", ("VLAN and port state",), "white"),
        Box(40, 540, 170, 66, "LLDP on both ends", ("is the cable right?",), "white"),
        Box(
            300,
            442,
            250,
            164,
            "private instance: acme-1",
            (
                "servers held by one customer only",
                "S3 API (OpenStack Swift)",
                "objects in MariaDB",
                "HAProxy with TLS: the endpoint",
                "firewall, metrics",
            ),
            CUSTOMER,
        ),
        Box(655, 442, 145, 66, "acme's host", ("puts, gets, lists",), "white"),
        Box(655, 540, 145, 66, "another's host", ("reaches nothing",), "white"),
        Box(830, 410, 110, 214, "Prometheus", ("scrapes", "instances", "and workers"), ENGINE),
    )
    yield f'<rect x="20" y="410" width="795" height="214" rx="9" fill="{HALL}" stroke="#cbd2d9"/>'
    for box in (*people, *engine, *effects, *hall):
        yield from box.svg()
    yield from arrow((440, 67), (520, 67))
    yield from arrow((620, 98), (620, 152), label="start, signal, update", at=(630, 130))
    yield from arrow((840, 98), (840, 152))
    yield from arrow((520, 183), (440, 183), both=True)
    yield from arrow((230, 214), (230, 268), label="each step: read, compare, apply, read back", at=(240, 246))
    yield from arrow((440, 310), (520, 310))
    yield from arrow((125, 352), (125, 442), label="SSH, host keys checked", at=(135, 396))
    yield from arrow((400, 352), (400, 442), label="SSH: files, packages, units, disks, probes", at=(410, 396))
    yield from arrow((210, 475), (300, 475), label="cables", at=(235, 466), both=True)
    yield from arrow((655, 475), (550, 475), label="HTTPS", at=(580, 466))
    yield from arrow((655, 573), (585, 573))
    yield '<path d="M 567 563 l 16 20 m 0 -20 l -16 20" stroke="#c0392b" stroke-width="2.5" fill="none"/>'
    yield "</svg>"


def main() -> None:
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text("\n".join(picture()) + "\n")


if __name__ == "__main__":
    main()
