"""People's accounts: who may log in, and what their roles allow. A file of the operator, `accounts.yaml` in home.

A password is kept as an argon2 hash, in a file that only its owner may read. What a role allows is a table.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path

import yaml
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from pydantic import Field, ValidationError

from freehold.errors import BadInput, Conflict, NotFound
from freehold.locks import file_lock
from freehold.models.base import Model
from freehold.models.names import Person
from freehold.models.people import ALLOWED, Act, Role, key_of
from freehold.secrets import replace

SHORTEST_PASSWORD, LONGEST_PASSWORD = 8, 1024


class Provider(Model):
    """Who somebody is at an OpenID provider: its own id never changes, and is never given to another person."""

    issuer: str
    subject: str = Field(min_length=1, max_length=255)


class Account(Model):
    """One person. Without a hash the person cannot log in by password."""

    name: Person
    roles: tuple[Role, ...] = Field(min_length=1)
    password_hash: str = Field(default="", repr=False)
    provider: Provider | None = Field(default=None, description="where the person logs in instead")

    def may(self, act: Act) -> bool:
        return any(act in ALLOWED[role] for role in self.roles)


class Accounts:
    """The accounts in one file. Names are compared without regard to case, so that nobody has two."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read_at: tuple[int, int, int] | None = None
        self._kept: dict[str, Account] = {}

    def check(self, name: str, password: str) -> Account | None:
        """The account, when this is its password. Takes as long for a name that does not exist."""
        account = self.get(name)
        known = account is not None and bool(account.password_hash)
        right = _fits(account.password_hash if account and known else _nobody(), password)
        return account if known and right else None

    def get(self, name: str) -> Account | None:
        return self._read().get(key_of(name))

    def all(self) -> tuple[Account, ...]:
        return tuple(self._read().values())

    def add(self, name: str, roles: tuple[Role, ...], password: str | None = None) -> Account:
        try:
            made = Account(name=name, roles=roles, password_hash=_hashed(password) if password is not None else "")
        except ValidationError as error:
            problem = error.errors()[0]
            raise BadInput(f"{problem['loc'][0]}: {problem['msg']} (given: {problem['input']!r}).") from error

        def change(kept: dict[str, Account]) -> None:
            if there := kept.get(key_of(made.name)):
                raise Conflict(f"There is an account {there.name!r} already; see `freehold account list`.")
            kept[key_of(made.name)] = made

        self._change(change)
        return made

    def welcome(self, name: str, roles: tuple[Role, ...], provider: Provider) -> Account:
        """The account of somebody who has logged in at a provider, as the provider has it now.

        Raises Conflict when the name is another person's, ValidationError when it cannot be one.
        """
        made = Account(name=name, roles=roles, provider=provider)

        def change(kept: dict[str, Account]) -> None:
            there = kept.get(key_of(made.name))
            if there is not None and there.provider != provider:
                raise Conflict(f"The name {there.name} belongs to another account here; ask an operator.")
            _forget(kept, provider)  # under a former name, so that nobody counts twice
            kept[key_of(made.name)] = made

        if self.get(name) != made:
            self._change(change)
        return made

    def leave(self, provider: Provider) -> None:
        """End the account of somebody to whom the provider gives no role any more; without one nothing happens."""
        if any(account.provider == provider for account in self.all()):
            self._change(lambda kept: _forget(kept, provider))

    def set_password(self, name: str, password: str) -> None:
        hashed = _hashed(password)

        def change(kept: dict[str, Account]) -> None:
            there = _existing(kept, name)
            if there.provider is not None:
                raise Conflict(f"{there.name} logs in at {there.provider.issuer} and has no password here.")
            kept[key_of(name)] = there.model_copy(update={"password_hash": hashed})

        self._change(change)

    def remove(self, name: str) -> None:
        def change(kept: dict[str, Account]) -> None:
            del kept[key_of(_existing(kept, name).name)]

        self._change(change)

    def _change(self, change: Callable[[dict[str, Account]], None]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._locked():
            kept = dict(self._read())
            change(kept)
            rows = [account.model_dump(mode="json") for account in kept.values()]
            replace(self.path, yaml.safe_dump({"accounts": rows}, sort_keys=False).encode())

    def _read(self) -> dict[str, Account]:
        """The file as it is now; read again only when it has changed."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return {}
        if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            mode = f"{stat.S_IMODE(found.st_mode):04o}"
            raise BadInput(f"{self.path} has mode {mode} and others may read it; run `chmod 600 {self.path}`.")
        as_of = (found.st_ino, found.st_mtime_ns, found.st_size)
        if as_of != self._read_at:
            self._kept, self._read_at = self._parsed(), as_of
        return self._kept

    def _parsed(self) -> dict[str, Account]:
        try:
            rows = yaml.safe_load(self.path.read_text())["accounts"]
            accounts = [Account.model_validate(row) for row in rows]
        except (yaml.YAMLError, TypeError, KeyError, ValidationError, UnicodeDecodeError) as error:
            words = " ".join(str(error).split())[:300]
            raise BadInput(f"{self.path} cannot be read as accounts: {words}.") from error
        return {key_of(account.name): account for account in accounts}

    def _locked(self) -> AbstractContextManager[None]:
        return file_lock(self.path.with_suffix(".lock"))


def _forget(kept: dict[str, Account], provider: Provider) -> None:
    for name in [name for name, account in kept.items() if account.provider == provider]:
        del kept[name]


def _existing(kept: Mapping[str, Account], name: str) -> Account:
    if account := kept.get(key_of(name)):
        return account
    raise NotFound(f"There is no account {name!r}; there are {', '.join(a.name for a in kept.values()) or 'none'}.")


def _hashed(password: str) -> str:
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise BadInput(f"A password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters; this one has not.")
    return PasswordHasher().hash(password)


def _fits(hashed: str, password: str) -> bool:
    try:
        return len(password) <= LONGEST_PASSWORD and PasswordHasher().verify(hashed, password)
    except (VerificationError, InvalidHashError):
        return False


@cache
def _nobody() -> str:
    """A hash that no account has, to be as slow for unknown names."""
    return PasswordHasher().hash(os.urandom(16).hex())
