"""The work order on paper: what stands on it, and that its QR codes lead to the items."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
import segno

from freehold.models.hall import Position
from freehold.web import sheet
from tests.web import pictures
from tests.web.paper import RUN, checklist


def words_of(pdf: bytes, folder: Path) -> str:
    file = folder / "sheet.pdf"
    file.write_bytes(pdf)
    found = subprocess.run(["pdftotext", "-layout", str(file), "-"], check=True, capture_output=True, timeout=60)
    return found.stdout.decode()


def test_the_sheet_holds_this_change_and_nothing_else(tmp_path: Path) -> None:
    words = words_of(pictures.sheet(), tmp_path)
    for item in checklist().items:
        assert item.device in words
        if item.cable:
            # in the table, and as here and far end of two labels
            assert words.count(str(item.cable.a)) == 2 and words.count(str(item.cable.b)) == 2
    for expected in ("Install 2 servers for acme-1", RUN, "FHSRV0010", "north-a, north-b", "page 1 of 4"):
        assert expected in words
    for elsewhere in ("N-101", "N-202", "leaf3", "FHSRV0001"):
        assert elsewhere not in words


def test_the_paper_is_a4(tmp_path: Path) -> None:
    file = tmp_path / "sheet.pdf"
    file.write_bytes(pictures.sheet())
    info = subprocess.run(["pdfinfo", str(file)], check=True, capture_output=True, text=True, timeout=60).stdout
    assert "(A4)" in info and "Pages:           4" in info


def test_qr_codes_lead_to_the_items(monkeypatch: pytest.MonkeyPatch) -> None:
    coded: list[str] = []
    make = segno.make

    def recorded(words: str, **given: object) -> object:
        coded.append(words)
        return make(words, **given)

    monkeypatch.setattr(sheet.segno, "make", recorded)
    pictures.sheet()
    base = f"https://freehold.example/runs/{RUN}"
    cables = [item.id for item in checklist().items if item.cable]
    assert coded == [base, *(f"{base}/items/{item.replace(':', '%3A')}" for item in cables for _ in (0, 1))]


def test_a_big_change_fits_and_a_device_nobody_knows_is_left_out(tmp_path: Path) -> None:
    hall = pictures.lab_hall()
    moved = hall.device("srv-10").model_copy(update={"position": Position(rack="r1", unit=15)})
    known = [moved, *(d for d in hall.devices if d.name not in ("srv-10", "srv-11"))]
    items = tuple(item.model_copy(update={"id": f"{item.id}-{n}"}) for n in range(12) for item in checklist().items)
    big = checklist().model_copy(update={"items": items})
    pdf = sheet.render_sheet(hall.model_copy(update={"devices": tuple(known)}), big, run=RUN, base_url="http://x",
                             at=datetime(2025, 3, 4, tzinfo=UTC))  # fmt: skip
    words = words_of(pdf, tmp_path)
    assert "120 Switch srv-11 on" in " ".join(words.split())
