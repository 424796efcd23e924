"""Effects on servers: what they are, what they should be, and the way back."""

from __future__ import annotations

from temporalio import activity

from activities.evidence import observation
from freehold.devices.base import Devices
from freehold.errors import Conflict, DeviceError, DeviceUnreachable, ProofFailed
from freehold.inventory import Inventory
from freehold.models.instance import EvidenceKind
from freehold.models.plan import DeviceDiff, Plan
from freehold.models.server import EraseRecord, ServerIntent, ServerResult, ServerSnapshot
from freehold.models.work import Changed, DiskRef, ServerPreviewInput, ServerRef, StageInput
from freehold.services import service


class ServerActivities:
    """Holds the way to the devices. Every effect reads first, so that repeating it changes nothing."""

    def __init__(self, devices: Devices, inventory: Inventory) -> None:
        self._devices, self._inventory = devices, inventory

    @activity.defn
    def preview_server(self, given: ServerPreviewInput) -> DeviceDiff:
        """Read a server and say what the plan would change. Also refuses a server that is not the planned one."""
        with self._devices.server(self._inventory.access(given.server)) as server:
            facts = server.facts()
            planned = next(s for s in given.plan.servers if s.server == given.server)
            if facts.serial != planned.serial:
                raise ProofFailed(
                    f"{given.server}: serial {facts.serial!r} answers where {planned.serial!r} should be; "
                    "mount the right server or correct the inventory"
                )
            diff = server.preview(whole_intent(given.plan, given.server))
            if given.keep:
                snapshot = server.snapshot()
                fingerprint = snapshot.model_dump_json().encode()
                self._inventory.keep_files(given.plan.instance, {before_file(given.server): fingerprint})
                diff = diff.model_copy(update={"before": snapshot.hash})
        return diff

    @activity.defn
    def apply_stage(self, given: StageInput) -> ServerResult:
        """Bring one server to one stage's state and read it back."""
        plan = self._inventory.instance(given.instance).plan
        stages = {stage.name: stage for stage in service(plan.request.service).stages(plan)}
        intent = next((i for i in stages[given.stage].intents if i.server == given.server), None)
        return self._apply(given, intent)

    @activity.defn
    def freeze(self, given: ServerRef) -> ServerResult:
        """Let customers only read, as far as this server has a say. Repeating it changes nothing."""
        plan = self._inventory.instance(given.instance).plan
        intent = next((i for i in service(plan.request.service).frozen(plan) if i.server == given.server), None)
        return self._apply(given, intent)

    @activity.defn
    def thaw(self, given: ServerRef) -> ServerResult:
        """Let customers write again. Repeating it changes nothing."""
        plan = self._inventory.instance(given.instance).plan
        return self._apply(given, whole_intent(plan, given.server))

    def _apply(self, given: ServerRef, intent: ServerIntent | None) -> ServerResult:
        if intent is None:
            return ServerResult(server=given.server, changed=False)
        with self._devices.server(self._inventory.access(given.server)) as server:
            return server.apply(intent)

    @activity.defn
    def remove(self, given: ServerRef) -> ServerResult:
        """Take everything of the instance off a server. Repeating it finds nothing."""
        plan = self._inventory.instance(given.instance).plan_of(given.server)
        with self._devices.server(self._inventory.access(given.server)) as server:
            return server.remove(whole_intent(plan, given.server))

    @activity.defn
    def erase(self, given: DiskRef) -> EraseRecord:
        """Erase one disk and keep the record. Fails closed: no clean record, no answer."""
        return self._erase(given)

    @activity.defn
    def erase_if_ours(self, given: DiskRef) -> Changed:
        """Undo a filesystem that the plan made: a disk that carries another signature is left alone."""
        plan = self._inventory.instance(given.instance).plan_of(given.server)
        labels = {f.label for f in whole_intent(plan, given.server).filesystems if f.disk == given.disk}
        with self._devices.server(self._inventory.access(given.server)) as server:
            signature = server.snapshot().disks.get(given.disk, "")
        if not any(label in signature for label in labels):
            return Changed(changed=False)
        self._erase(given)
        return Changed(changed=True, diff=f"- {given.disk} {signature}")

    def _erase(self, given: DiskRef) -> EraseRecord:
        disks = {disk.name: disk for disk in self._inventory.device(given.server).disks}
        with self._devices.server(self._inventory.access(given.server)) as server:
            record = server.erase(given.disk, disks[given.disk].serial)
        name, claim = f"erase/{given.server}/{given.disk}", f"disk {given.disk} of {given.server} holds no data"
        seen = record.model_dump(mode="json")
        self._inventory.keep_evidence(
            observation(name, given.instance, EvidenceKind.ERASE, claim, seen, holds=record.clean)
        )
        if not record.clean:
            raise ProofFailed(
                f"{given.server} {given.disk}: still holds data after {record.method} "
                f"({record.nonzero_bytes} bytes, signatures {', '.join(record.signatures) or 'none'}); "
                "replace the disk or retry"
            )
        return record

    @activity.defn
    def check_silent(self, given: ServerRef) -> None:
        """Refuse to take a server for dead that answers, whatever it says. Changes nothing."""
        try:
            with self._devices.server(self._inventory.access(given.server)):
                words = "answers: drain it as one that lives, so that nothing is lost that only it has"
        except DeviceUnreachable:
            return
        except DeviceError as error:
            words = f"is not dead, something answers in its place: {error}"
        raise Conflict(f"{given.server} {words}; or switch it off first.")

    @activity.defn
    def check_as_before(self, given: ServerRef) -> None:
        """Prove that a server is as it was before the procedure touched it."""
        kept = self._inventory.file(given.instance, before_file(given.server))
        if kept is None:
            return  # it was never read, so it was never touched
        before = ServerSnapshot.model_validate_json(kept)
        with self._devices.server(self._inventory.access(given.server)) as server:
            after = server.snapshot()
        if differences := compare(before, after):
            raise ProofFailed(f"{given.server} is not as before: {'; '.join(differences[:10])}")


def whole_intent(plan: Plan, server: str) -> ServerIntent:
    """All that the plan ever wants of a server: its last stage's intent."""
    last = service(plan.request.service).stages(plan)[-1]
    return next(intent for intent in last.intents if intent.server == server)


def before_file(server: str) -> str:
    return f"before/{server}.json"


def compare(before: ServerSnapshot, after: ServerSnapshot) -> list[str]:
    """What differs between two fingerprints of a server, in words."""
    found: list[str] = []
    for field, old, new in ((f, getattr(before, f), getattr(after, f)) for f in type(before).model_fields):
        if old == new:
            continue
        if isinstance(old, dict):
            found += [f"{field} {k}" for k in sorted(old.keys() | new.keys()) if old.get(k) != new.get(k)]
        elif isinstance(old, tuple):
            found += [f"{field}: {x} is new" for x in new if x not in old]
            found += [f"{field}: {x} is missing" for x in old if x not in new]
        else:
            found.append(f"{field}: {new} instead of {old}")
    return found
