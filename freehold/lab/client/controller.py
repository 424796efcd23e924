"""Runs the counting client on a customer's host, over SSH.

with CountingClient(access, secrets, service.credentials(plan)) as client:
    client.phase(QUIET)
    ...
    client.phase("grow")
    ...
    result = client.stop()
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

import paramiko

from freehold.devices import programs
from freehold.devices.base import Secrets
from freehold.devices.ssh import connect, device_errors, said
from freehold.errors import CommandRejected, DeviceUnreachable, NotFound
from freehold.inventory import Inventory
from freehold.lab.client.models import ClientResult, Load, Progress
from freehold.lab.client.program.tally import QUIET
from freehold.models.access import Access
from freehold.models.server import SECRET_TOKEN
from freehold.secrets import redact, resolve
from freehold.services import service

__all__ = ["QUIET", "CountingClient"]

ANSWER_S = 60.0
"""For the start and for a phase to begin."""
SILENCE_S = 60.0
"""The program says something every second; on a busy computer later."""
STOP_S = 600.0

# In the order in which they need one another.
_MODULES = ("truth", "tally", "customer", "traffic", "main")


@dataclass
class _Heard:
    """What the program said last of each kind."""

    progress: Progress | None = None
    phase: str = ""
    result: ClientResult | None = None
    error: Exception | None = None
    at: float = field(default_factory=time.monotonic)


class CountingClient:
    """Starts when the block is entered. Leaving it without `stop` ends the run without a verdict.

    All methods raise a DeviceError once the program or the way to it has broken: then there is no verdict.
    """

    def __init__(
        self, access: Access, secrets: Secrets, credentials: Mapping[str, str], load: Load | None = None
    ) -> None:
        """`credentials` as a service's `credentials(plan)` gives them, with tokens for its secrets."""
        self._access, self._secrets, self._credentials = access, secrets, dict(credentials)
        self._load = load or Load()
        self._names = set(SECRET_TOKEN.findall(" ".join(self._credentials.values())))
        self._heard, self._news = _Heard(), threading.Condition()
        self._client: paramiko.SSHClient | None = None
        self._channel: paramiko.Channel | None = None

    @classmethod
    def of(cls, inventory: Inventory, secrets: Secrets, instance: str, load: Load | None = None) -> Self:
        """For an instance of the inventory, on a host of its customer. Raises NotFound if none is on."""
        plan = inventory.instance(instance).plan
        asked = plan.request
        hosts = [h for h in inventory.hosts(asked.customer) if h.site == asked.site and h.powered and h.address]
        if not hosts:
            raise NotFound(
                f"customer {asked.customer} has no host at site {asked.site} that is on: the counting client needs one"
            )
        credentials = service(asked.service).credentials(plan)
        return cls(inventory.access(hosts[0].name), secrets, credentials, load)

    def __enter__(self) -> Self:
        target = {name: resolve(text, self._secrets) for name, text in self._credentials.items()}
        self._client = connect(self._access, self._secrets)
        try:
            with device_errors(self._access):
                self._start({"target": target, "load": self._load.model_dump()})
            self._wait(lambda heard: heard.progress, ANSWER_S, "start")
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def phase(self, name: str, judged: bool = True) -> None:
        """What ends from now on belongs to this phase. `QUIET` is the one the others are compared with.

        A phase that is not `judged` (the lab boots machines, say) is left out of the run's own `p99_ratio`.
        """
        self._heard.phase = ""
        self._order({"phase": name, "judged": judged})
        self._wait(lambda heard: heard.phase == name, ANSWER_S, f"begin phase {name}")

    def progress(self) -> Progress:
        """Where it stands; a new one every second."""
        found = self._wait(lambda heard: heard.progress, ANSWER_S, "tell how it goes")
        assert isinstance(found, Progress)
        return found

    def stop(self, timeout_s: float = STOP_S) -> ClientResult:
        """End the run, or take the verdict of one that ended by itself. Everything is read back first: some seconds."""
        if self._heard.result is None:
            self._order({"stop": True})
        found = self._wait(lambda heard: heard.result, timeout_s, "stop")
        assert isinstance(found, ClientResult)
        return found

    def _start(self, given: dict[str, Any]) -> None:
        assert self._client is not None
        transport = self._client.get_transport()
        if transport is None:
            raise DeviceUnreachable(f"{self._access.device}: the connection is closed")
        self._channel = channel = transport.open_session(timeout=ANSWER_S)
        channel.settimeout(SILENCE_S)
        channel.exec_command(programs.command("counting", then="module.main()"))
        # The keys go where the modules go: nothing of them shows on the host.
        channel.sendall(programs.modules("freehold.lab.client.program", _MODULES))
        channel.sendall(json.dumps(given).encode() + b"\n")
        threading.Thread(target=self._listen, args=(channel,), daemon=True).start()

    def _order(self, order: dict[str, Any]) -> None:
        if self._channel is None:
            raise DeviceUnreachable(f"{self._access.device}: the counting client does not run")
        with suppress(OSError):  # whoever waits for the answer is told what the listener heard last
            self._channel.sendall(json.dumps(order).encode() + b"\n")

    def _wait(self, look: Callable[[_Heard], object], timeout_s: float, what: str) -> object:
        with self._news:
            self._news.wait_for(lambda: look(self._heard) or self._heard.error, timeout_s)
            if self._heard.error and self._heard.result is None:
                raise self._heard.error
            if found := look(self._heard):
                return found
        raise DeviceUnreachable(f"{self._access.device}: the counting client did not {what} in {timeout_s:g} s")

    def _listen(self, channel: paramiko.Channel) -> None:
        try:
            with device_errors(self._access), channel.makefile("rb") as lines:
                for line in lines:
                    self._hear(json.loads(redact(line.decode(), self._secrets, self._names)))
            raise self._ended(channel)
        except Exception as error:
            with self._news:
                self._heard.error = error
                self._news.notify_all()

    def _hear(self, message: dict[str, Any]) -> None:
        with self._news:
            if "progress" in message:
                self._heard.progress = Progress.model_validate(message["progress"])
            elif "phase" in message:
                self._heard.phase = message["phase"]
            elif "result" in message:
                self._heard.result = ClientResult.model_validate(message["result"])
            else:
                raise CommandRejected(f"{self._access.device}: the counting client: {said(message['error'])}")
            self._news.notify_all()

    def _ended(self, channel: paramiko.Channel) -> Exception:
        last = redact(programs.last_words(channel), self._secrets, self._names)
        if channel.exit_status > 0 and last:
            return CommandRejected(f"{self._access.device}: the counting client cannot run there: {said(last)}")
        return DeviceUnreachable(f"{self._access.device}: the counting client or the connection to it ended")

    def _close(self) -> None:
        if self._channel is not None:
            self._channel.close()
        if self._client is not None:
            self._client.close()
        self._channel = self._client = None
