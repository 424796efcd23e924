"""Effects of the service itself: secrets, builder files, and the proofs from the customers' hosts."""

from __future__ import annotations

from functools import partial

from temporalio import activity

from activities.evidence import observation
from freehold.authority import hex_key, issue, password
from freehold.devices.base import Devices, Secrets
from freehold.errors import ProofFailed
from freehold.inventory import Inventory
from freehold.models.hall import Device
from freehold.models.instance import Evidence, EvidenceKind
from freehold.models.plan import Plan
from freehold.models.work import Changed, PlanRef, ProbeInput, ProbeKind, ProbeResult
from freehold.services import service
from freehold.services.base import Probe, SecretKind, SecretNeed

CERTIFICATE_DAYS = 397
"""Longest life of a certificate that common clients accept."""


class ServiceActivities:
    """Holds the secret store and the way to the hosts that prove the service."""

    def __init__(self, devices: Devices, inventory: Inventory, secrets: Secrets) -> None:
        self._devices, self._inventory, self._secrets = devices, inventory, secrets

    @activity.defn
    def issue_secrets(self, given: PlanRef) -> Changed:
        """Make every secret of the instance that does not exist yet, and keep its builder files."""
        instance = self._inventory.instance(given.instance)
        plan, chosen = instance.newest, service(instance.service)
        made = self._secrets.ensure_all({n.name: partial(self._make, plan, n) for n in chosen.secrets(plan)})
        self._keep_builders(instance.plan)
        return Changed(changed=bool(made), diff="\n".join(f"+ {name}" for name in made))

    @activity.defn
    def withdraw_secrets(self, given: PlanRef) -> Changed:
        """Destroy every secret of the instance."""
        names = self._secrets.names(f"instances/{given.instance}/")
        gone = [name for name in names if self._secrets.delete(name)]
        return Changed(changed=bool(gone), diff="\n".join(f"- {name}" for name in gone))

    @activity.defn
    def tidy_up(self, given: PlanRef) -> Changed:
        """Keep the builder files and secrets of the plan that the instance has, and destroy other secrets of it."""
        plan = self._inventory.instance(given.instance).plan
        needed = {need.name for need in service(plan.request.service).secrets(plan)}
        names = self._secrets.names(f"instances/{given.instance}/")
        gone = [name for name in names if name not in needed and self._secrets.delete(name)]
        self._keep_builders(plan)
        return Changed(changed=bool(gone), diff="\n".join(f"- {name}" for name in gone))

    @activity.defn
    def probe(self, given: ProbeInput) -> ProbeResult:
        """Observe a claim from the hosts it is about and keep what was seen. Raises ProofFailed when it is not so."""
        plan = self._inventory.instance(given.instance).newest
        probes = self._probes(plan, given.kind)
        observed: list[Evidence] = []
        try:
            for probe in probes:
                with self._devices.server(self._inventory.access(probe.host)) as host:
                    seen = host.run(probe.script, probe.given, timeout_s=probe.timeout_s)
                observed.append(self._evidence(given, probe, seen))
                if not observed[-1].holds:
                    raise ProofFailed(f"{probe.host}: not true that {probe.claim}: {seen.get('error', seen)}")
        finally:
            self._inventory.keep_evidence(*observed)
        if not probes:
            note = f"no host of {'this' if given.kind is ProbeKind.CUSTOMER else 'another'} customer to probe from"
            return ProbeResult(evidence=(), note=note)
        kept = tuple(evidence.id for evidence in observed)
        return ProbeResult(evidence=kept, note="; ".join(f"{p.host}: {p.claim}" for p in probes))

    def _keep_builders(self, plan: Plan) -> None:
        self._inventory.keep_files(plan.instance, service(plan.request.service).builders(plan))

    def _make(self, plan: Plan, need: SecretNeed) -> str:
        if need.kind is SecretKind.PASSWORD:
            return password()
        if need.kind is SecretKind.HEX:
            return hex_key()
        address = plan.endpoint.address.ip
        return issue(self._secrets, names=[plan.endpoint.name], addresses=[str(address)], days=CERTIFICATE_DAYS)

    def _probes(self, plan: Plan, kind: ProbeKind) -> list[Probe]:
        chosen = service(plan.request.service)
        mine, others = self._hosts(plan)
        if kind is ProbeKind.CUSTOMER:
            return [chosen.customer_probe(plan, h.name, str(h.address.ip)) for h in mine if h.address][:1]
        return [chosen.stranger_probe(plan, h.name, str(h.address.ip)) for h in others if h.address]

    def _hosts(self, plan: Plan) -> tuple[list[Device], list[Device]]:
        """Powered hosts at the plan's site: the customer's own, and one of each other customer."""
        request = plan.request
        hosts = [h for h in self._inventory.hosts() if h.site == request.site and h.powered]
        others = {h.customer: h for h in hosts if h.customer != request.customer}
        return [h for h in hosts if h.customer == request.customer], list(others.values())

    def _evidence(self, given: ProbeInput, probe: Probe, seen: dict[str, object]) -> Evidence:
        kind = EvidenceKind.SERVICE if given.kind is ProbeKind.CUSTOMER else EvidenceKind.ISOLATION
        # Tried again by people, it is another observation.
        name, holds = f"{probe.name}/{probe.host}/{activity.info().activity_id}", seen.get("ok") is True
        return observation(name, given.instance, kind, probe.claim, dict(seen), holds=holds)
