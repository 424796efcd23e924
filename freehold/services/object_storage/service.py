"""Object storage over S3, on OpenStack Swift: the answers that procedures ask for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from freehold.models.change import Change, Round, WaypointRef
from freehold.models.contents import Contents, ExportTarget
from freehold.models.plan import Plan, PlannedServer
from freehold.models.request import InstanceRequest
from freehold.models.server import ServerIntent, secret_token
from freehold.services.base import (
    Demand,
    Errand,
    MetricsTarget,
    Probe,
    SecretKind,
    SecretNeed,
    ServerNeed,
    Size,
    Stage,
    Waypoint,
)
from freehold.services.object_storage import errands, exporting, judging, limits, proofs, servers, sizes, way
from freehold.services.object_storage.blueprint import Blueprint, Role, blueprint
from freehold.services.object_storage.layout import Layout, secret_name
from freehold.services.object_storage.parts import Part, intent

_AUTHORITY = "authority/certificate"
_RULES = Path(__file__).with_name("rules.yaml")

_STAGES: tuple[tuple[str, Callable[[Layout, PlannedServer], list[Part]]], ...] = (
    ("prepare servers", servers.base),
    ("install object storage", servers.storage),
    ("open endpoint", servers.endpoint),
    ("start monitoring", servers.monitoring),
)


class ObjectStorage:
    """Implements `Service`."""

    name = "object-storage"

    def __init__(self, plan_by: Blueprint | None = None) -> None:
        self._blueprint = plan_by or blueprint()
        # Every activity of an instance asks for them again.
        self._stages = lru_cache(maxsize=256)(self._make_stages)

    def tiers(self) -> Collection[str]:
        return self._blueprint.tiers.keys()

    def check(self, request: InstanceRequest) -> None:
        self._blueprint.check(request)

    def needs(self, request: InstanceRequest) -> tuple[ServerNeed, ...]:
        tier = self._blueprint.tier(request)
        return tuple(kind.need(request, tier.replicas) for kind in tier.servers)

    def size(self, request: InstanceRequest) -> Size:
        return sizes.size(self._blueprint, request)

    def size_for(self, request: InstanceRequest, demand: Demand, tiers: Collection[str] = ()) -> Size | None:
        return sizes.size_for(self._blueprint, request, demand, tiers)

    def secrets(self, plan: Plan) -> tuple[SecretNeed, ...]:
        return (
            SecretNeed(name=secret_name(plan, "hash-prefix"), kind=SecretKind.HEX),
            SecretNeed(name=secret_name(plan, "hash-suffix"), kind=SecretKind.HEX),
            SecretNeed(name=secret_name(plan, "s3-key"), kind=SecretKind.PASSWORD),
            SecretNeed(name=secret_name(plan, "tls"), kind=SecretKind.CERTIFICATE),
        )

    def stages(self, plan: Plan) -> tuple[Stage, ...]:
        # What the devices are now changes nothing of what they shall become.
        return self._stages(plan.model_copy(update={"diffs": ()}))

    def _make_stages(self, plan: Plan) -> tuple[Stage, ...]:
        layout = self._layout(plan)
        parts: dict[str, list[Part]] = {server.server: [] for server in plan.servers}
        stages = []
        for name, added in _STAGES:
            for server in plan.servers:
                parts[server.server] += added(layout, server)
            stages.append(Stage(name=name, intents=tuple(intent(s.server, parts[s.server]) for s in plan.servers)))
        return tuple(stages)

    def check_change(self, before: InstanceRequest, after: InstanceRequest) -> None:
        self._blueprint.check_size(after)

    def evolve(self, before: Plan, after: Plan) -> Plan:
        limits.check(before, after, self._blueprint)
        stops = way.path(before, after, self._blueprint)
        return after.model_copy(update={"remembered": stops[-1].layout.remembered()})

    def path(self, before: Plan, after: Plan) -> tuple[Waypoint, ...]:
        return tuple(map(self._waypoint, way.path(before, after, self._blueprint)))

    def way_back(self, before: Plan, after: Plan, reached: str) -> tuple[Waypoint, ...]:
        return tuple(map(self._waypoint, way.way_back(before, after, reached, self._blueprint)))

    def came_back(self, before: Plan, after: Plan, reached: str) -> Plan:
        stops = way.way_back(before, after, reached, self._blueprint)
        return before.model_copy(update={"remembered": stops[-1].layout.remembered()}) if stops else before

    def judge(self, change: Change, waypoint: WaypointRef, answers: Mapping[str, Mapping[str, Any]]) -> Round:
        given = (change.before, change.after, self._blueprint)
        stops = way.way_back(*given[:2], waypoint.reached, given[2]) if waypoint.back else way.path(*given)
        return judging.judge(next(stop for stop in stops if stop.name == waypoint.waypoint), answers)

    def _waypoint(self, stop: way.Stop) -> Waypoint:
        return Waypoint(
            name=stop.name,
            servers=stop.configure,
            intent=lambda name: self._intent(stop.layout, stop.layout.server(name)),
            errands=lambda: errands.of(stop),
            rolling=stop.rolling,
        )

    @staticmethod
    def _intent(layout: Layout, server: PlannedServer) -> ServerIntent:
        """All that a server needs in this layout: what its last stage wants."""
        return intent(server.server, [part for _, added in _STAGES for part in added(layout, server)])

    def builders(self, plan: Plan) -> Mapping[str, bytes]:
        return {f"{name}.builder": ring.builder for name, ring in self._layout(plan).rings.items()}

    def credentials(self, plan: Plan) -> Mapping[str, str]:
        return {
            "endpoint_url": plan.endpoint.url,
            "region": self._blueprint.region,
            "access_key_id": f"{plan.request.customer}:owner",
            "secret_access_key": secret_token(secret_name(plan, "s3-key")),
            "ca_certificate": secret_token(_AUTHORITY),
        }

    def targets(self, plan: Plan) -> tuple[MetricsTarget, ...]:
        layout, ports = self._layout(plan), self._blueprint.ports
        found = []
        for server in plan.servers:
            jobs = {"server": ports.server_metrics}
            if Role.ENDPOINT in server.roles:
                jobs["endpoint"] = ports.endpoint_metrics
            for job, port in jobs.items():
                labels = {
                    "instance": plan.instance,
                    "customer": plan.request.customer,
                    "server": server.server,
                    "job": job,
                }
                found.append(MetricsTarget(address=f"{layout.management(server)}:{port}", labels=labels))
        return tuple(found)

    def rules(self) -> str:
        return _RULES.read_text()

    def survey(self, plan: Plan) -> tuple[Errand, ...]:
        return errands.surveys(self._layout(plan))

    def contents(self, answer: Mapping[str, Any]) -> Contents:
        return errands.contents(answer)

    def frozen(self, plan: Plan) -> tuple[ServerIntent, ...]:
        layout = replace(self._layout(plan), frozen=True)
        return tuple(self._intent(layout, s) for s in layout.with_role(Role.WEB))

    def finish_writes(self, plan: Plan) -> tuple[tuple[Errand, ...], ...]:
        return errands.finish_writes(self._layout(plan))

    def writes_finished(self, answers: Mapping[str, Mapping[str, Any]]) -> Round:
        return judging.writes_finished(answers)

    def export(self, plan: Plan, target: ExportTarget) -> Errand:
        return exporting.errand(plan, self.credentials(plan), target)

    def exported(self, plan: Plan, target: ExportTarget, answer: Mapping[str, Any]) -> Round:
        return exporting.judge(plan, target, answer)

    def customer_probe(self, plan: Plan, host: str, address: str) -> Probe:
        return proofs.customer_probe(plan, self.credentials(plan), host)

    def stranger_probe(self, plan: Plan, host: str, address: str) -> Probe:
        return proofs.stranger_probe(self._layout(plan), host, address)

    def _layout(self, plan: Plan) -> Layout:
        return Layout.of(plan, self._blueprint)
