"""A login in front of the Temporal Web UI: `python -m freehold.web.login`.

The UI stays as it is. What changes: who is not logged in gets a login page; the logged-in name stands in every request
that writes, whatever the browser sent; and what a role does not allow, or we do not know, is refused.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import structlog
import uvicorn
from httpx import AsyncClient
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from freehold.errors import BadInput, StackError
from freehold.logs import configure_logs
from freehold.models.people import Act
from freehold.secrets import FileSecrets
from freehold.settings import Settings, load_settings
from freehold.stack.client import ui_url
from freehold.stack.programs import LOGIN_PAGE
from freehold.web.accounts import Account, Accounts
from freehold.web.doors import Doors
from freehold.web.endpoints import READS, Asked, asked
from freehold.web.openid import OpenIdLogin
from freehold.web.sessions import COOKIE, Sessions

LARGEST_BODY = 8 << 20
LARGEST_MESSAGE = 64 << 10
"""What people say to a procedure fits in, also in base64; a history that keeps all of it must not be filled up."""
TIMEOUT = httpx.Timeout(120, connect=5)
"""The UI waits long for some answers, e.g. of an update; it is told at once when nobody listens."""
_HOP = {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "host", "content-length", "cookie"}
_NOT_PASSED = {"x-http-method-override", "proxy-authorization", "proxy-authenticate"}

# The codes of gRPC, in which the UI reads errors.
INVALID, DENIED, UNAVAILABLE, UNAUTHENTICATED = 3, 7, 14, 16

log = structlog.get_logger(__name__)


class Refusal(Exception):
    """Ends a request with a sentence that the UI shows."""

    def __init__(self, status: int, code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.response = JSONResponse({"code": code, "message": sentence, "details": []}, status_code=status)


class Login:
    """Passes requests of logged-in people on to the UI at `upstream`."""

    def __init__(self, sessions: Sessions, upstream: str, http: AsyncClient) -> None:
        self._sessions, self._upstream, self._http = sessions, upstream.rstrip("/"), http

    async def handle(self, request: Request) -> Response:
        try:
            return await self._handle(request)
        except Refusal as refusal:
            who = self._sessions.account(request.cookies.get(COOKIE))
            by = who.name if who else ""
            log.warning("refused", by=by, method=request.method, path=request.url.path, why=str(refusal))
            return refusal.response

    async def _handle(self, request: Request) -> Response:
        raw_path = request.scope["raw_path"].decode("latin-1")
        account = self._sessions.account(request.cookies.get(COOKIE))
        if account is None:
            return _to_login(request, raw_path)
        wanted = asked(request.method, raw_path)
        if wanted is None:
            raise Refusal(403, DENIED, f"{request.method} {request.url.path} is not known here and therefore refused.")
        if request.method not in READS:
            check_same_origin(request)
        _check_allowed(account, wanted)
        return await self._pass_on(request, raw_path, account, wanted)

    async def _pass_on(self, request: Request, raw_path: str, account: Account, wanted: Asked) -> Response:
        query = request.scope["query_string"].decode("latin-1")
        body = b""
        if request.method not in READS:
            body = await _signed_body(request, account, wanted)
            if request.method == "DELETE":
                query, body = f"identity={quote(account.name, safe='')}", b""
        url = httpx.URL(self._upstream + raw_path + (f"?{query}" if query else ""))
        try:
            sent = self._http.build_request(request.method, url, headers=list(_headers(request)), content=body)
            answer = await self._http.send(sent, stream=True)
        except httpx.HTTPError as error:
            raise Refusal(502, UNAVAILABLE, f"The Temporal Web UI does not answer ({type(error).__name__}).") from error
        if request.method not in READS:
            log.info("asked", by=account.name, method=request.method, path=request.url.path, status=answer.status_code)
        response = StreamingResponse(
            answer.aiter_raw(), status_code=answer.status_code, background=BackgroundTask(answer.aclose)
        )
        dropped = _HOP - {"content-length"}
        response.raw_headers = [(k.lower(), v) for k, v in answer.headers.raw if k.lower().decode() not in dropped]
        return response


def check_same_origin(request: Request) -> None:
    """A page of another site must not write in the name of who is logged in here."""
    origin = request.headers.get("origin")
    foreign = origin is not None and urlsplit(origin).netloc != request.headers.get("host")
    if foreign or request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Refusal(403, DENIED, "This request comes from a page of another site and is refused.")


def _check_allowed(account: Account, wanted: Asked) -> None:
    for act in wanted.acts:
        if not account.may(act):
            raise Refusal(403, DENIED, f"{account.name} ({', '.join(account.roles)}) may not {act}.")


async def _signed_body(request: Request, account: Account, wanted: Asked) -> bytes:
    """The body in the name of the account. Reading requests stay as they are."""
    body = bytearray()
    largest = LARGEST_MESSAGE if wanted.endpoint and wanted.endpoint.names_message else LARGEST_BODY
    async for part in request.stream():
        body += part
        if len(body) > largest:
            raise Refusal(413, INVALID, f"The request is larger than {largest} bytes.")
    if wanted.acts == (Act.READ,):
        return bytes(body)
    try:
        given = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        raise Refusal(400, INVALID, "The request's body is not a JSON object.")
    if why := wanted.may_not_start(given):
        raise Refusal(403, DENIED, f"This start is refused: {why}.")
    return json.dumps(wanted.signed(given, account.name)).encode()


def _headers(request: Request) -> Iterator[tuple[str, str]]:
    for name, value in request.headers.items():
        if name not in _HOP | _NOT_PASSED and not name.startswith("grpc-metadata-"):
            yield name, value
    cookies = [
        part for part in request.headers.get("cookie", "").split(";") if part.partition("=")[0].strip() != COOKIE
    ]
    if any(part.strip() for part in cookies):
        yield "cookie", ";".join(cookies).strip()


def _to_login(request: Request, raw_path: str) -> Response:
    if request.method in READS and not raw_path.startswith("/api/"):
        query = request.scope["query_string"].decode("latin-1")
        to = quote(raw_path + (f"?{query}" if query else ""), safe="")
        return RedirectResponse(f"{LOGIN_PAGE}?next={to}", status_code=303)
    raise Refusal(401, UNAUTHENTICATED, f"You are not logged in (any more); log in at {LOGIN_PAGE}.")


def make_app(sessions: Sessions, upstream: str, openid: OpenIdLogin | None = None) -> Starlette:
    """The login page and everything behind it."""
    # Not a client's own proxy settings: the UI is near, and a name in a request must not leave by another way.
    http = AsyncClient(timeout=TIMEOUT, trust_env=False, follow_redirects=False)
    login, doors = Login(sessions, upstream, http), Doors(sessions, openid)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with http:
            yield

    async def login_form(request: Request) -> Response:
        try:
            check_same_origin(request)
        except Refusal as refusal:
            return refusal.response
        return await (doors.log_out(request) if request.url.path.endswith("logout") else doors.log_in(request))

    everything: list[str] = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"]
    routes: list[BaseRoute] = [
        *([openid.routes()] if openid else []),
        Route(LOGIN_PAGE, doors.page, methods=["GET"]),
        Route("/login", doors.page, methods=["GET"]),  # where the UI itself sends whoever is refused
        Route(LOGIN_PAGE, login_form, methods=["POST"]),
        Route("/freehold/logout", login_form, methods=["POST"]),
        Route("/{path:path}", login.handle, methods=everything),
    ]
    return Starlette(routes=routes, lifespan=lifespan, exception_handlers={BadInput: _broken_accounts})


async def _broken_accounts(_: Request, error: Exception) -> Response:
    log.error("accounts cannot be read", reason=str(error))
    return Response("The accounts cannot be read; the log says why.", status_code=503)


def app_of(settings: Settings) -> Starlette:
    upstream = ui_url(settings)
    if upstream is None:
        raise StackError("There is no Temporal Web UI to log in to; name it in FREEHOLD_TEMPORAL_UI_URL.")
    secrets = FileSecrets(settings.secrets_file)
    sessions = Sessions(Accounts(settings.accounts_file), secrets)
    openid = None
    if wanted := settings.openid:
        client_secret = secrets.get(wanted.client_secret) if wanted.client_secret else None
        openid = OpenIdLogin(wanted, sessions, settings.login_address, client_secret)
    return make_app(sessions, upstream, openid)


def main() -> None:
    settings = load_settings()
    configure_logs(settings.log_level)
    options: dict[str, Any] = {"log_config": None, "access_log": False, "server_header": False}
    uvicorn.run(app_of(settings), host=settings.login_host, port=settings.login_port, **options)


if __name__ == "__main__":
    main()
