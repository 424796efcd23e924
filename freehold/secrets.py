"""The secret store: one file in which names are readable and values are encrypted.

The key comes from FREEHOLD_SECRETS_KEY (several, separated by commas, to change keys: the first one encrypts)
or from a file beside the store that only its owner may read, made on first use.
"""

from __future__ import annotations

import json
import os
import stat
import tempfile
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from freehold.errors import SecretMissing, SecretStoreUnusable
from freehold.locks import file_lock
from freehold.models.server import SECRET_TOKEN, secret_token

KEY_VARIABLE = "FREEHOLD_SECRETS_KEY"
_SHORTEST_LINE = 16  # shorter lines of a secret of many lines are no secret by themselves


class Readable(Protocol):
    """All that the helpers below need of a secret store."""

    def get(self, name: str) -> str: ...


class FileSecrets:
    """Secrets in one encrypted file. Safe for threads and processes side by side; values never show in a repr."""

    def __init__(self, path: Path, key: str | None = None) -> None:
        self.path = path
        self._given_key = key

    def __repr__(self) -> str:
        return f"FileSecrets({str(self.path)!r})"

    def get(self, name: str) -> str:
        token = self._read().get(name)
        if token is None:
            raise SecretMissing(f"there is no secret {name} in {self.path}")
        try:
            kept = json.loads(self._cipher().decrypt(token))
        except InvalidToken:
            raise SecretStoreUnusable(
                f"{self.path}: the key does not open secret {name}; give the key it was stored with in {KEY_VARIABLE}"
            ) from None
        if kept["name"] != name:  # values cannot be swapped between names by editing the file
            raise SecretStoreUnusable(f"{self.path}: the value of {name} belongs to {kept['name']}; restore it")
        return str(kept["value"])

    def put(self, name: str, value: str) -> None:
        with self._locked():
            self._write(self._read() | {name: self._encrypt(name, value)})

    def ensure(self, name: str, make: Callable[[], str]) -> bool:
        return bool(self.ensure_all({name: make}))

    def ensure_all(self, makers: Mapping[str, Callable[[], str]]) -> tuple[str, ...]:
        known = self._read()
        # Outside the lock: a maker may use this store, and a value made in vain is just dropped.
        values = {name: make() for name, make in makers.items() if name not in known}
        if not values:
            return ()
        with self._locked():
            kept = self._read()
            new = {name: self._encrypt(name, value) for name, value in values.items() if name not in kept}
            if new:
                self._write(kept | new)
            return tuple(new)

    def delete(self, name: str) -> bool:
        with self._locked():
            kept = self._read()
            if kept.pop(name, None) is None:
                return False
            self._write(kept)
            return True

    def names(self, prefix: str = "") -> tuple[str, ...]:
        return tuple(sorted(name for name in self._read() if name.startswith(prefix)))

    def _encrypt(self, name: str, value: str) -> str:
        return self._cipher().encrypt(json.dumps({"name": name, "value": value}).encode()).decode()

    def _read(self) -> dict[str, str]:
        try:
            kept = json.loads(self.path.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise SecretStoreUnusable(f"{self.path} cannot be read as a secret store: {error}") from error
        if not isinstance(kept, dict):
            raise SecretStoreUnusable(f"{self.path} is no secret store; restore it or move it away")
        return kept

    def _write(self, kept: Mapping[str, str]) -> None:
        text = json.dumps(dict(sorted(kept.items())), indent=1) + "\n"
        replace(self.path, text.encode())

    def _locked(self) -> AbstractContextManager[None]:
        return file_lock(self.path.with_suffix(".lock"))

    def _cipher(self) -> MultiFernet:
        key = self._given_key or os.environ.get(KEY_VARIABLE)
        source = KEY_VARIABLE
        if not key:
            source = str(self._key_file)
            key = self._key_from_file()
        try:
            return MultiFernet([Fernet(part.strip()) for part in key.split(",")])
        except ValueError:
            raise SecretStoreUnusable(
                f"{source} holds no key of 32 bytes in URL-safe base64; restore the right one"
            ) from None

    @property
    def _key_file(self) -> Path:
        return self.path.with_suffix(".key")

    def _key_from_file(self) -> str:
        if not self._key_file.exists():
            if self.path.exists():
                raise SecretStoreUnusable(
                    f"{self.path} cannot be opened: its key {self._key_file} is gone; restore it or set {KEY_VARIABLE}"
                )
            self._make_key_file()
        mode = stat.S_IMODE(self._key_file.stat().st_mode)
        if mode & 0o077:
            raise SecretStoreUnusable(
                f"{self._key_file} has mode {mode:04o} and others may read the key; run `chmod 600 {self._key_file}`"
            )
        return self._key_file.read_text()

    def _make_key_file(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=self.path.parent, prefix=".key-")
        with os.fdopen(descriptor, "wb") as file:
            file.write(Fernet.generate_key())
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(name, self._key_file)  # whole or not at all, and the first of two wins
        except FileExistsError:
            pass
        finally:
            Path(name).unlink()


def replace(path: Path, content: bytes) -> None:
    """Put `content` into a file of mode 0600 in one step: readers see the old one or the new one."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


class Foreseen:
    """Secrets as they will be: one that is not made yet reads as its own token. For looking ahead only."""

    def __init__(self, secrets: Readable) -> None:
        self._secrets = secrets

    def get(self, name: str) -> str:
        try:
            return self._secrets.get(name)
        except SecretMissing:
            return secret_token(name)


def resolve(text: str, secrets: Readable) -> str:
    """The text with every secret token replaced by its secret. Raises SecretMissing."""
    return SECRET_TOKEN.sub(lambda token: secrets.get(token[1]), text)


def redact(text: str, secrets: Readable, names: Collection[str], *, lines: bool = False) -> str:
    """The text with the values of these secrets replaced by their tokens; with `lines`, single lines of them too.

    A secret that does not exist (any more) is passed over.
    """
    hidden: dict[str, str] = {}
    for name in sorted(names):
        try:
            value = secrets.get(name)
        except SecretMissing:
            continue
        hidden.setdefault(value, secret_token(name))
        if lines and "\n" in value:
            for line in value.splitlines():
                if len(line) >= _SHORTEST_LINE:
                    hidden.setdefault(line, secret_token(name))
    for value in sorted(hidden, key=len, reverse=True):  # a secret that contains another one goes first
        if value:
            text = text.replace(value, hidden[value])
    return text
