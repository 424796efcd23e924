"""The work order on paper: tick boxes, rack elevations, face plates and cable labels of one checklist, as an A4 PDF.

The QR codes lead to the same items on the technicians' page.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

import segno
from weasyprint import HTML
from weasyprint.urls import URLFetcher

from freehold.models.checklist import Checklist
from freehold.models.hall import DeviceKind, Hall
from freehold.templates import TEMPLATES
from freehold.web import drawings
from freehold.web.cards import Card, cards, grouped
from freehold.web.pages import environment

NOTHING = URLFetcher(allowed_protocols=())  # the sheet holds all that it needs


@dataclass(frozen=True)
class CableLabel:
    """One of the two flags of a cable: what stands on it says where this end goes, and where the other one is."""

    card: Card
    here: int

    @property
    def end(self) -> str:
        return str(self.card.ends[self.here].ref)

    @property
    def far(self) -> str:
        return str(self.card.ends[1 - self.here].ref)


def render_sheet(hall: Hall, checklist: Checklist, *, run: str, base_url: str, at: datetime) -> bytes:
    """The PDF. `base_url` is where phones reach the technicians' page."""

    def link(item: str) -> str:
        return f"{base_url.rstrip('/')}/runs/{quote(run, safe='')}/items/{quote(item, safe='')}"

    found = cards(hall, checklist)
    words = (
        environment()
        .get_template("sheet.html.j2")
        .render(
            checklist=checklist,
            run=run,
            at=at,
            groups=grouped(found),
            racks=_drawn((name, drawings.rack_elevation(hall, checklist, name)) for name in drawings.racks(checklist)),
            plates=_drawn(
                (name, drawings.face_plate(hall, checklist, name, columns=24)) for name in drawings.plates(checklist)
            ),
            switches={device.name for device in hall.devices if device.kind is DeviceKind.SWITCH},
            where={
                device.name: f"rack {device.position.rack}, unit {device.position.unit}"
                for device in hall.devices
                if device.position
            },
            labels=[CableLabel(card, end) for card in found if card.ends for end in (0, 1)],
            link=link,
            overview=f"{base_url.rstrip('/')}/runs/{quote(run, safe='')}",
            qr=_qr,
            style=(TEMPLATES / "web" / "sheet.css").read_text(),
        )
    )
    return bytes(HTML(string=words, url_fetcher=NOTHING).write_pdf())


def _drawn(pictures: Iterable[tuple[str, str | None]]) -> list[tuple[str, str]]:
    return [(name, picture) for name, picture in pictures if picture]


def _qr(words: str) -> str:
    return segno.make(words, error="m", micro=False).svg_inline(border=2, omitsize=True)
