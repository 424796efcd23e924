"""SSH to any device: who it must be, who we are, how long we wait, and what its failures mean.

with device_errors(access):
    client = connect(access, secrets)
"""

from __future__ import annotations

import base64
import io
import logging
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import netmiko
import paramiko
import structlog
from netmiko.exceptions import ReadException, WriteException
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from freehold.devices.base import Secrets
from freehold.errors import (
    AuthenticationRefused,
    CommandRejected,
    DeviceUnreachable,
    FreeholdError,
    HostKeyMismatch,
)
from freehold.models.access import Access

log = structlog.get_logger(__name__)

LOGIN_TIMEOUT_S = 20.0
KEEPALIVE_S = 15

# What paramiko writes here, stack traces included, is raised to us as well and told in our own words.
_TRANSPORT_LOG = "freehold.devices.ssh.transport"
logging.getLogger(_TRANSPORT_LOG).setLevel(logging.CRITICAL + 1)


def connect(access: Access, secrets: Secrets, timeout_s: float = LOGIN_TIMEOUT_S) -> paramiko.SSHClient:
    """Log in to a device and return the client, host key checked. The caller closes it.

    An sshd that is busy drops logins before its banner (MaxStartups): those are tried again until
    `timeout_s` is over. Everything else fails at once with a `DeviceError`.
    """
    key = _private_key(access, secrets)
    deadline = time.monotonic() + timeout_s
    retrying = Retrying(
        retry=retry_if_exception(_is_dropped_login),
        wait=wait_random_exponential(multiplier=0.2, max=2),
        stop=stop_after_delay(timeout_s),
        before_sleep=lambda state: _log_retry(access, state),
        reraise=True,
    )
    with device_errors(access):
        return retrying(_login, access, key, deadline)


@contextmanager
def device_errors(access: Access) -> Iterator[None]:
    """Turn whatever paramiko, netmiko and sockets raise into our `DeviceError`s that name the device."""
    where = f"{access.device} ({access.address}:{access.port})"
    try:
        yield
    except FreeholdError:
        raise
    except paramiko.BadHostKeyException as error:
        raise _wrong_key(access, error.key.fingerprint, error.expected_key.fingerprint) from error
    except paramiko.AuthenticationException as error:
        if _is_lost_connection(error):
            raise DeviceUnreachable(f"{where} dropped the connection while we logged in: {error}") from error
        raise AuthenticationRefused(
            f"{where} does not accept user {access.user} with the key in secret {access.credential}: {error} "
            f"Put that key's public half into the device's authorized keys, or correct the secret."
        ) from error
    except netmiko.ConfigInvalidException as error:
        raise CommandRejected(f"{access.device}: {said(str(error))}") from error
    except (FileNotFoundError, PermissionError) as error:  # the device's answer to a file transfer
        raise CommandRejected(f"{access.device}: {said(str(error))}") from error
    except (TimeoutError, netmiko.ReadTimeout, netmiko.NetmikoTimeoutException) as error:
        raise DeviceUnreachable(f"{where} gave no answer in time: {said(str(error))}") from error
    except (paramiko.SSHException, ReadException, WriteException, EOFError, OSError) as error:
        raise DeviceUnreachable(f"{where}: the connection broke: {said(str(error) or repr(error))}") from error


def said(text: str, limit: int = 500) -> str:
    """A device's words on one line, cut to a length that fits a message."""
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 4]} ..."


def _login(access: Access, key: paramiko.PKey, deadline: float) -> paramiko.SSHClient:
    left = max(deadline - time.monotonic(), 1.0)
    client = paramiko.SSHClient()
    client.set_log_channel(_TRANSPORT_LOG)
    client.set_missing_host_key_policy(paramiko.RejectPolicy())
    host_name = str(access.address) if access.port == paramiko.config.SSH_PORT else f"[{access.address}]:{access.port}"
    expected = _expected_key(access)
    client.get_host_keys().add(host_name, expected.get_name(), expected)
    sock = _open_socket(access, left)
    try:
        client.connect(
            str(access.address),
            access.port,
            access.user,
            pkey=key,
            sock=sock,
            timeout=left,
            banner_timeout=left,
            auth_timeout=left,
            channel_timeout=left,
            allow_agent=False,
            look_for_keys=False,
        )
    except BaseException:
        client.close()
        sock.close()
        raise
    transport = client.get_transport()
    assert transport is not None
    transport.set_keepalive(KEEPALIVE_S)
    return client


def _open_socket(access: Access, timeout_s: float) -> socket.socket:
    try:
        return socket.create_connection((str(access.address), access.port), timeout_s)
    except OSError as error:
        raise DeviceUnreachable(
            f"{access.device} does not answer at {access.address}:{access.port}: {error}. "
            f"Check its power, its management cable and its address in the inventory."
        ) from error


def _private_key(access: Access, secrets: Secrets) -> paramiko.PKey:
    try:
        return paramiko.Ed25519Key.from_private_key(io.StringIO(secrets.get(access.credential)))
    except (paramiko.SSHException, ValueError, IndexError) as error:
        # Neither the key nor the parser's words about it: they may quote it.
        raise AuthenticationRefused(
            f"{access.device}: secret {access.credential} holds no Ed25519 private key in OpenSSH's format "
            f"({type(error).__name__}). Store one, without a passphrase."
        ) from None


def _expected_key(access: Access) -> paramiko.PKey:
    try:
        kind, blob = access.host_key.split()[:2]
        return paramiko.PKey.from_type_string(kind, base64.b64decode(blob, validate=True))
    except (ValueError, paramiko.SSHException, paramiko.pkey.UnknownKeyType) as error:
        raise HostKeyMismatch(
            f"{access.device}: the inventory holds no readable host key ({said(access.host_key, 60) or 'empty'!r}). "
            f"Read it on the device's console and enter it as `ssh-ed25519 AAAA...`."
        ) from error


def _wrong_key(access: Access, shown: str, expected: str) -> HostKeyMismatch:
    return HostKeyMismatch(
        f"{access.device} at {access.address}:{access.port} shows host key {shown}, the inventory holds {expected}. "
        f"Somebody may be in between, or the device was reinstalled: compare with "
        f"`ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on its console, then correct the inventory."
    )


def _is_dropped_login(error: BaseException) -> bool:
    if isinstance(error, (EOFError, ConnectionResetError, BrokenPipeError)):
        return True
    return isinstance(error, paramiko.SSHException) and "protocol banner" in str(error)


def _is_lost_connection(error: paramiko.AuthenticationException) -> bool:
    # paramiko has no type of its own for a login that was cut or that timed out.
    return "transport shut down" in str(error) or "timeout" in str(error).lower()


def _log_retry(access: Access, state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    log.info("login dropped, trying again", device=access.device, attempt=state.attempt_number, error=str(error))
