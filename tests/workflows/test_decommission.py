"""The end of an instance: the approver reads what is destroyed; what is to be exported is proven to be before."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError

from freehold.errors import DeviceUnreachable, ProofFailed
from freehold.models.change import Round
from freehold.models.contents import Contents, Part
from freehold.models.instance import EvidenceKind, InstanceState
from freehold.services.object_storage.service import ObjectStorage
from tests.workflows.rig import Rig, until_waiting, view
from workflows import policies

HELD = Contents(
    parts=(
        Part(name="bucket logs", objects=3, size_bytes=1 << 20),
        Part(name="bucket photos", objects=1200, size_bytes=3 << 30),
    )
)
EXPORT = {"host": "acme-host", "folder": "/srv/export"}


@pytest.fixture
async def active(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Rig:
    monkeypatch.setattr(ObjectStorage, "contents", lambda *_: HELD)
    assert (await rig.approved(await rig.provision())).outcome == "active"
    return rig


async def test_the_approver_reads_what_is_destroyed(active: Rig) -> None:
    (server,) = active.inventory.instance("acme-1").plan.servers
    handle = await active.decommission()
    seen = await until_waiting(handle)
    assert seen.waiting is not None
    for words in (
        f"this destroys all data of acme-1 for ever, on {server.server} vdb",
        "1,203 objects, 3.00 GiB: bucket photos (1,200 objects, 3.00 GiB), bucket logs (3 objects, 0.00 GiB)",
        "nothing is exported, and once it is approved there is no way back",
    ):
        assert words in seen.waiting.reason
    await handle.execute_update("reject", {"operator": "amir"})
    assert (await handle.result()).outcome == "rejected"
    planned = await (await active.decommission(dry_run=True)).result()
    assert planned.details["holds"] == HELD.words()


async def test_what_cannot_be_counted_can_be_ended(active: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*_: Any) -> Contents:
        raise DeviceUnreachable("srv-1: no answer")

    monkeypatch.setattr(ObjectStorage, "contents", silent)
    handle = await active.decommission()
    seen = await until_waiting(handle)
    assert seen.waiting is not None and "what could not be counted (nobody can say what acme-1" in seen.waiting.reason
    assert (await active.approved(handle)).outcome == "gone"


async def test_nothing_is_destroyed_before_the_export_is_proven(active: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds that write a little each; one fails, customers read on; after an abort they write again."""
    before = active.everything()
    left = [2, 1, -1]

    def exported(*_: Any) -> Round:
        objects = left.pop(0) if left else 0
        if objects < 0:
            raise ProofFailed("acme-host:/srv/export: the disk is full")
        return Round(done=not objects, words="all lie there", left_objects=objects, total_objects=3)

    monkeypatch.setattr(ObjectStorage, "exported", exported)
    for answer in ("abort", "retry"):
        left[:] = [2, 1, -1]
        handle = await active.decommission(export=EXPORT)
        seen = await until_waiting(handle)
        assert seen.waiting is not None and "all objects are exported to acme-host:/srv/export" in seen.waiting.reason
        assert "from stop scraping on only forward" in seen.waiting.reason
        await handle.execute_update("approve", {"operator": "amir"})
        seen = await until_waiting(handle, "retry")
        assert (
            seen.waiting is not None and "export data: acme-host:/srv/export: the disk is full" in seen.waiting.reason
        )
        assert seen.waiting.messages == ("retry", "abort")
        assert "66 %, 1 of 3 objects left" in next(s.note for s in seen.steps if s.name == "export data") or seen.steps
        assert active.everything() != before, "customers only read"
        assert active.inventory.instance("acme-1").state is InstanceState.ACTIVE
        await handle.execute_update(answer, {"operator": "olivia"})
        ended = await handle.result()
        assert ended.outcome == ("aborted" if answer == "abort" else "gone")
        if answer == "abort":
            assert active.everything() == before
            assert not active.inventory.evidence("acme-1", EvidenceKind.ERASE)
    order = [s.name for s in (await view(handle)).steps]
    assert order.index("export data") < order.index("stop scraping") < order.index("erase disks")
    evidence = {e.claim: e.at for e in active.inventory.evidence("acme-1")}
    assert evidence["all lie there"] < min(at for claim, at in evidence.items() if claim.startswith("disk"))


async def test_the_export_waits_for_what_customers_had_begun_to_write(
    active: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def writes_finished(*_: Any) -> Round:
        said.append("writes")
        return Round(done=len(said) > 2, words="srv-1 still serves requests that began before, in 1 processes")

    def exported(*_: Any) -> Round:
        said.append("export")
        return Round(done=True, words="all lie there")

    monkeypatch.setattr(ObjectStorage, "writes_finished", writes_finished)
    monkeypatch.setattr(ObjectStorage, "exported", exported)
    monkeypatch.setattr(policies, "BETWEEN_ROUNDS", timedelta(milliseconds=10))
    assert (await active.approved(await active.decommission(export=EXPORT))).outcome == "gone"
    assert said == ["writes", "writes", "writes", "export"]


@pytest.mark.parametrize(
    ("export", "words"),
    [
        ({"host": "beta-host", "folder": "/srv"}, "export.host 'beta-host' is no host of acme at site north; allowed:"),
        ({"host": "acme-host", "folder": "srv"}, "export.folder must be an absolute path of letters"),
        ({"host": "acme-host", "folder": "/srv/../etc"}, "export.folder must be an absolute path of letters"),
    ],
)
async def test_where_to_is_checked_at_once(rig: Rig, export: dict[str, str], words: str) -> None:
    assert (await rig.approved(await rig.provision())).outcome == "active"
    given = {"instance": "acme-1", "requested_by": "olivia", "export": export}
    run = await rig.start("DecommissionInstance", "decommission-acme-1", given)
    with pytest.raises(WorkflowFailureError) as refused:
        await run.result()
    assert isinstance(refused.value.cause, ApplicationError) and words in refused.value.cause.message
