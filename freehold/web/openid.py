"""Logging in at an OpenID provider: the authorization code flow with PKCE, state and nonce.

Whoever comes back gets an account without a password, bound to the provider's own id of the person, with the roles
that the provider's groups give at this login. All else (sessions, rights, the name in the history) is as for others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import httpx
import structlog
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.starlette_client import OAuth
from joserfc.errors import JoseError
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route

from freehold.errors import BadInput, FreeholdError, StackError
from freehold.models.login import OpenId
from freehold.models.people import Role
from freehold.models.wording import in_words
from freehold.stack.programs import LOGIN_PAGE
from freehold.web.accounts import Account, Provider
from freehold.web.sessions import Sessions, enter, inside

PATH = "/freehold/openid"
COOKIE_S = 600
TIMEOUT_S = 10
SIGNATURES = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"})
"""With a key pair. One with a shared secret could be made by everybody who knows the client's."""

log = structlog.get_logger(__name__)


class OpenIdLogin:
    """The way to the provider and back. `url` is where browsers reach this site."""

    def __init__(self, wanted: OpenId, sessions: Sessions, url: str, client_secret: str | None) -> None:
        self.label = wanted.label
        self._wanted, self._sessions, self._url = wanted, sessions, url.rstrip("/")
        self._provider: Any = OAuth().register(
            "provider",
            client_id=wanted.client_id,
            client_secret=client_secret,
            server_metadata_url=f"{wanted.issuer.rstrip('/')}/.well-known/openid-configuration",
            client_kwargs={
                "scope": wanted.scope,
                "code_challenge_method": "S256",
                "token_endpoint_auth_method": "client_secret_basic" if client_secret else "none",
                "timeout": TIMEOUT_S,
            },
        )

    def routes(self) -> Mount:
        """With a short-lived cookie of their own, which keeps state, nonce and verifier until the way back."""
        keeping = Middleware(
            SessionMiddleware,
            secret_key=self._sessions.key,
            session_cookie="freehold_openid",
            path=PATH,
            max_age=COOKIE_S,
            same_site="lax",
            https_only=self._url.startswith("https:"),
        )
        ways = [Route("/start", self.start), Route("/back", self.back)]
        return Mount(PATH, app=Starlette(routes=ways, middleware=[keeping]))

    async def start(self, request: Request) -> Response:
        after = inside(request.query_params.get("next", ""))
        try:
            await self._metadata()
            request.session["next"] = after
            answer: Response = await self._provider.authorize_redirect(request, f"{self._url}{PATH}/back")
            return answer
        except (FreeholdError, AuthlibBaseError, httpx.HTTPError, ValueError) as error:
            return self._refused(error, after)

    async def back(self, request: Request) -> Response:
        after = inside(str(request.session.get("next", "")))
        try:
            account = self._account(await self._claims(request))
        except (FreeholdError, AuthlibBaseError, JoseError, httpx.HTTPError, ValueError) as error:
            return self._refused(error, after)
        log.info("logged in", name=account.name, at=self._wanted.issuer, roles=account.roles)
        return enter(request, self._sessions, account, after)

    async def _claims(self, request: Request) -> Mapping[str, Any]:
        """What the provider says of the person, from a token whose signature, issuer, audience and nonce are right."""
        metadata = await self._metadata()
        issuer = request.query_params.get("iss", self._wanted.issuer)
        if issuer != self._wanted.issuer:
            raise BadInput(f"The answer comes from {issuer[:200]!r} and not from {self._wanted.issuer}.")
        must = {"iss": self._wanted.issuer, "aud": self._wanted.client_id}
        options = {name: {"essential": True, "value": value} for name, value in must.items()}
        token = await self._provider.authorize_access_token(request, claims_options=options)
        if "userinfo" not in token:
            raise BadInput("The provider's answer has no ID token.")
        claims: dict[str, Any] = dict(token["userinfo"])
        if metadata.get("userinfo_endpoint") and _at(claims, self._wanted.roles_claim) is None:
            more = await self._provider.userinfo(token=token)
            if more.get("sub") != claims["sub"]:
                raise BadInput("The provider's answers are about two different people.")
            claims = {**more, **claims}
        return claims

    async def _metadata(self) -> Mapping[str, Any]:
        metadata: dict[str, Any] = await self._provider.load_server_metadata()
        if metadata.get("issuer") != self._wanted.issuer:
            raise StackError(f"The provider calls itself {metadata.get('issuer')!r} and not {self._wanted.issuer!r}.")
        offered = metadata.get("id_token_signing_alg_values_supported") or ["RS256"]
        metadata["id_token_signing_alg_values_supported"] = [name for name in offered if name in SIGNATURES]
        return metadata

    def _account(self, claims: Mapping[str, Any]) -> Account:
        name, said = _at(claims, self._wanted.name_claim), _at(claims, self._wanted.roles_claim)
        groups = said.split() if isinstance(said, str) else said if isinstance(said, list) else []
        roles: tuple[Role, ...] = tuple(dict.fromkeys(self._wanted.roles[g] for g in groups if g in self._wanted.roles))
        provider = Provider(issuer=self._wanted.issuer, subject=str(claims["sub"]))
        if not roles:
            self._sessions.accounts.leave(provider)
            raise BadInput(f"You have no role here: none of your groups ({_listed(groups)}) gives one.")
        try:
            return self._sessions.accounts.welcome(str(name), roles, provider)
        except ValidationError as error:
            raise BadInput(f"Your name at the provider cannot stand in the record: {in_words(error)}.") from error

    def _refused(self, error: Exception, after: str) -> Response:
        """Back to the login page. Only our own words are shown: a provider's may be long, or not for everybody."""
        log.warning("login refused", at=self._wanted.issuer, reason=f"{type(error).__name__}: {error}"[:500])
        if isinstance(error, FreeholdError):
            words = str(error)
        elif isinstance(error, httpx.HTTPError):
            words = f"The provider of the {self.label} does not answer ({type(error).__name__})."
        else:
            words = f"The answer of the {self.label} cannot be accepted ({type(error).__name__}); try again."
        back = urlencode({"error": words[:300], "next": after})
        return RedirectResponse(f"{LOGIN_PAGE}?{back}", status_code=303)


def _at(claims: Mapping[str, Any], path: str) -> Any:
    """The claim of that name, also when the name has dots in it, else what the dots lead to."""
    if path in claims:
        return claims[path]
    found: Any = claims
    for part in path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _listed(groups: list[Any]) -> str:
    return ", ".join(str(group)[:40] for group in groups[:8]) or "there are none"
