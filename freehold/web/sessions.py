"""Signed tokens that say who somebody is: the cookie after a login, and the personal link of a technician.

A token ends by itself, when its account is removed, and when its password changes. Nothing is kept on a server.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from typing import Any

from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from freehold.secrets import FileSecrets
from freehold.web.accounts import Account, Accounts

COOKIE = "freehold_session"
SESSION = timedelta(hours=12)
LINK = timedelta(days=30)
KEY_NAME = "web/session-key"


class Sessions:
    """Makes and reads the tokens of these accounts."""

    def __init__(self, accounts: Accounts, store: FileSecrets) -> None:
        self.accounts = accounts
        store.ensure(KEY_NAME, lambda: secrets.token_urlsafe(32))
        self.key = store.get(KEY_NAME)
        self._signer = URLSafeTimedSerializer(self.key, signer_kwargs={"digest_method": hashlib.sha256})

    def token(self, account: Account) -> str:
        """For the cookie `COOKIE`."""
        return self._sign(account, "session")

    def account(self, token: str | None) -> Account | None:
        """Whose cookie this is; None when it is nobody's (any more)."""
        return self._read(token, "session", SESSION)

    def link_token(self, account: Account) -> str:
        """For a personal link: whoever has it is this person until `LINK` is over."""
        return self._sign(account, "link")

    def account_of_link(self, token: str | None) -> Account | None:
        return self._read(token, "link", LINK)

    def _sign(self, account: Account, purpose: str) -> str:
        return str(self._signer.dumps([account.name, _stamp(account)], salt=purpose))

    def _read(self, token: str | None, purpose: str, age: timedelta) -> Account | None:
        if not token:
            return None
        try:
            said: Any = self._signer.loads(token, salt=purpose, max_age=round(age.total_seconds()))
        except BadData:
            return None
        name, stamp = said
        account = self.accounts.get(name)
        return account if account and secrets.compare_digest(_stamp(account), stamp) else None


def enter(request: Request, sessions: Sessions, account: Account, after: str) -> Response:
    """Let somebody in who has proven who they are, and lead on to a page."""
    answer = RedirectResponse(after, status_code=303)
    answer.set_cookie(
        COOKIE,
        sessions.token(account),
        max_age=round(SESSION.total_seconds()),
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )
    return answer


def inside(path: str) -> str:
    """A path of this site; never the way to another one."""
    safe = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if safe else "/"


def _stamp(account: Account) -> str:
    """Changes with the password, and says nothing about it."""
    return hashlib.sha256(f"{account.name} {account.password_hash}".encode()).hexdigest()[:16]
