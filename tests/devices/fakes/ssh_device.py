"""An SSH device on the loopback address whose command line is Python, and whose connection fails as it is told."""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Protocol

import paramiko
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from freehold.errors import SecretMissing
from freehold.models.access import Access

STALL_S = 60


class CommandLine(Protocol):
    """One user's command line."""

    def prompt(self) -> str:
        """What stands before the cursor."""

    def answer(self, line: str) -> str | None:
        """The answer to a line; None ends the session."""


@dataclass
class Faults:
    """What the device does wrong; may be changed while it runs."""

    drop_logins: int = 0
    """So many connections are closed before the banner, as an sshd with too many logins (MaxStartups) does."""
    stall_login: bool = False
    refuse_auth: bool = False
    drop_at: str | None = None
    """The connection breaks when a line that begins so arrives, before it acts. Once."""
    drop_after: str | None = None
    """The same after the line has acted, before its answer. Once."""
    stall_at: str | None = None


@dataclass
class OneSecret:
    """Secrets with one name."""

    name: str
    value: str = field(repr=False)

    def get(self, name: str) -> str:
        if name != self.name:
            raise SecretMissing(f"there is no secret {name}")
        return self.value

    def put(self, name: str, value: str) -> None:
        raise NotImplementedError

    def ensure(self, name: str, make: Callable[[], str]) -> bool:
        raise NotImplementedError

    def delete(self, name: str) -> bool:
        raise NotImplementedError

    def names(self, prefix: str = "") -> tuple[str, ...]:
        return (self.name,)


def new_private_key() -> str:
    return (
        Ed25519PrivateKey.generate()
        .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption())
        .decode()
    )


def _key(text: str) -> paramiko.Ed25519Key:
    return paramiko.Ed25519Key.from_private_key(io.StringIO(text))


class SshDevice:
    """Listens until it is closed; every login gets a command line of its own on the same device."""

    def __init__(self, command_line: Callable[[], CommandLine], dialect: str | None = None) -> None:
        self.faults = Faults()
        self.logins = 0
        self.lines: list[str] = []
        self.host_key = _key(new_private_key())
        self.secrets = OneSecret("device-key", new_private_key())
        self._client_key = _key(self.secrets.value)
        self._command_line, self._dialect = command_line, dialect
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self._closed = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def access(self) -> Access:
        return Access.model_validate(
            {
                "device": "leaf1",
                "address": "127.0.0.1",
                "port": self._listener.getsockname()[1],
                "user": "freehold",
                "host_key": f"{self.host_key.get_name()} {self.host_key.get_base64()}",
                "credential": self.secrets.name,
                "dialect": self._dialect,
            }
        )

    def close(self) -> None:
        self._closed.set()
        self._listener.close()
        for sock in self._sockets:
            sock.close()

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            if self.faults.drop_logins > 0:
                self.faults.drop_logins -= 1
                sock.close()
                continue
            self._sockets.append(sock)
            if not self.faults.stall_login:
                threading.Thread(target=self._serve, args=[sock], daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        transport = paramiko.Transport(sock)
        with suppress(Exception):  # the far end may go at any time; the test sees what that does to the near end
            transport.add_server_key(self.host_key)
            transport.start_server(server=_Login(self, self._client_key))
            channel = transport.accept(10)
            if channel is not None:
                self.logins += 1
                self._talk(transport, channel)
        transport.close()

    def _talk(self, transport: paramiko.Transport, channel: paramiko.Channel) -> None:
        user, typed = self._command_line(), ""
        channel.sendall(user.prompt().encode())
        while data := channel.recv(4096):
            typed += data.decode().replace("\r\n", "\n").replace("\r", "\n")
            while "\n" in typed:
                line, typed = typed.split("\n", 1)
                channel.sendall(f"{line}\r\n".encode())
                if not self._obey(user, line.strip(), channel):
                    return
                channel.sendall(user.prompt().encode())

    def _obey(self, user: CommandLine, line: str, channel: paramiko.Channel) -> bool:
        faults = self.faults
        if faults.drop_at is not None and line.startswith(faults.drop_at):
            faults.drop_at = None
            return False
        if faults.stall_at is not None and line.startswith(faults.stall_at):
            self._closed.wait(STALL_S)
        if line:
            self.lines.append(line)
        answer = user.answer(line)
        if answer is None:
            return False
        if faults.drop_after is not None and line.startswith(faults.drop_after):
            faults.drop_after = None
            return False
        channel.sendall("".join(f"{out}\r\n" for out in answer.splitlines()).encode())
        return True


class _Login(paramiko.ServerInterface):
    def __init__(self, device: SshDevice, key: paramiko.PKey) -> None:
        self._device, self._key = device, key

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        is_known = username == "freehold" and key == self._key and not self._device.faults.refuse_auth
        return paramiko.common.AUTH_SUCCESSFUL if is_known else paramiko.common.AUTH_FAILED

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.common.OPEN_SUCCEEDED

    def check_channel_pty_request(self, *_: object) -> bool:
        return True

    def check_channel_shell_request(self, channel: paramiko.Channel) -> bool:
        return True


@contextmanager
def running(command_line: Callable[[], CommandLine], dialect: str | None = None) -> Iterator[SshDevice]:
    device = SshDevice(command_line, dialect)
    try:
        yield device
    finally:
        device.close()
