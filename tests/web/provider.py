"""An OpenID provider in small, over real HTTP: discovery, authorization code with PKCE, RS256 tokens, userinfo.

It knows one person, who is logged in there already. It can be told to misbehave.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from typing import Any
from urllib.parse import urlencode

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

CLIENT, SECRET = "freehold", "the client's secret"


class Provider:
    """`claims` are the person's; what stands in `lies` replaces what would be true."""

    def __init__(self) -> None:
        self.url = ""
        self.claims: dict[str, Any] = {"sub": "1001", "preferred_username": "amir", "groups": ["plans", "staff"]}
        self.more: dict[str, Any] = {}
        """Only told at the userinfo endpoint."""
        self.lies: dict[str, Any] = {}
        self.metadata_lies: dict[str, Any] = {}
        self.asked: list[dict[str, str]] = []
        self.key = self.signing_key = RSAKey.generate_key(2048, {"kid": "one"})
        self._codes: dict[str, dict[str, str]] = {}
        self.app = Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self.metadata),
                Route("/authorize", self.authorize),
                Route("/token", self.token, methods=["POST"]),
                Route("/keys", self.keys),
                Route("/userinfo", self.userinfo),
            ]
        )

    async def metadata(self, _: Request) -> Response:
        paths = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}
        places = {name: f"{self.url}/{path}" for name, path in {**paths, "userinfo_endpoint": "userinfo"}.items()}
        told = {"issuer": self.url, "id_token_signing_alg_values_supported": ["RS256"], **places}
        return JSONResponse(told | self.metadata_lies)

    async def authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        self.asked.append(asked)
        assert asked["response_type"] == "code" and asked["client_id"] == CLIENT
        assert asked["code_challenge_method"] == "S256" and asked["nonce"] and asked["state"]
        code = secrets.token_urlsafe()
        self._codes[code] = asked
        back = {"code": code, "state": asked["state"], "iss": self.url}
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode(back | self.lies.get('back', {}))}")

    async def token(self, request: Request) -> Response:
        given = {name: str(value) for name, value in (await request.form()).items()}
        login = base64.b64decode(request.headers.get("authorization", "").removeprefix("Basic ")).decode()
        asked = self._codes.pop(given["code"], None)
        verifier = hashlib.sha256(given.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(verifier).rstrip(b"=").decode()
        right = asked is not None and asked["code_challenge"] == challenge
        if not right or login != f"{CLIENT}:{SECRET}" or asked["redirect_uri"] != given["redirect_uri"]:
            return JSONResponse({"error": "invalid_grant"}, status_code=400)
        now = int(time.time())
        claims = {"iss": self.url, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": asked["nonce"], **self.claims}
        claims |= self.lies.get("token", {})
        header = {"alg": "RS256", "kid": "one"}
        answer = {"access_token": "let me in", "token_type": "Bearer"}
        if "no token" not in self.lies:
            answer["id_token"] = jwt.encode(header, claims, self.signing_key)
        return JSONResponse(answer)

    async def keys(self, _: Request) -> Response:
        return JSONResponse(KeySet([self.key]).as_dict(private=False))

    async def userinfo(self, request: Request) -> Response:
        assert request.headers["authorization"] == "Bearer let me in"
        return JSONResponse({"sub": self.claims["sub"], **self.more})
