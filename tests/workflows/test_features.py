"""A feature that the customer uses is not switched off: refused at once, and again when its use began meanwhile."""

from __future__ import annotations

from typing import Any

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError

from freehold.models.contents import Contents, Part
from freehold.services.object_storage.service import ObjectStorage
from freehold.services.object_storage.way import SOFTWARE
from tests.workflows.rig import Rig
from workflows.scaling import USE

USED = Contents(parts=(Part(name="bucket photos", objects=3, features=("versioning",)), Part(name="bucket logs")))


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[Contents]:
    """What the next surveys find, in order; the last one again and again."""
    finds = [Contents()]
    monkeypatch.setattr(ObjectStorage, "contents", lambda *_: finds.pop(0) if len(finds) > 1 else finds[0])
    return finds


async def versioned(rig: Rig) -> None:
    assert (await rig.approved(await rig.provision())).outcome == "active"
    wish = {"tier": "distributed", "features": ("versioning", "quotas")}
    assert (await rig.approved(await rig.scale_up(**wish))).outcome == "active"


async def test_what_is_used_is_refused_at_once_and_named_the_rest_is_switched_off(
    rig: Rig, found: list[Contents]
) -> None:
    await versioned(rig)
    found[0] = USED
    before = rig.everything()
    wishes: list[dict[str, Any]] = [{"features": ("quotas",)}, {"tier": "compact", "features": ()}]
    for wish in (*wishes, {"features": (), "dry_run": True}):
        with pytest.raises(WorkflowFailureError) as refused:
            await (await rig.scale_down(**wish)).result()
        cause = refused.value.cause
        assert isinstance(cause, ApplicationError) and cause.type == "BadInput"
        assert cause.message.startswith("acme-1: feature 'versioning' is in use by bucket photos. It can be switched")
        assert rig.everything() == before
    assert (await rig.approved(await rig.scale_down(features=("versioning",)))).outcome == "active"
    assert rig.inventory.instance("acme-1").plan.request.features == ("versioning",)


async def test_a_higher_rate_takes_programs_before_servers(rig: Rig) -> None:
    assert (await rig.approved(await rig.provision())).outcome == "active"
    (server,) = rig.inventory.instance("acme-1").plan.servers
    before = rig.devices.state(server.server)["files"]
    ended = await rig.approved(await rig.scale_up(requests_per_s=100))
    assert (ended.outcome, ended.details["joins"], ended.details["leaves"]) == ("active", [], [])
    assert SOFTWARE in ended.details["waypoints"]
    after = rig.devices.state(server.server)["files"]
    changed = {path for path in after if after[path] != before.get(path)}
    assert changed == {"/etc/swift/freehold/proxy-server.conf", "/etc/memcached.conf"}
    assert "already" in (await (await rig.scale_up(requests_per_s=100)).result()).reason
    assert (await rig.approved(await rig.scale_down(requests_per_s=10))).outcome == "active"
    assert rig.devices.state(server.server)["files"] == before


async def test_a_use_that_began_before_or_after_the_approval_stops_it(rig: Rig, found: list[Contents]) -> None:
    await versioned(rig)
    nothing = Contents()
    before = rig.inventory.instance("acme-1").plan.request
    for finds in ([nothing, USED], [nothing, nothing, USED]):
        found[:] = finds
        handle = await rig.scale_down(features=())
        seen = await rig.parked(handle)
        assert seen.waiting is not None and seen.waiting.reason.startswith(f"{USE}: acme-1: feature 'versioning'")
        await handle.execute_update("abort", {"operator": "olivia"})
        assert (await handle.result()).outcome == "aborted"
        assert rig.inventory.instance("acme-1").plan.request == before
