"""The pages for technicians: what is to be done, one tick box per item, readable and usable without JavaScript."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Any
from urllib.parse import quote, unquote

import structlog
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from freehold.errors import BadInput, Conflict, FreeholdError, NotFound, StackError
from freehold.models.checklist import Checklist, ConfirmItems
from freehold.models.hall import Hall
from freehold.models.people import Act
from freehold.templates import TEMPLATES
from freehold.web import cards, drawings
from freehold.web.accounts import Account
from freehold.web.attempts import Attempts
from freehold.web.forms import Foreign, form_key, read_form
from freehold.web.sessions import COOKIE, LINK, SESSION, Sessions
from freehold.web.work import Work

log = structlog.get_logger(__name__)

FORM_COOKIE, SAID_COOKIE = "freehold_form", "freehold_said"
LONGEST_WORDS = 500
HASHES_AT_ONCE = 2  # each takes 64 MiB
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}
STATUS = {NotFound: 404, Foreign: 403, Conflict: 409, BadInput: 400, StackError: 503}


class LoginNeeded(Exception):
    """Nobody is logged in; where to go afterwards."""


class Pages:
    """The routes. `hall` is read anew for each page, because it changes while the work goes on."""

    def __init__(self, work: Work, hall: Callable[[], Hall], sessions: Sessions) -> None:
        self.work, self.hall, self.sessions = work, hall, sessions
        self.attempts = Attempts()
        self._hashing = asyncio.Semaphore(HASHES_AT_ONCE)
        self.app = FastAPI(title="Freehold", docs_url=None, redoc_url=None, openapi_url=None)
        self.app.middleware("http")(_guard)
        for path, methods, page in (
            ("/", ["GET"], self.runs),
            ("/login", ["GET"], self.login_form),
            ("/login", ["POST"], self.login),
            ("/logout", ["POST"], self.logout),
            ("/link/{token}", ["GET"], self.link),
            ("/runs/{run}", ["GET"], self.run),
            ("/runs/{run}", ["POST"], self.answer),
            ("/runs/{run}/items/{item:path}", ["GET"], self.item),
            ("/style.css", ["GET"], self.style),
            ("/health", ["GET"], self.health),
        ):
            self.app.add_api_route(path, page, methods=methods, include_in_schema=False)
        self.app.add_exception_handler(LoginNeeded, _to_login)
        self.app.add_exception_handler(FreeholdError, self._told)
        self.app.add_exception_handler(HTTPException, self._told)

    # -- logging in

    async def login_form(self, request: Request) -> Response:
        return _form_page(request, "login.html.j2", next=_inside(request.query_params.get("next", "/")), problem="")

    async def login(self, request: Request) -> Response:
        fields = await read_form(request, request.cookies.get(FORM_COOKIE, ""))
        name, after = fields.get("name", "")[:64], _inside(fields.get("next", "/"))
        self.attempts.refuse_more(name)
        async with self._hashing:
            account = await run_in_threadpool(self.sessions.accounts.check, name, fields.get("password", ""))
        if account is None:
            self.attempts.failed(name)
            log.warning("login refused", name=name)
            page = _form_page(request, "login.html.j2", next=after, problem="That name and password do not fit.")
            page.status_code = 403
            return page
        self.attempts.forget(name)
        return self._enter(request, account, after, round(SESSION.total_seconds()))

    async def link(self, request: Request, token: str) -> Response:
        account = self.sessions.account_of_link(token)
        if account is None:
            raise Foreign(f"This link is not valid (any more): it lasts {LINK.days} days. Ask for a new one.")
        return self._enter(request, account, "/", round(SESSION.total_seconds()))

    def _enter(self, request: Request, account: Account, after: str, seconds: int) -> Response:
        log.info("logged in", name=account.name)
        answer = RedirectResponse(after, status_code=303)
        _set_cookie(request, answer, COOKIE, self.sessions.token(account), seconds)
        return answer

    async def logout(self, request: Request) -> Response:
        await read_form(request, request.cookies.get(COOKIE, ""))
        answer = RedirectResponse("/login", status_code=303)
        answer.delete_cookie(COOKIE)
        return answer

    def who(self, request: Request, act: Act) -> Account:
        account = self.sessions.account(request.cookies.get(COOKIE))
        if account is None:
            raise LoginNeeded(request.url.path)
        if not account.may(act):
            raise Foreign(f"{account.name} may not {act}; roles: {', '.join(account.roles)}.")
        return account

    # -- the work

    async def runs(self, request: Request) -> Response:
        account = self.who(request, Act.READ)
        found = await self.work.open_checklists()
        rows = [(each, cards.counts(each.checklist)) for each in found]
        rows.sort(key=lambda row: -row[1].again)
        return render_page(request, "runs.html.j2", account=account, rows=rows)

    async def run(self, request: Request, run: str) -> Response:
        account = self.who(request, Act.READ)
        checklist, hall = await self._of(run)
        found = [
            replace(card, pictures=cards.pictures(hall, checklist, card.item))
            if card.stage is cards.Stage.AGAIN
            else card
            for card in cards.cards(hall, checklist)
        ]
        return render_page(
            request,
            "run.html.j2",
            account=account,
            run=run,
            checklist=checklist,
            counts=cards.counts(checklist),
            again=[card for card in found if card.stage is cards.Stage.AGAIN],
            groups=cards.grouped([card for card in found if card.stage is not cards.Stage.AGAIN]),
            may_confirm=account.may(Act.CONFIRM),
        )

    async def item(self, request: Request, run: str, item: str) -> Response:
        account = self.who(request, Act.READ)
        checklist, hall = await self._of(run)
        found = cards.cards(hall, checklist)
        card = next((card for card in found if card.item.id == item), None)
        if card is None:
            raise NotFound(f"There is no item {item!r} in {run}.")
        own = drawings.racks(checklist.model_copy(update={"items": (card.item,)}))
        racks = [(rack, drawings.rack_elevation(hall, checklist, rack, only=item, folded=True)) for rack in own]
        return render_page(
            request,
            "item.html.j2",
            account=account,
            run=run,
            checklist=checklist,
            card=replace(card, pictures=cards.pictures(hall, checklist, card.item)),
            racks=[(rack, picture) for rack, picture in racks if picture],
            after=next((other for other in found[card.number :] if other.asked), None),
            may_confirm=account.may(Act.CONFIRM),
            longest=LONGEST_WORDS,
        )

    async def answer(self, request: Request, run: str) -> Response:
        """One item done, a whole rack, or a problem with one."""
        account = self.who(request, Act.CONFIRM)
        fields = await read_form(request, request.cookies.get(COOKIE, ""))
        checklist = await self.work.checklist(run)
        keys = _keys(fields.get("done") or fields.get("problem") or "")
        ids = _as_shown(checklist, keys)
        if "problem" in fields:
            why = ": ".join(words for field in ("reason", "words") if (words := fields.get(field, "").strip()))
            if not why:
                raise BadInput("Say why it could not be done: choose a reason or write one.")
            why = why[:LONGEST_WORDS]
            if thing := fields.get("out_of_use", ""):
                said = ConfirmItems(operator=account.name, out_of_use={thing[:64]: why})
            else:
                said = ConfirmItems(operator=account.name, problems=dict.fromkeys(ids, why))
        else:
            said = ConfirmItems(operator=account.name, done=ids)
        note = await self.work.confirm(run, said, account.name)
        log.info("answered", run=run, name=account.name, done=said.done, problems=list(said.problems))
        answer = RedirectResponse(f"/runs/{quote(run, safe='')}#{_anchor(checklist, ids[-1])}", status_code=303)
        told = note or (f"{len(ids)} confirmed" if said.done else "The problem is reported")
        _set_cookie(request, answer, SAID_COOKIE, quote(told[:200]), 60)
        return answer

    async def _of(self, run: str) -> tuple[Checklist, Hall]:
        return await self.work.checklist(run), await run_in_threadpool(self.hall)

    # -- around it

    async def style(self) -> Response:
        return Response(
            (TEMPLATES / "web" / "style.css").read_text(),
            media_type="text/css",
            headers={"Cache-Control": "max-age=300"},
        )

    async def health(self) -> Response:
        return Response("ok\n", media_type="text/plain")

    async def _told(self, request: Request, error: Exception) -> Response:
        """One clear sentence, on a page with a way back."""
        if isinstance(error, HTTPException):
            status, words = error.status_code, "There is no such page."
        else:
            status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 500)
            words = str(error)
        account = None
        with suppress(FreeholdError):  # when the accounts are what is wrong
            account = self.sessions.account(request.cookies.get(COOKIE))
        page = render_page(request, "error.html.j2", account=account, words=words)
        page.status_code = status
        return page


def _keys(text: str) -> list[tuple[str, int]]:
    try:
        found = [(item, issue) for item, issue in json.loads(text)]
    except (ValueError, TypeError, RecursionError) as error:
        raise BadInput("The form does not say which items it is about; load the page again.") from error
    if not found or not all(isinstance(item, str) and type(issue) is int for item, issue in found):
        raise BadInput("The form does not say which items it is about; load the page again.")
    return found


def _as_shown(checklist: Checklist, keys: list[tuple[str, int]]) -> tuple[str, ...]:
    """The ids, when these items are still as the person saw them."""
    now = {item.id: item for item in checklist.items}
    for item, issue in keys:
        if item not in now:
            raise NotFound(f"There is no item {item!r} in this checklist any more.")
        if now[item].issue != issue:
            raise Conflict(f"{item} has been issued again since you loaded the page; look at it again first.")
    return tuple(item for item, _ in keys)


def _anchor(checklist: Checklist, item: str) -> str:
    """Where the page opens again: at the item itself; one that was issued again has left the top of the page."""
    number = next(number for number, found in enumerate(checklist.items, start=1) if found.id == item)
    return "top" if checklist.items[number - 1].issue > 1 else f"item-{number}"


async def _guard(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
    answer = await go_on(request)
    for name, value in HEADERS.items():
        answer.headers.setdefault(name, value)
    return answer


async def _to_login(request: Request, error: Exception) -> Response:
    return RedirectResponse(f"/login?next={quote(request.url.path)}", status_code=303)


def _inside(target: str) -> str:
    """A path of ours, never another site."""
    safe = (
        target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable() and "\\" not in target
    )
    return quote(unquote(target), safe="/:") if safe else "/"


def _set_cookie(request: Request, answer: Response, name: str, value: str, seconds: int) -> None:
    answer.set_cookie(name, value, max_age=seconds, httponly=True, samesite="lax", secure=request.url.scheme == "https")


def render_page(request: Request, template: str, **given: Any) -> HTMLResponse:
    said = unquote(request.cookies.get(SAID_COOKIE, ""))[:200]
    cookie = request.cookies.get(COOKIE, "")
    words = environment().get_template(template).render(form_key=form_key(cookie), said=said, **given)
    page = HTMLResponse(words)
    if said:
        page.delete_cookie(SAID_COOKIE)
    return page


def _form_page(request: Request, template: str, **given: Any) -> HTMLResponse:
    """For somebody who is not logged in yet, and so has no cookie to bind the form to."""
    cookie = request.cookies.get(FORM_COOKIE) or secrets.token_urlsafe(24)
    words = environment().get_template(template).render(form_key=form_key(cookie), said="", account=None, **given)
    page = HTMLResponse(words)
    _set_cookie(request, page, FORM_COOKIE, cookie, round(SESSION.total_seconds()))
    return page


@cache
def environment() -> Environment:
    """The templates of the pages and the sheet. Whatever a name holds is escaped."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES / "web"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True,
    )
    made.filters["clock"] = _clock
    made.filters["part"] = lambda text: quote(text, safe="")
    return made


def _clock(at: datetime | None) -> str:
    return f"{at:%H:%M}" if at else ""
