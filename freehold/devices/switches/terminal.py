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


class _Channel(SSHChannel):
    """netmiko would wait for the whole time-out when the device has gone."""

    def read_channel(self) -> str:
        channel = self.remote_conn
        if channel is not None and (channel.closed or channel.eof_received) and not channel.recv_ready():
            raise EOFError("the device closed the session")
        return str(super().read_channel())


@contextmanager
def open_terminal(access: Access, secrets: Secrets, device_type: str, timeout_s: float) -> Iterator[BaseConnection]:
    """Log in and prepare the command line as netmiko does for `device_type`; closed at the end.

    Every answer must come within `timeout_s`.
    """
    client = connect(access, secrets, timeout_s)
    try:
        with terminal_errors(access):
            terminal = ConnectHandler(
                device_type=device_type,
                host=str(access.address),
                auto_connect=False,
                read_timeout_override=timeout_s,
            )
            # What netmiko's establish_connection() does with a client of its own.
            terminal.remote_conn_pre = client
            terminal.remote_conn = client.invoke_shell(term="vt100", width=511, height=1000)
            terminal.remote_conn.settimeout(timeout_s)
            terminal.channel = _Channel(conn=terminal.remote_conn, encoding=terminal.encoding)
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
