"""The server driver: reads what is, decides what differs, lets the agent change that, reads back."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

import paramiko
import structlog

from freehold.devices.base import Beat, Secrets, silent
from freehold.devices.lldp import parse_neighbours
from freehold.devices.servers.differences import Change, check_intent, diff_text, find_changes
from freehold.devices.servers.session import AgentSession
from freehold.devices.ssh import said
from freehold.errors import BadInput, CommandRejected, ReadBackDiffers
from freehold.models.access import Access
from freehold.models.base import content_hash
from freehold.models.network import Neighbour
from freehold.models.plan import DeviceDiff
from freehold.models.server import SECRET_TOKEN, EraseRecord, ServerFacts, ServerIntent, ServerResult, ServerSnapshot
from freehold.secrets import Foreseen, redact, resolve

log = structlog.get_logger(__name__)

LOCK_WAIT_S = 600.0
ERASE_TIMEOUT_S = 7 * 24 * 3600.0


class SshServer:
    """One open session with a server."""

    def __init__(self, client: paramiko.SSHClient, access: Access, secrets: Secrets) -> None:
        self._access = access
        self._secrets = secrets
        self._agent = AgentSession(client, access)

    def close(self) -> None:
        self._agent.close()

    def facts(self) -> ServerFacts:
        return ServerFacts(server=self._access.device, **self._agent.call("facts", timeout_s=60))

    def snapshot(self) -> ServerSnapshot:
        self._agent.lock(silent, LOCK_WAIT_S)
        return ServerSnapshot(server=self._access.device, **self._agent.call("snapshot", timeout_s=120))

    def preview(self, intent: ServerIntent) -> DeviceDiff:
        self._check(intent)
        seen = self._read(intent, silent)
        changes = find_changes(intent, seen, Foreseen(self._secrets))
        return DeviceDiff(device=self._access.device, before=content_hash(seen), diff=diff_text(changes))

    def apply(self, intent: ServerIntent, beat: Beat = silent) -> ServerResult:
        self._check(intent)
        self._agent.lock(beat, LOCK_WAIT_S)
        changes = find_changes(intent, self._read(intent, beat), self._secrets)
        self._agent.call(
            "apply",
            beat,
            tell=self._teller(_names(intent)),
            changes=[change.order for change in changes],
            purge=list(intent.purge),
        )
        left = [c for c in find_changes(intent, self._read(intent, beat), self._secrets) if c.diff]
        if left:
            raise ReadBackDiffers(f"{self._access.device}: after the change these still differ: {_listed(left)}")
        diff = diff_text(changes)
        log.info("server as wanted", server=self._access.device, changed=bool(diff))
        return ServerResult(server=self._access.device, changed=bool(diff), diff=diff)

    def remove(self, intent: ServerIntent, beat: Beat = silent) -> ServerResult:
        # The server itself remembers what was done to it, so that also a part of the intent is taken back wholly.
        self._check(intent)
        self._agent.lock(beat, LOCK_WAIT_S)
        done: list[str] = self._agent.call("remove", beat, tell=self._teller(_names(intent)))
        log.info("server as before", server=self._access.device, undone=len(done))
        return ServerResult(server=self._access.device, changed=bool(done), diff="\n".join(done))

    def erase(self, disk: str, serial: str = "", beat: Beat = silent) -> EraseRecord:
        self._agent.lock(beat, LOCK_WAIT_S)
        answer = self._agent.call("erase", beat, timeout_s=ERASE_TIMEOUT_S, name=disk, serial=serial)
        record = EraseRecord(server=self._access.device, **answer)
        log.info("disk erased", server=self._access.device, disk=disk, clean=record.clean)
        if not record.clean:
            raise ReadBackDiffers(
                f"{self._access.device}: disk {disk} ({record.serial}) is not clean after erasing: "
                f"{record.nonzero_bytes} of {record.sampled_bytes} bytes read are not zero, "
                f"signatures: {', '.join(record.signatures) or 'none'}"
            )
        return record

    def neighbours(self) -> tuple[Neighbour, ...]:
        done = self._agent.call("neighbours", timeout_s=60)
        if done["code"]:
            raise CommandRejected(f"{self._access.device}: lldpcli: {said(done['err'] or done['out'])}")
        try:
            return parse_neighbours(done["out"])
        except ValueError as error:
            raise CommandRejected(f"{self._access.device}: {said(str(error))}") from error

    def run(self, script: str, given: Mapping[str, Any], timeout_s: float = 60) -> dict[str, Any]:
        names = set(SECRET_TOKEN.findall(json.dumps(dict(given))))
        tell = self._teller(names)
        resolved = _each_text(dict(given), lambda text: resolve(text, self._secrets))
        done = self._agent.call(
            "run", tell=tell, timeout_s=timeout_s + 60, script=script, given=resolved, limit_s=timeout_s
        )
        if done["code"]:
            raise CommandRejected(
                f"{self._access.device}: the program ended with {done['code']}: {said(tell(done['err'])[-500:])}"
            )
        last = done["out"].strip().rpartition("\n")[2]
        try:
            answer = json.loads(last)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise CommandRejected(
                f"{self._access.device}: the program's last line is no JSON object: {said(tell(last))}"
            )
        return dict(_each_text(answer, tell))

    def _check(self, intent: ServerIntent) -> None:
        if intent.server != self._access.device:
            raise BadInput(f"the intent is for {intent.server} and the session is with {self._access.device}")
        check_intent(intent)

    def _read(self, intent: ServerIntent, beat: Beat) -> dict[str, Any]:
        asked = intent.model_dump(mode="json", exclude={"files": {"__all__": {"content"}}})
        seen: dict[str, Any] = self._agent.call("read", beat, tell=self._teller(_names(intent)), intent=asked)
        return seen

    def _teller(self, names: Collection[str]) -> Any:
        return lambda text: redact(text, self._secrets, names, lines=True)


def _names(intent: ServerIntent) -> set[str]:
    return {name for file in intent.files for name in file.secrets}


def _listed(changes: list[Change]) -> str:
    return said("; ".join(change.diff.splitlines()[0] for change in changes))


def _each_text(value: Any, change: Any) -> Any:
    """The same JSON value with every text in it changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {key: _each_text(part, change) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_each_text(part, change) for part in value]
    return value
