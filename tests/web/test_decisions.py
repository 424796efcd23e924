"""The page of a decision: reasons, figures and the forecast's picture, for who may read them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from freehold.models.instance import Evidence, EvidenceKind
from freehold.models.scaling import Action, Decision, LeadPart, LeadPartTime, LeadTime
from freehold.web.decisions import add_decisions
from freehold.web.pages import HEADERS, Pages
from freehold.web.sessions import Sessions
from tests.web.paper import PaperWork, checklist, lab_hall
from tests.web.pictures import link_of
from tests.web.site import make_sessions

DECISION = Decision(
    instance="acme-1",
    at=datetime(2026, 11, 27, tzinfo=UTC),
    action=Action.UP,
    summary="bigger: 1 GiB to 2 GiB, because <stored> bytes have long been too much",
    reasons=("stored bytes were 90 % of 1 GiB for 30 minutes & more",),
    lead_time=LeadTime(
        usual_s=7200,
        late_s=9000,
        parts=(LeadPartTime(part=LeadPart.APPROVAL, usual_s=7200, late_s=9000, learned_from=3),),
    ),
    spend_before=120.02,
    spend_after=120.04,
)


def evidence(kind: EvidenceKind) -> Evidence:
    observed = {"decision": DECISION.model_dump(mode="json"), "plots": ['<svg xmlns="x"><title>plot</title></svg>']}
    return Evidence(
        id=f"run/{kind}/acme-1", instance="acme-1", kind=kind, claim="", holds=True, observed=observed, at=DECISION.at
    )


@pytest.fixture
def sessions(tmp_path: Path) -> Sessions:
    return make_sessions(tmp_path)


@pytest.fixture
async def http(sessions: Sessions) -> AsyncIterator[httpx.AsyncClient]:
    kept = {each.id: each for each in map(evidence, (EvidenceKind.SCALING, EvidenceKind.PLAN))}
    pages = Pages(PaperWork(install_acme_1=checklist()), lab_hall, sessions)
    add_decisions(pages, kept.get)
    transport = httpx.ASGITransport(pages.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://page.example", follow_redirects=True) as client:
        yield client


async def test_who_may_read_sees_why(http: httpx.AsyncClient, sessions: Sessions) -> None:
    await http.get(link_of(sessions))
    page = await http.get("/decisions/run/scaling/acme-1")
    assert page.status_code == 200
    assert page.headers["Content-Security-Policy"] == HEADERS["Content-Security-Policy"]
    for words in (
        "because &lt;stored&gt; bytes have long been too much",
        "for 30 minutes &amp; more",
        "<title>plot</title>",
        "usually 2.0 h, at times 2.5 h",
        "from 3 earlier procedures",
        "Spend a month: 120.02 now, 120.04 then.",
    ):
        assert words in page.text


async def test_a_stranger_is_asked_to_log_in(http: httpx.AsyncClient) -> None:
    page = await http.get("/decisions/run/scaling/acme-1")
    assert page.url.path == "/login"
    assert "90 %" not in page.text


@pytest.mark.parametrize("name", ["run/plan/acme-1", "nothing"])
async def test_only_decisions_are_shown(http: httpx.AsyncClient, sessions: Sessions, name: str) -> None:
    await http.get(link_of(sessions))
    page = await http.get(f"/decisions/{name}")
    assert page.status_code == 404
    assert "There is no decision" in page.text
