"""The login page: who you are, and the way in and out."""

from __future__ import annotations

import asyncio
import time

import jinja2
import structlog
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from freehold.stack.programs import LOGIN_PAGE
from freehold.templates import TEMPLATES
from freehold.web.sessions import COOKIE, SESSION, Sessions

FREE_TRIES, LONGEST_PAUSE_S = 5, 60.0
LARGEST_FORM = 16_384
HASHES_AT_ONCE = 2
"""Argon2 takes 64 MiB each; more at once would let strangers fill the memory."""
_PAGE = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(
    (TEMPLATES / "web" / "login.html").read_text()
)
_SAFE = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
}

log = structlog.get_logger(__name__)


class Doors:
    """Logs people in and out."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._hashing = asyncio.Semaphore(HASHES_AT_ONCE)
        self._wrong: dict[str, tuple[int, float]] = {}  # name -> tries in a row, and when the next one is heard

    async def page(self, request: Request) -> Response:
        return self._page(request, problem=request.query_params.get("error", "")[:300])

    async def log_in(self, request: Request) -> Response:
        if not 0 < int(request.headers.get("content-length", "0")) <= LARGEST_FORM:
            return self._page(request, problem="This is no login form.", status=413)
        async with request.form(max_files=0, max_fields=10) as form:
            name, password = str(form.get("name", ""))[:64], str(form.get("password", ""))
        key = name.strip().casefold()
        tries, pause_until = self._wrong.get(key, (0, 0.0))
        if time.monotonic() < pause_until:
            return self._page(request, problem="Too many wrong passwords; wait a minute.", status=429)
        async with self._hashing:
            account = await asyncio.to_thread(self._sessions.accounts.check, name, password)
        if account is None:
            self._note_wrong(key, tries + 1)
            log.warning("wrong password", name=name, tries=tries + 1)
            return self._page(request, problem="Name or password is wrong.", status=401)
        self._wrong.pop(key, None)
        log.info("logged in", name=account.name)
        response = RedirectResponse(_inside(request.query_params.get("next", "")), status_code=303)
        response.set_cookie(
            COOKIE,
            self._sessions.token(account),
            max_age=round(SESSION.total_seconds()),
            httponly=True,
            samesite="lax",
            secure=request.url.scheme == "https",
        )
        return response

    async def log_out(self, _: Request) -> Response:
        response = RedirectResponse(LOGIN_PAGE, status_code=303)
        response.delete_cookie(COOKIE)
        return response

    def _note_wrong(self, key: str, tries: int) -> None:
        if len(self._wrong) > 10_000:  # names are free to invent
            self._wrong.clear()
        pause = min(2.0 ** (tries - FREE_TRIES), LONGEST_PAUSE_S) if tries >= FREE_TRIES else 0.0
        self._wrong[key] = (tries, time.monotonic() + pause)

    def _page(self, request: Request, problem: str = "", status: int = 200) -> Response:
        text = _PAGE.render(
            account=self._sessions.account(request.cookies.get(COOKIE)),
            empty=not self._sessions.accounts.all(),
            problem=problem,
        )
        return HTMLResponse(text, status_code=status, headers=_SAFE)


def _inside(path: str) -> str:
    """A path of this site; never the way to another one."""
    inside = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if inside else "/"
