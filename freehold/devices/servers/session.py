"""A conversation with the agent program on a server, over one SSH channel."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import paramiko

from freehold.devices import programs
from freehold.devices.base import Beat, silent
from freehold.devices.ssh import device_errors, said
from freehold.errors import CommandRejected, DeviceUnreachable
from freehold.models.access import Access

SILENCE_S = 30.0
"""The agent says something every two seconds while it works."""

# In the order in which they need one another.
_MODULES = ("tools", "memory", "units", "files", "accounts", "disks", "filesystems", "looking", "main")


class AgentSession:
    """Starts the agent when it is first called and ends it with `close`."""

    def __init__(self, client: paramiko.SSHClient, access: Access) -> None:
        self._client = client
        self._access = access
        self._channel: paramiko.Channel | None = None
        self._heard = b""
        self._locked = False

    def call(
        self,
        method: str,
        beat: Beat = silent,
        /,
        *,
        tell: Callable[[str], str] = str,
        timeout_s: float = 3600,
        **given: Any,
    ) -> Any:
        """Ask the agent and wait for its answer; `tell` takes secrets out of what it says in words."""
        try:
            with device_errors(self._access):
                message = self._ask({"call": method, "given": given}, beat, tell, timeout_s)
        except BaseException:
            self.close()  # an answer that comes later must not be taken for that of the next question
            raise
        if "refused" in message:
            raise CommandRejected(f"{self._access.device}: {said(tell(message['refused']), 2000)}")
        if "busy" in message:
            raise DeviceUnreachable(f"{self._access.device}: {message['busy']}; try again later")
        return message["answer"]

    def lock(self, beat: Beat, wait_s: float) -> None:
        """Two runs on one server wait for one another. The lock goes with the agent."""
        if not self._locked:
            self.call("lock", beat, wait_s=wait_s, timeout_s=wait_s + SILENCE_S)
            self._locked = True

    def close(self) -> None:
        """End the agent. One that is in the middle of something stops at the next safe place."""
        if self._channel is not None:
            self._channel.close()
        self._channel, self._heard, self._locked = None, b"", False

    def _ask(
        self, question: dict[str, Any], beat: Beat, tell: Callable[[str], str], timeout_s: float
    ) -> dict[str, Any]:
        end = time.monotonic() + timeout_s
        channel = self._channel or self._start()
        channel.sendall(json.dumps(question).encode() + b"\n")
        while "beat" in (message := self._hear(channel)):
            beat(tell(message["beat"]))
            if time.monotonic() > end:
                raise DeviceUnreachable(f"{self._access.device}: {question['call']} did not end in {timeout_s:g} s")
        return message

    def _start(self) -> paramiko.Channel:
        transport = self._client.get_transport()
        if transport is None:
            raise DeviceUnreachable(f"{self._access.device}: the connection is closed")
        self._channel = channel = transport.open_session(timeout=SILENCE_S)
        channel.settimeout(SILENCE_S)
        prefix = "" if self._access.user == "root" else "sudo -n "
        channel.exec_command(prefix + programs.command("agent"))
        channel.sendall(programs.modules("freehold.devices.servers.agent", _MODULES))
        return channel

    def _hear(self, channel: paramiko.Channel) -> dict[str, Any]:
        while b"\n" not in self._heard:
            part = channel.recv(1 << 16)
            if not part:
                raise self._ended(channel)
            self._heard += part
        line, _, self._heard = self._heard.partition(b"\n")
        try:
            message: dict[str, Any] = json.loads(line)
        except ValueError as error:
            told = said(line.decode(errors="replace"))
            raise CommandRejected(f"{self._access.device}: something else than our program answers: {told}") from error
        return message

    def _ended(self, channel: paramiko.Channel) -> Exception:
        last = said(programs.last_words(channel))
        if channel.exit_status > 0 and last:
            return CommandRejected(f"{self._access.device}: our program cannot run there: {last}")
        return DeviceUnreachable(f"{self._access.device}: the connection or our program there ended")
