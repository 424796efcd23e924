"""A switch's command line: netmiko on a connection of ours, so that host keys, keys and errors are ours too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from netmiko import ConnectHandler
from netmiko.base_connection import BaseConnection
from netmiko.channel import SSHChannel

from freehold.devices.base import Secrets
from freehold.devices.ssh import connect, device_errors, said
from freehold.errors import DeviceUnreachable
from freehold.models.access import Access

ANSWER_TIMEOUT_S = 30.0


@contextmanager
def open_terminal(access: Access, secrets: Secrets, device_type: str) -> Iterator[BaseConnection]:
    """Log in and prepare the command line as netmiko does for `device_type`; closed at the end."""
    client = connect(access, secrets)
    try:
        with terminal_errors(access):
            terminal = ConnectHandler(device_type=device_type, host=str(access.address), auto_connect=False)
            # What netmiko's establish_connection() does with a client of its own.
            terminal.remote_conn_pre = client
            terminal.remote_conn = client.invoke_shell(term="vt100", width=511, height=1000)
            terminal.remote_conn.settimeout(ANSWER_TIMEOUT_S)
            terminal.channel = SSHChannel(conn=terminal.remote_conn, encoding=terminal.encoding)
            terminal._try_session_preparation()
        try:
            yield terminal
        finally:
            terminal.disconnect()
    finally:
        client.close()


@contextmanager
def terminal_errors(access: Access) -> Iterator[None]:
    """Errors of a command line as `DeviceError`s."""
    with device_errors(access):
        try:
            yield
        except ValueError as error:  # netmiko's word for a prompt that it cannot find
            raise DeviceUnreachable(f"{access.device}: its command line does not answer: {said(str(error))}") from error
