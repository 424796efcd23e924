"""Changes as procedures ask for them, with the real service and inventory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from temporalio.testing import ActivityEnvironment

from activities.inventory import InventoryActivities
from activities.servers import before_file
from freehold.errors import BadInput, Conflict
from freehold.inventory import Inventory
from freehold.models.instance import InstanceState
from freehold.models.policy import Procedure
from freehold.models.request import DecommissionRequest, ScaleRequest
from freehold.models.work import ChangeInput, ChangeResult, ChangingProcedure, PlanRef
from freehold.policy import Policies
from tests.halls import request, small_hall

ACME = PlanRef(instance="acme-1")


class Asking:
    """Calls activities as a worker does."""

    def __init__(self, inventory: Inventory, folder: Path) -> None:
        self.inventory = inventory
        self.activities = InventoryActivities(inventory, Policies(folder / "policies.yaml"))
        self._env = ActivityEnvironment()
        self._env.run(self.activities.place, request())
        inventory.set_state("acme-1", InstanceState.ACTIVE)

    def change(self, procedure: ChangingProcedure = Procedure.SCALE_UP, **fields: object) -> ChangeResult:
        wanted = ScaleRequest.model_validate({"instance": "acme-1", "requested_by": "olga", **fields})
        return self._env.run(self.activities.place_change, ChangeInput(procedure=procedure, request=wanted))

    def settle(self) -> bool:
        return self._env.run(self.activities.settle_change, ACME).changed

    def drop(self) -> bool:
        return self._env.run(self.activities.drop_change, ACME).changed


@pytest.fixture
def asking(tmp_path: Path) -> Iterator[Asking]:
    inventory = Inventory(f"sqlite:///{tmp_path}/inventory.db")
    inventory.import_hall(small_hall(servers=5).build(), {})
    yield Asking(inventory, tmp_path)
    inventory.close()


def test_up_and_down_again(asking: Asking) -> None:
    up = asking.change(tier="distributed")
    assert not up.exists and up.approval.required
    assert (len(up.change.joining.servers), up.change.after.procedure) == (5, "scale-up")
    assert asking.change(tier="distributed") == up, "an answer that was lost is given again"
    assert [asking.settle(), asking.settle()] == [True, False]
    assert asking.change(tier="distributed").exists
    more = asking.change(storage_servers=4)
    (new,) = more.change.joining.servers
    assert new.roles == ("storage",) and not more.change.leaving.servers
    asking.settle()
    down = asking.change(Procedure.SCALE_DOWN, storage_servers=3)
    assert len(down.change.leaving.servers) == 1 and down.change.after.procedure == "scale-down"
    asking.settle()
    asking.change(Procedure.SCALE_DOWN, tier="compact")
    asking.settle()
    instance = asking.inventory.instance("acme-1")
    assert (instance.tier, len(instance.plan.servers)) == ("compact", 1)
    assert instance.plan.endpoint == up.change.before.endpoint


def test_a_change_that_is_dropped_leaves_nothing(asking: Asking) -> None:
    before = asking.inventory.fingerprint()
    change = asking.change(tier="distributed").change
    asking.inventory.keep_files("acme-1", {before_file(change.joining.servers[0].server): b"{}"})
    assert [asking.drop(), asking.drop()] == [True, False]
    assert asking.inventory.holds("acme-1") == tuple((h, "acme-1") for h in change.before.holds)
    assert asking.inventory.fingerprint() == before


@pytest.mark.parametrize(
    ("procedure", "fields", "said"),
    [
        (
            Procedure.SCALE_DOWN,
            {"tier": "distributed"},
            r"ScaleDown cannot make acme-1 bigger .*; use ScaleUp",
        ),
        (Procedure.SCALE_UP, {"capacity_gib": 2, "tier": "huge"}, r"tier 'huge' is not known"),
        (Procedure.SCALE_UP, {"capacity_gib": 600}, r"capacity_gib 600 is outside tier 'compact'"),
    ],
)
def test_refusals_take_nothing(
    asking: Asking, procedure: ChangingProcedure, fields: dict[str, object], said: str
) -> None:
    before = asking.inventory.fingerprint()
    with pytest.raises(BadInput, match=said):
        asking.change(procedure, **fields)
    assert asking.inventory.fingerprint() == before


def test_a_dry_run_plans_and_takes_nothing(asking: Asking) -> None:
    before = asking.inventory.fingerprint()
    assert asking.change(tier="distributed", dry_run=True).change.joining.servers
    assert asking.inventory.fingerprint() == before


def test_what_changes_is_neither_changed_otherwise_nor_ended(asking: Asking) -> None:
    asking.change(tier="distributed")
    with pytest.raises(Conflict, match="acme-1 is changing; only an active instance can be changed"):
        asking.change(capacity_gib=2)
    with pytest.raises(Conflict, match="acme-1 is being changed; abort that or wait until it ends"):
        asking.activities.plan_end(DecommissionRequest(instance="acme-1", requested_by="olga"))
