"""Servers that left and are kept for their instance: nobody else gets them, and they come back before all others."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from freehold.models.plan import HoldKind, Plan
from freehold.models.request import ConsolidateRequest, ScaleRequest
from freehold.planning.change import DOWN, DRAIN, UP, is_already, plan_change
from freehold.planning.provision import plan_instance
from freehold.planning.snapshot import InventorySnapshot
from tests.halls import DISTRIBUTED, request, small_hall
from tests.planning.test_change import active, distributed, names


def holding(now: InventorySnapshot, plan: Plan) -> InventorySnapshot:
    return now.released("acme-1").holding("acme-1", plan.holds)


def disabled() -> tuple[InventorySnapshot, Plan, str]:
    """A storage server of four has left, and is kept."""
    now, before = active(small_hall(servers=6), distributed(storage=4))
    after = plan_change(before, request(), DISTRIBUTED, now, DOWN, keep=True)
    (left,) = after.leaves
    return holding(now, after), after, left


def test_it_is_held_with_its_ports_and_without_an_address() -> None:
    now, plan, left = disabled()
    assert [s.server for s in plan.disabled] == [left] and left not in names(plan)
    held = {(h.kind, h.key) for h in plan.holds}
    (server,) = plan.disabled
    assert (HoldKind.SERVER, left) in held
    assert {(HoldKind.PORT, f"{n.switch}/{n.switch_port}") for n in server.nics} <= held
    assert not {f"{n.switch}/{n.switch_port}" for n in server.nics} & {
        f"{p.switch}/{p.change.port}" for p in plan.ports
    }
    assert f"north/{server.nics[0].address and server.nics[0].address.ip}" not in {key for _, key in held}
    other = plan_instance(request("globex-1", "globex"), DISTRIBUTED, now)
    assert left not in names(other), "nobody else gets it"


def test_it_comes_back_before_all_others_and_only_once() -> None:
    now, plan, left = disabled()
    again = plan_change(plan, request(), distributed(storage=4), now, UP)
    assert left in names(again) and not again.disabled
    now = holding(now, again)
    more = plan_change(again, request(), distributed(storage=5), now, UP)
    assert not more.disabled and len(more.servers) == len(again.servers) + 1


def test_another_change_leaves_it_where_it_is() -> None:
    now, plan, left = disabled()
    assert is_already(plan, request(), DISTRIBUTED, now)
    more = plan_change(plan, request(), distributed(web=3), now, UP)
    assert [s.server for s in more.disabled] == [left]


def test_to_drain_it_frees_it_and_to_drain_and_keep_it_again_changes_nothing() -> None:
    now, plan, left = disabled()
    drained = now.draining([left])
    assert is_already(plan, request(), DISTRIBUTED, drained, keep=True)
    assert not is_already(plan, request(), DISTRIBUTED, drained)
    free = plan_change(plan, request(), DISTRIBUTED, drained, DRAIN)
    assert not free.disabled and not free.leaves and names(free) == names(plan)
    assert (HoldKind.SERVER, left) not in {(h.kind, h.key) for h in free.holds}


@pytest.mark.parametrize("two", [("keep_disabled", "return_to_storeroom"), ("dead", "keep_disabled")])
def test_what_becomes_of_a_server_is_one_thing(two: tuple[str, str]) -> None:
    given: dict[str, Any] = {"instance": "acme-1", "requested_by": "eve", **dict.fromkeys(two, True)}
    for kind, more in ((ScaleRequest, {}), (ConsolidateRequest, {"servers": ("srv-1",)})):
        with pytest.raises(ValidationError, match="exclude each other; choose one"):
            kind.model_validate({**given, **more})
