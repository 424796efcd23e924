"""Logging in to a device that behaves, and to devices that do not."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import paramiko
import pytest

from freehold.devices.ssh import connect, device_errors
from freehold.errors import (
    AuthenticationRefused,
    CommandRejected,
    DeviceUnreachable,
    HostKeyMismatch,
    SecretMissing,
)
from freehold.models.access import Access
from tests.devices.fakes.eos import Eos
from tests.devices.fakes.ssh_device import SshDevice, new_private_key, running


@pytest.fixture
def device() -> Iterator[SshDevice]:
    with running(Eos.with_ports(1).login) as device:
        yield device


def _access(device: SshDevice, **changed: object) -> Access:
    return device.access.model_copy(update=changed)


def test_logs_in_with_the_key_from_the_secrets(device: SshDevice) -> None:
    client = connect(device.access, device.secrets)
    transport = client.get_transport()
    assert transport is not None and transport.is_authenticated()
    client.close()


def test_nobody_listens(device: SshDevice) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(DeviceUnreachable, match=rf"leaf1 does not answer at 127.0.0.1:{port}: .*refused"):
        connect(_access(device, port=port), device.secrets)


def test_a_changed_host_key_tells_both_fingerprints_and_sends_no_login(device: SshDevice) -> None:
    expected = paramiko.Ed25519Key.from_private_key(__import__("io").StringIO(new_private_key()))
    with pytest.raises(HostKeyMismatch) as caught:
        connect(_access(device, host_key=f"ssh-ed25519 {expected.get_base64()}"), device.secrets)
    assert device.host_key.fingerprint in str(caught.value)
    assert expected.fingerprint in str(caught.value)
    assert "correct the inventory" in str(caught.value)
    assert device.logins == 0


@pytest.mark.parametrize("host_key", ["", "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-ed25519 ???", "pigeon AAAA"])
def test_an_unknown_host_key_is_refused(device: SshDevice, host_key: str) -> None:
    with pytest.raises(HostKeyMismatch, match="no readable host key"):
        connect(_access(device, host_key=host_key), device.secrets)
    assert device.logins == 0


def test_refused_credentials_name_user_and_secret_but_not_the_key(device: SshDevice) -> None:
    device.faults.refuse_auth = True
    with pytest.raises(AuthenticationRefused, match="user freehold with the key in secret device-key") as caught:
        connect(device.access, device.secrets)
    assert "PRIVATE KEY" not in str(caught.value)


def test_a_secret_that_is_no_key_is_not_quoted(device: SshDevice) -> None:
    device.secrets.value = "hunter2"
    with pytest.raises(AuthenticationRefused, match="no Ed25519 private key") as caught:
        connect(device.access, device.secrets)
    assert "hunter2" not in str(caught.value)


def test_a_missing_secret(device: SshDevice) -> None:
    with pytest.raises(SecretMissing):
        connect(_access(device, credential="other"), device.secrets)


def test_dropped_logins_are_tried_again(device: SshDevice) -> None:
    device.faults.drop_logins = 3
    connect(device.access, device.secrets).close()
    assert device.faults.drop_logins == 0


def test_dropped_logins_are_not_tried_for_ever(device: SshDevice) -> None:
    device.faults.drop_logins = 10_000
    began = time.monotonic()
    with pytest.raises(DeviceUnreachable, match="leaf1"):
        connect(device.access, device.secrets, timeout_s=1.5)
    assert time.monotonic() - began < 5
    assert device.faults.drop_logins < 9_999


def test_a_device_that_says_nothing_does_not_hold_us(device: SshDevice) -> None:
    device.faults.stall_login = True
    began = time.monotonic()
    with pytest.raises(DeviceUnreachable, match="leaf1"):
        connect(device.access, device.secrets, timeout_s=1)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (FileNotFoundError(2, "No such file"), CommandRejected),
        (PermissionError(13, "Permission denied"), CommandRejected),
        (TimeoutError("timed out"), DeviceUnreachable),
        (ConnectionResetError(104, "reset"), DeviceUnreachable),
        (OSError("Socket is closed"), DeviceUnreachable),
        (EOFError(), DeviceUnreachable),
        (paramiko.SSHException("No existing session"), DeviceUnreachable),
        (paramiko.AuthenticationException("Authentication timeout."), DeviceUnreachable),
        (paramiko.AuthenticationException("Authentication failed."), AuthenticationRefused),
        (CommandRejected("ours stay as they are"), CommandRejected),
    ],
)
def test_every_failure_has_a_type_and_names_the_device(
    device: SshDevice, raised: Exception, told: type[Exception]
) -> None:
    with pytest.raises(told) as caught, device_errors(device.access):
        raise raised
    assert "leaf1" in str(caught.value) or caught.value is raised
