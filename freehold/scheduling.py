"""What all instances need, in one look: standings from the inventory, usage from Prometheus, a decision for each."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from freehold.inventory import Inventory
from freehold.metrics.prometheus import Prometheus
from freehold.metrics.reading import questions, read_usage
from freehold.models.hall import DeviceKind
from freehold.models.instance import Evidence, EvidenceKind
from freehold.models.plan import HoldKind, Plan
from freehold.models.request import InstanceRequest, ScaleRequest
from freehold.models.scaling import Action, Contract, Decision, LeadPart, LeadTime, Mode, Standing
from freehold.models.scaling_policy import ScalingPolicy
from freehold.models.usage import Usage
from freehold.planning.scaling.decision import decide
from freehold.planning.scaling.lead_time import lead_parts, learn_lead_time
from freehold.planning.snapshot import collecting_later
from freehold.scaling import ScalingRules
from freehold.services import service
from freehold.services.base import Demand

PROCEDURES_REMEMBERED = 500
"""Earlier procedures that durations are learned from."""
FRESH = timedelta(hours=1)
"""A procedure that needs no approval must begin so soon after the decision."""
APPROVALS = ("approval", "approval of the changed plan")
INSTALLED = "install hardware"
BEGUN = "issue secrets"
"""The first step that changes something: a procedure that has none of it found nothing to do."""
Durations = Mapping[LeadPart, Sequence[float]]


@dataclass(frozen=True)
class Decided:
    standing: Standing
    contract: Contract
    decision: Decision


def evaluate(
    inventory: Inventory,
    rules: ScalingRules,
    prometheus: Prometheus,
    now: datetime,
    only: Collection[str] = (),
) -> list[Decided]:
    """A decision for every instance that has a contract. The number of questions does not depend on their number.

    Raises MetricsUnavailable when Prometheus does not answer or cannot be trusted: then nothing is decided at all.
    """
    found = [(s, c) for s, c in inventory.standings() if not only or s.instance in only]
    if not found:
        return []
    policies = [rules.of(s.request.service, s.request.tier) for s, _ in found]
    usage = _usage(prometheus, found, policies, now)
    lead = LeadTimes(inventory)
    decided = []
    with collecting_later():
        for (standing, contract), policy in zip(found, policies, strict=True):
            time = lead.of(standing.request, contract, policy)
            seen = usage[standing.instance]
            chosen = service(standing.request.service)
            made = decide(chosen, standing, seen, policy, contract, time, now)
            decided.append(Decided(standing, contract, made))
    return decided


def _usage(
    prometheus: Prometheus, found: list[tuple[Standing, Contract]], policies: list[ScalingPolicy], now: datetime
) -> dict[str, Usage]:
    """Those that follow the same rules about data are asked for together."""
    together: dict[str, tuple[ScalingPolicy, list[str]]] = {}
    for (standing, _), policy in zip(found, policies, strict=True):
        together.setdefault(questions(policy), (policy, []))[1].append(standing.instance)
    usage: dict[str, Usage] = {}
    for policy, names in together.values():
        usage |= read_usage(prometheus, names, policy, now.timestamp())
    return usage


class LeadTimes:
    """How long a change takes, people included: from earlier procedures, and from what hardware there is."""

    def __init__(self, inventory: Inventory) -> None:
        self._durations = durations(inventory.newest_evidence(EvidenceKind.TIMING, PROCEDURES_REMEMBERED))
        self._mounted, self._stored = _free_servers(inventory)
        self._known: dict[tuple[str, tuple[LeadPart, ...]], LeadTime] = {}
        self._joining: dict[str, int] = {}

    def of(self, request: InstanceRequest, contract: Contract, policy: ScalingPolicy) -> LeadTime:
        parts = self._parts(request, contract)
        key = policy.lead_time.model_dump_json(), parts
        if key not in self._known:
            self._known[key] = learn_lead_time(self._durations, policy.lead_time, parts)
        return self._known[key]

    def _parts(self, request: InstanceRequest, contract: Contract) -> tuple[LeadPart, ...]:
        wanted, mounted = self._servers_of_twice(request), self._mounted[request.site]
        return lead_parts(
            installed=mounted >= wanted,
            in_storeroom=mounted + self._stored >= wanted,
            asks=contract.mode is not Mode.AUTOMATIC,
        )

    def _servers_of_twice(self, request: InstanceRequest) -> int:
        """How many servers would join an instance that has to carry twice as much."""
        what = request.model_dump_json(include={"service", "tier", "capacity_gib", "web_servers", "storage_servers"})
        if what not in self._joining:
            chosen = service(request.service)
            now = chosen.size(request)
            demand = Demand(capacity_gib=2 * request.capacity_gib, requests_per_s=now.requests_per_s)
            bigger = chosen.size_for(request, demand)
            same = bigger is not None and bigger.request.tier == request.tier
            self._joining[what] = 0 if bigger is None else bigger.servers - (now.servers if same else 0)
        return self._joining[what]


def durations(timings: Sequence[Evidence]) -> Durations:
    """Seconds that each part took in earlier procedures."""
    found: dict[LeadPart, list[float]] = defaultdict(list)
    for steps in (evidence.observed["steps"] for evidence in timings):
        if BEGUN not in steps:
            continue
        approval = sum(steps.get(step, 0.0) for step in APPROVALS)
        racking = steps.get(INSTALLED, 0.0)
        if approval:
            found[LeadPart.APPROVAL].append(approval)
        if racking:
            found[LeadPart.RACKING].append(racking)
        found[LeadPart.WORK].append(sum(steps.values()) - approval - racking)
    return found


def _free_servers(inventory: Inventory) -> tuple[Counter[str], int]:
    """Servers that nobody holds: those in racks by their site, and those in the storeroom."""
    held = {hold.key for hold, _ in inventory.holds() if hold.kind is HoldKind.SERVER}
    free = [d for d in inventory.snapshot().devices if d.kind is DeviceKind.SERVER and d.name not in held]
    return Counter(d.site for d in free if d.position), sum(d.position is None for d in free)


def is_within_contract(inventory: Inventory, request: ScaleRequest, plan: Plan) -> bool:
    """Whether the schedule decided exactly this just now, may carry it out by itself, and the plan keeps the contract.

    What counts is the evidence that the schedule kept, not what the request says about itself.
    """
    if request.because is None:
        return False
    evidence = inventory.piece_of_evidence(request.because.decision)
    contract = inventory.contract(request.instance)
    if evidence is None or contract.mode is not Mode.AUTOMATIC or evidence.kind is not EvidenceKind.SCALING:
        return False
    decision = Decision.model_validate(evidence.observed["decision"])
    fresh = timedelta() <= datetime.now(UTC) - evidence.at <= FRESH
    same = decision.wanted == request.model_copy(update={"because": None})
    return fresh and same and _keeps(contract, decision, plan)


def _keeps(contract: Contract, decision: Decision, plan: Plan) -> bool:
    asked = plan.request
    growing = decision.action is Action.UP
    most, spend = contract.most_capacity_gib, decision.spend_after
    return (
        (not growing or most is None or asked.capacity_gib <= most)
        and (growing or asked.capacity_gib >= contract.least_capacity_gib)
        and (not contract.tiers or asked.tier in contract.tiers)
        and (contract.most_servers is None or len(plan.servers) <= contract.most_servers)
        and (contract.most_spend is None or (spend is not None and spend <= contract.most_spend))
    )
