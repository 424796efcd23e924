"""What a device can be asked, whatever it is made of. Everything above speaks to these protocols only."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from freehold.models.access import Access
from freehold.models.network import MacEntry, Neighbour, SwitchChange, SwitchState
from freehold.models.plan import DeviceDiff
from freehold.models.server import EraseRecord, ServerFacts, ServerIntent, ServerResult, ServerSnapshot

Beat = Callable[[str], None]
"""Called with a few words while long work goes on, at least every few seconds."""


def silent(_: str) -> None:
    """A `Beat` for callers that do not watch."""


class Switch(Protocol):
    """One open session with a switch. All methods raise subclasses of `freehold.errors.DeviceError`."""

    def read(self, ports: Collection[str] | None = None) -> SwitchState:
        """The configuration as it is now, of these ports or of all. Unknown ports raise CommandRejected."""

    def render(self, before: SwitchState, changes: Sequence[SwitchChange]) -> tuple[str, ...]:
        """Commands that turn `before` into what the changes want; empty when nothing is to be done."""

    def apply(self, commands: Sequence[str]) -> None:
        """Send the commands in as few round trips as the device allows, all or nothing.

        Raises CommandRejected with the device's words; it is then as before.
        """

    def save(self) -> None:
        """Make the running configuration survive a reboot."""

    def neighbours(self) -> tuple[Neighbour, ...]:
        """All LLDP neighbours."""

    def mac_table(self) -> tuple[MacEntry, ...]:
        """The MAC address table."""


class Server(Protocol):
    """One open session with a server (or a customer's host). Raises subclasses of DeviceError."""

    def facts(self) -> ServerFacts:
        """What the server is made of."""

    def snapshot(self) -> ServerSnapshot:
        """Fingerprint of all that Freehold may touch."""

    def preview(self, intent: ServerIntent) -> DeviceDiff:
        """What `apply` would change now, as a unified diff with secret tokens; changes nothing."""

    def apply(self, intent: ServerIntent, beat: Beat = silent) -> ServerResult:
        """Bring the intent about and read it back. Repeating it finds nothing to change."""

    def remove(self, intent: ServerIntent, beat: Beat = silent) -> ServerResult:
        """Take the intent back: units stopped, files restored or deleted, disks unmounted. Repeating is harmless."""

    def erase(self, disk: str, serial: str = "", beat: Beat = silent) -> EraseRecord:
        """Destroy all data on an unmounted disk and read back samples. With a serial, on no other disk of that name."""

    def neighbours(self) -> tuple[Neighbour, ...]:
        """All LLDP neighbours."""

    def run(self, script: str, given: Mapping[str, Any], timeout_s: float = 60) -> dict[str, Any]:
        """Run a Python program on the device: `given` as JSON on stdin, its last line of output is JSON.

        Secret tokens inside `given` are resolved on the way and taken out of the answer.
        """


class Devices(Protocol):
    """Opens sessions. The real one speaks SSH; a simulated one serves tests and benchmarks."""

    def switch(self, access: Access) -> AbstractContextManager[Switch]:
        """A session with a switch; the dialect is in `access`."""

    def server(self, access: Access) -> AbstractContextManager[Server]:
        """A session with a server or host."""


class Secrets(Protocol):
    """Where credentials live. Names are references and may be seen by everybody."""

    def get(self, name: str) -> str:
        """The secret. Raises SecretMissing."""

    def put(self, name: str, value: str) -> None:
        """Store or replace a secret."""

    def ensure(self, name: str, make: Callable[[], str]) -> bool:
        """Store `make()` unless a secret of that name exists; True when it was made. Safe under concurrency."""

    def ensure_all(self, makers: Mapping[str, Callable[[], str]]) -> tuple[str, ...]:
        """Store what is missing, all of it or nothing; the names of what was made."""

    def delete(self, name: str) -> bool:
        """Forget a secret; True when there was one."""

    def names(self, prefix: str = "") -> tuple[str, ...]:
        """All names that begin with `prefix`, sorted."""
