"""The plan of an active instance after a change. Pure and deterministic, as provisioning is."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from freehold.errors import BadInput
from freehold.models.contents import Contents, some_of
from freehold.models.plan import Hold, HoldKind, Plan, PlannedServer
from freehold.models.request import InstanceRequest
from freehold.planning.placement import staying
from freehold.planning.provision import plan_instance
from freehold.planning.snapshot import InventorySnapshot
from freehold.services.base import ServerNeed, Service

UP, DOWN, DRAIN = "scale-up", "scale-down", "consolidate-data"
"""What plans of a change call their procedure."""


def next_plan(
    chosen: Service,
    before: Plan,
    request: InstanceRequest,
    snapshot: InventorySnapshot,
    procedure: str,
    drain: Collection[str] = (),
    *,
    dead: bool = False,
    keep: bool = False,
) -> Plan:
    """The plan after the change, with what the service remembers. Raises BadInput and CannotPlace.

    When the servers to drain are `dead`, the service must do without what they hold; `keep`: what leaves is disabled.
    """
    snapshot = snapshot.draining(drain)
    chosen.check_change(before.request, request)
    needs = chosen.needs(request)
    check_direction(before, request, needs, chosen.tiers(), procedure)
    after = plan_change(before, request, needs, snapshot, procedure, keep=keep)
    gone = tuple(s.server for s in before.servers if s.server in drain) if dead else ()
    return chosen.evolve(before, after.model_copy(update={"dead": gone}))


def plan_change(
    before: Plan,
    request: InstanceRequest,
    needs: tuple[ServerNeed, ...],
    snapshot: InventorySnapshot,
    procedure: str,
    *,
    keep: bool = False,
) -> Plan:
    """The plan after the change: what still fits stays as it is, the rest is placed as for a new instance.

    Endpoint and networks stay. Old and new servers have room side by side: none takes the address of another.
    Raises CannotPlace when the hall has too little.
    """
    after = plan_instance(request, needs, snapshot, before).model_copy(update={"procedure": procedure})
    left = tuple(s for s in before.servers if s.server in after.leaves)
    after = after.model_copy(update={"installed_before": before.from_storeroom})
    return with_disabled(after, (*_staying_disabled(before, snapshot, keep), *(left if keep else ())))


def with_disabled(plan: Plan, servers: Iterable[PlannedServer]) -> Plan:
    """The plan that also holds these servers and their ports, unless they work in it."""
    working = {s.server for s in plan.servers}
    disabled = tuple(s for s in servers if s.server not in working)
    holds = {(h.kind, h.key) for h in plan.holds} | {(HoldKind.SERVER, s.server) for s in disabled}
    holds |= {(HoldKind.PORT, f"{nic.switch}/{nic.switch_port}") for s in disabled for nic in s.nics}
    return plan.model_copy(
        update={"disabled": disabled, "holds": tuple(Hold(kind=kind, key=key) for kind, key in sorted(holds))}
    )


def _staying_disabled(before: Plan, snapshot: InventorySnapshot, keep: bool) -> tuple[PlannedServer, ...]:
    """All but those that shall leave, or can: drained once more, without a word that they be kept, or out of use."""
    return before.disabled if keep else tuple(s for s in before.disabled if not snapshot.device[s.server].out_of_use)


def is_already(
    before: Plan,
    request: InstanceRequest,
    needs: tuple[ServerNeed, ...],
    snapshot: InventorySnapshot,
    *,
    keep: bool = False,
) -> bool:
    """Whether the instance is what is asked for, and none of its servers needs to be replaced."""
    kept = sum(map(len, staying(before, needs, snapshot)))
    same = _what(before.request) == _what(request) and before.disabled == _staying_disabled(before, snapshot, keep)
    return same and kept == sum(need.count for need in needs) == len(before.servers)


def _what(request: InstanceRequest) -> tuple[object, ...]:
    """All of a request but its number of servers, which its needs say, and who asks."""
    rate = request.requests_per_s
    return request.tier, request.capacity_gib, rate, request.web, request.storage, set(request.features)


def check_direction(
    before: Plan, request: InstanceRequest, needs: tuple[ServerNeed, ...], tiers: Collection[str], procedure: str
) -> None:
    """Refuse to make an instance smaller by scaling up, or bigger by scaling down. `tiers`: the smallest first."""
    compared = list(_compared(before, request, needs, list(tiers)))
    if procedure == UP and (less := [words for words, was, asked in compared if asked < was]):
        raise BadInput(f"ScaleUp cannot make {request.instance} smaller ({', '.join(less)}); use ScaleDown for that.")
    if procedure == DOWN and (more := [words for words, was, asked in compared if asked > was]):
        raise BadInput(f"ScaleDown cannot make {request.instance} bigger ({', '.join(more)}); use ScaleUp for that.")


def switched_off(before: InstanceRequest, after: InstanceRequest) -> tuple[str, ...]:
    """Features that the instance has and shall not have any more."""
    return tuple(feature for feature in before.features if feature not in after.features)


def refuse_used(before: InstanceRequest, after: InstanceRequest, contents: Contents) -> None:
    """Refuse to switch off what the customer uses: raises BadInput that says where."""
    used = {feature: contents.users(feature) for feature in switched_off(before, after)}
    words = [f"feature {feature!r} is in use by {some_of(list(users))}" for feature, users in used.items() if users]
    if words:
        raise BadInput(f"{before.instance}: {'; '.join(words)}. It can be switched off when nothing uses it any more.")


def _compared(
    before: Plan, request: InstanceRequest, needs: tuple[ServerNeed, ...], tiers: list[str]
) -> Iterator[tuple[str, int, int]]:
    """What is asked for in words, how much of it there is, and how much there shall be."""
    was = before.request
    yield f"tier {request.tier!r}, now {was.tier!r}", tiers.index(was.tier), tiers.index(request.tier)
    yield f"capacity_gib {request.capacity_gib}, now {was.capacity_gib}", was.capacity_gib, request.capacity_gib
    rate, rate_was = request.requests_per_s or 0, was.requests_per_s or 0
    yield f"requests_per_s {rate}, now {rate_was}", rate_was, rate
    for feature in sorted({*was.features, *request.features}):
        words = f"with feature {feature!r}" if feature in request.features else f"without feature {feature!r}"
        yield words, feature in was.features, feature in request.features
    if request.tier == was.tier:
        for need in needs:
            there = sum(server.roles == need.roles for server in before.servers)
            yield f"{need.count} servers for {' + '.join(need.roles)}, now {there}", there, need.count
