"""The technicians' pages as a browser without JavaScript talks to them."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path

import httpx
import pytest

from freehold.errors import Conflict
from freehold.models.checklist import ConfirmItems, ItemState
from freehold.settings import Settings
from freehold.web.attempts import MOST_WRONG, WITHIN_S, Attempts
from freehold.web.pages import HEADERS, Pages
from freehold.web.sessions import COOKIE, Sessions
from freehold.web.work import ProcedureWork
from tests.web.paper import RUN, PaperWork, after_a_swap, checklist, lab_hall
from tests.web.pictures import link_of
from tests.web.site import PASSWORD, make_sessions

URL = "http://page.example"


@pytest.fixture
def sessions(tmp_path: Path) -> Sessions:
    return make_sessions(tmp_path)


@pytest.fixture
def work() -> PaperWork:
    return PaperWork(install_acme_1=checklist(), install_beta_1=after_a_swap())


@pytest.fixture
async def http(work: PaperWork, sessions: Sessions) -> AsyncIterator[httpx.AsyncClient]:
    app = Pages(work, lab_hall, sessions).app
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=URL, follow_redirects=True) as client:
        yield client


@pytest.fixture
async def tess(http: httpx.AsyncClient, sessions: Sessions) -> httpx.AsyncClient:
    assert "Work for technicians" in (await http.get(link_of(sessions))).text
    return http


def key_of(page: str) -> str:
    found = re.search(r'name="form_key" value="([0-9a-f]{64})"', page)
    assert found
    return found[1]


def buttons(page: str) -> dict[str, str]:
    """What each button that confirms sends, by the ids in it."""
    values = [unescape(v) for v in re.findall(r'name="done" value="([^"]+)"', page)]
    return {" ".join(item for item, _ in json.loads(value)): value for value in values}


async def press(http: httpx.AsyncClient, ids: str) -> httpx.Response:
    page = (await http.get(f"/runs/{RUN}")).text
    return await http.post(f"/runs/{RUN}", data={"form_key": key_of(page), "done": buttons(page)[ids]})


async def test_one_tap_confirms_one_item_in_the_name_of_who_is_logged_in(
    tess: httpx.AsyncClient, work: PaperWork
) -> None:
    answer = await press(tess, "rack:srv-10")
    assert (
        answer.status_code == 200 and "1 noted as done; 9 open" in answer.text and "tess says it is done" in answer.text
    )
    assert work.said == [(RUN, ConfirmItems(operator="tess", done=("rack:srv-10",)), "tess")]
    assert "noted as done" not in (await tess.get(f"/runs/{RUN}")).text


async def test_a_whole_rack_is_confirmed_as_it_was_shown(tess: httpx.AsyncClient, work: PaperWork) -> None:
    ids = [item.id for item in checklist().items if item.place and item.place.rack == "r2"]
    await press(tess, " ".join(ids))
    assert work.said[0][1].done == tuple(ids)
    assert {i.state for i in work.lists[RUN].items if i.id in ids} == {ItemState.CONFIRMED}
    assert {i.state for i in work.lists[RUN].items if i.id not in ids} == {ItemState.OPEN}


async def test_a_problem_says_why(tess: httpx.AsyncClient, work: PaperWork) -> None:
    page = (await tess.get(f"/runs/{RUN}/items/cable:leaf1.swp11")).text
    given = {"form_key": key_of(page), "problem": '[["cable:leaf1.swp11", 1]]'}
    refused = await tess.post(f"/runs/{RUN}", data=given | {"reason": " ", "words": ""})
    assert refused.status_code == 400 and "Say why" in refused.text and not work.said
    mean = "it hangs <b>loose</b>"
    page = (await tess.post(f"/runs/{RUN}", data=given | {"reason": "the port is broken", "words": mean})).text
    assert work.said[0][1].problems == {"cable:leaf1.swp11": f"the port is broken: {mean}"}
    assert "&lt;b&gt;loose" in page and "<b>loose" not in page


async def test_what_cannot_be_used_goes_to_the_planner(tess: httpx.AsyncClient, work: PaperWork) -> None:
    page = (await tess.get(f"/runs/{RUN}/items/cable:leaf1.swp11")).text
    assert "leaf1/swp11 cannot be used: plan another" in page
    given = {"form_key": key_of(page), "problem": '[["cable:leaf1.swp11", 1]]', "out_of_use": "leaf1/swp11"}
    refused = await tess.post(f"/runs/{RUN}", data=given)
    assert refused.status_code == 400 and "Say why" in refused.text and not work.said
    await tess.post(f"/runs/{RUN}", data=given | {"reason": "the port is broken"})
    assert work.said[0][1].out_of_use == {"leaf1/swp11": "the port is broken"} and not work.said[0][1].problems


async def test_a_run_stays_on_the_list_while_machines_check(tess: httpx.AsyncClient, work: PaperWork) -> None:
    assert "Machines check it now" not in (await tess.get("/")).text
    items = tuple(i.model_copy(update={"state": ItemState.CONFIRMED}) for i in checklist().items)
    work.lists[RUN] = checklist().model_copy(update={"items": items})
    assert "Machines check it now" in (await tess.get("/")).text


async def test_an_item_issued_again_meanwhile_is_not_confirmed(tess: httpx.AsyncClient, work: PaperWork) -> None:
    page = (await tess.get(f"/runs/{RUN}")).text
    work.lists[RUN] = after_a_swap()
    for old in ("cable:leaf1.swp11", "cable:leaf1.swp12"):
        answer = await tess.post(f"/runs/{RUN}", data={"form_key": key_of(page), "done": buttons(page)[old]})
        assert answer.status_code == 409 and "issued again since" in answer.text
    assert not work.said


async def test_what_was_wrong_comes_first_with_its_picture(tess: httpx.AsyncClient) -> None:
    page = (await tess.get("/runs/install-beta-1")).text
    first, rest = page.split("<h2>Rack r1", 1)
    assert "leaf1/swp12; move it to leaf1/swp11" in first and first.count("<polygon") == 2
    assert "<polygon" not in rest and "no free socket on the feed" in rest
    for words in ("2 to do again", "3 to do", "1 being checked", "1 with a problem", "3 of 10 verified"):
        assert words in first


async def test_an_item_has_its_own_page(tess: httpx.AsyncClient) -> None:
    page = (await tess.get(f"/runs/{RUN}/items/cable:leaf2.swp9")).text
    for words in ("srv-11", "eth1", "leaf2", "swp9", "rack r2, unit 42", "rack r2, unit 15", "blue, cat6a, 2 m"):
        assert words in page
    assert page.count("<svg") >= 4
    assert (await tess.get(f"/runs/{RUN}/items/cable:leaf2.swp99")).status_code == 404


async def test_who_is_not_logged_in_is_led_through_the_login_to_the_item(http: httpx.AsyncClient) -> None:
    target = f"/runs/{RUN}/items/cable:leaf2.swp9"
    page = await http.get(target)
    assert page.url.path == "/login" and page.url.params["next"] == target
    form = {"form_key": key_of(page.text), "name": "tess", "next": target}
    wrong = await http.post("/login", data=form | {"password": "wrong horse"})
    assert wrong.status_code == 403 and "do not fit" in wrong.text
    right = await http.post("/login", data=form | {"password": PASSWORD})
    assert right.url.path == target and "Plug cable leaf2.swp9" in right.text
    cookie = next(c for c in http.cookies.jar if c.name == COOKIE)
    assert cookie.has_nonstandard_attr("HttpOnly") and PASSWORD not in str(right.url)


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/\\evil.example", "\\evil", "/\t/evil"])
async def test_a_login_never_leads_to_another_site(http: httpx.AsyncClient, target: str) -> None:
    page = await http.get("/login", params={"next": target})
    form = {"form_key": key_of(page.text), "name": "tess", "password": PASSWORD, "next": target}
    answer = await http.post("/login", data=form, follow_redirects=False)
    assert answer.status_code == 303 and answer.headers["location"] == "/"


async def test_a_form_of_another_site_does_nothing(
    tess: httpx.AsyncClient, work: PaperWork, sessions: Sessions
) -> None:
    page = (await tess.get(f"/runs/{RUN}")).text
    done = buttons(page)["rack:srv-10"]
    tess.cookies.delete(COOKIE)
    await tess.get(link_of(sessions, "olivia"))
    for key in ("", "x", "é", "0" * 64, key_of(page)):  # the last one is of another session
        answer = await tess.post(f"/runs/{RUN}", data={"form_key": key, "done": done})
        assert answer.status_code == 403 and "load the page again" in answer.text
    assert not work.said
    assert (await tess.post("/logout", data={"form_key": ""})).status_code == 403
    login = await tess.post("/login", data={"name": "tess", "password": PASSWORD, "form_key": "0" * 64})
    assert login.status_code == 403


async def test_roles_hold(http: httpx.AsyncClient, work: PaperWork, sessions: Sessions) -> None:
    page = (await http.get(link_of(sessions, "audrey"))).text
    page = (await http.get(f"/runs/{RUN}")).text
    assert "Plug cable" in page and not buttons(page) and "Report the problem" not in page
    answer = await http.post(f"/runs/{RUN}", data={"form_key": key_of(page), "done": '[["rack:srv-10", 1]]'})
    assert answer.status_code == 403 and "audrey may not confirm items of a checklist" in answer.text
    assert not work.said


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({}, 400, "which items"),
        ({"done": "all"}, 400, "which items"),
        ({"done": "[]"}, 400, "which items"),
        ({"done": "[[1, 2]]"}, 400, "which items"),
        ({"done": '{"a": 1}'}, 400, "which items"),
        ({"done": "[" * 20_000}, 400, "which items"),
        ({"done": '[["rack:srv-99", 1]]'}, 404, "no item"),
        ({"done": "x" * 70_000}, 400, "64 KiB"),
        ({str(n): "" for n in range(100)}, 400, "cannot be read"),
    ],
)
async def test_bad_input_gets_one_sentence(
    tess: httpx.AsyncClient, work: PaperWork, fields: dict[str, str], status: int, words: str
) -> None:
    key = key_of((await tess.get(f"/runs/{RUN}")).text)
    answer = await tess.post(f"/runs/{RUN}", data={"form_key": key} | fields)
    assert answer.status_code == status and words in answer.text and "Traceback" not in answer.text
    assert not work.said


async def test_other_bodies_and_pages_are_refused(tess: httpx.AsyncClient) -> None:
    assert (await tess.post(f"/runs/{RUN}", json={"done": "all"})).status_code == 400
    assert (
        await tess.post(f"/runs/{RUN}", data={"a": "b"}, headers={"content-type": "multipart/form-data"})
    ).status_code == 400
    for path in ("/runs/nothing", "/nothing", "/docs", "/openapi.json", "/runs/%3Cscript%3E"):
        answer = await tess.get(path)
        assert answer.status_code == 404 and "<script>" not in answer.text


async def test_links_and_sessions_end(http: httpx.AsyncClient, sessions: Sessions) -> None:
    link = link_of(sessions)
    bad = await http.get(link[:-3] + "xyz")
    assert bad.status_code == 403 and "Ask for a new one" in bad.text
    await http.get(link)
    page = await http.get("/")
    assert (await http.post("/logout", data={"form_key": key_of(page.text)})).url.path == "/login"
    assert (await http.get("/")).url.path == "/login"
    await http.get(link)
    sessions.accounts.remove("tess")
    assert (await http.get("/")).url.path == "/login" and (await http.get(link)).status_code == 403


async def test_a_server_that_is_down_is_one_sentence(settings: Settings, sessions: Sessions) -> None:
    app = Pages(ProcedureWork(settings), lab_hall, sessions).app
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=URL, follow_redirects=True) as http:
        answer = await http.get(link_of(sessions))
        assert answer.status_code == 503 and "start it with `freehold up`" in unescape(answer.text)


async def test_accounts_that_others_may_read_are_one_sentence(tess: httpx.AsyncClient, sessions: Sessions) -> None:
    sessions.accounts.path.chmod(0o644)
    answer = await tess.get("/")
    assert answer.status_code == 400 and "chmod 600" in answer.text


async def test_every_answer_has_the_headers(tess: httpx.AsyncClient) -> None:
    for path in ("/", f"/runs/{RUN}", "/nothing", "/login", "/health"):
        answer = await tess.get(path)
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    style = await tess.get("/style.css")
    assert (
        style.headers["content-type"].startswith("text/css")
        and "unsafe-inline" not in style.headers["content-security-policy"]
    )
    assert not re.search(r"<script|\sstyle=|\son\w+=|https?://(?!www\.w3\.org)", (await tess.get(f"/runs/{RUN}")).text)


def test_guessing_is_slowed_down() -> None:
    clock = [0.0]
    attempts = Attempts(now=lambda: clock[0])
    for _ in range(MOST_WRONG):
        attempts.refuse_more("tess")
        attempts.failed("Tess ")
    with pytest.raises(Conflict, match="wait 5 minutes"):
        attempts.refuse_more("tess")
    attempts.refuse_more("olivia")
    clock[0] = WITHIN_S
    attempts.refuse_more("tess")
