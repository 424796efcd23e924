"""The login page: who you are, and the way in and out."""

from __future__ import annotations

import asyncio
from urllib.parse import quote

import jinja2
import structlog
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from freehold.errors import Conflict
from freehold.stack.programs import LOGIN_PAGE
from freehold.templates import TEMPLATES
from freehold.web.attempts import Attempts
from freehold.web.openid import OpenIdLogin
from freehold.web.sessions import COOKIE, Sessions, enter, inside

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

    def __init__(self, sessions: Sessions, openid: OpenIdLogin | None = None) -> None:
        self._sessions, self._openid = sessions, openid
        self._hashing = asyncio.Semaphore(HASHES_AT_ONCE)
        self._attempts = Attempts()

    async def page(self, request: Request) -> Response:
        return self._page(request, problem=request.query_params.get("error", "")[:300])

    async def log_in(self, request: Request) -> Response:
        if not 0 < int(request.headers.get("content-length", "0")) <= LARGEST_FORM:
            return self._page(request, problem="This is no login form.", status=413)
        async with request.form(max_files=0, max_fields=10) as form:
            name, password = str(form.get("name", ""))[:64], str(form.get("password", ""))
        try:
            self._attempts.refuse_more(name)
        except Conflict as pause:
            return self._page(request, problem=str(pause), status=429)
        async with self._hashing:
            account = await asyncio.to_thread(self._sessions.accounts.check, name, password)
        if account is None:
            self._attempts.failed(name)
            log.warning("wrong password", name=name)
            return self._page(request, problem="Name or password is wrong.", status=401)
        self._attempts.forget(name)
        log.info("logged in", name=account.name)
        return enter(request, self._sessions, account, inside(request.query_params.get("next", "")))

    async def log_out(self, _: Request) -> Response:
        response = RedirectResponse(LOGIN_PAGE, status_code=303)
        response.delete_cookie(COOKIE)
        return response

    def _page(self, request: Request, problem: str = "", status: int = 200) -> Response:
        text = _PAGE.render(
            account=self._sessions.account(request.cookies.get(COOKIE)),
            empty=not self._sessions.accounts.all(),
            problem=problem,
            openid=self._openid.label if self._openid else "",
            after=quote(inside(request.query_params.get("next", "")), safe=""),
        )
        return HTMLResponse(text, status_code=status, headers=_SAFE)
