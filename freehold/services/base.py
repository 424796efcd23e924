"""What a procedure asks a service. A new service is a folder that answers these questions; no procedure names one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import Field

from freehold.models.base import Choice, Model
from freehold.models.change import Change, Round, WaypointRef
from freehold.models.contents import Contents, ExportTarget
from freehold.models.names import Name
from freehold.models.plan import NetworkPurpose, Plan
from freehold.models.request import InstanceRequest
from freehold.models.server import ServerIntent


class ServerNeed(Model):
    """Servers that planning must find: `count` of them, spread over racks and power feeds."""

    roles: tuple[Name, ...]
    count: int = Field(ge=1)
    networks: tuple[NetworkPurpose, ...]
    disks: int = 0
    disk_gib: int = Field(default=0, description="least size of each disk")
    memory_gib: int = 1
    cores: int = 1


class SecretKind(Choice):
    PASSWORD = "password"  # noqa: S105 40 random URL-safe characters
    HEX = "hex"  # 32 random bytes, hexadecimal
    CERTIFICATE = "certificate"  # PEM: private key, certificate for the endpoint, chain


class SecretNeed(Model):
    """A secret that must exist before the servers are configured; made once, never shown."""

    name: str
    kind: SecretKind


class MetricsTarget(Model):
    """Something Prometheus scrapes: `host:port` in the management network, and its labels."""

    address: str
    path: str = "/metrics"
    labels: dict[str, str] = Field(default_factory=dict)


class Probe(Model):
    """A program run on a host to observe a claim. It prints JSON with `ok: bool` and what it saw."""

    name: Name
    host: Name
    claim: str
    script: str
    given: dict[str, Any] = Field(default_factory=dict)
    timeout_s: int = 120


class Stage(Model):
    """A named part of bringing servers up, shown as a step of the procedure; intents grow from stage to stage."""

    name: str
    intents: tuple[ServerIntent, ...]


class Errand(Model):
    """A program run on a server as part of a waypoint's work. It prints JSON that the service judges."""

    server: Name
    script: str
    given: dict[str, Any] = Field(default_factory=dict)
    timeout_s: int = 3600


@dataclass(frozen=True)
class Waypoint:
    """A state on the way from one plan to the next in which all data is whole and served.

    It is reached when its intents are applied and its errands, repeated in rounds, are judged to be done. Both are
    worked out when they are asked for: whoever configures one server needs neither the others nor other waypoints.
    """

    name: str
    servers: tuple[str, ...]
    intent: Callable[[str], ServerIntent]
    """What it wants of one of its servers."""
    errands: Callable[[], tuple[tuple[Errand, ...], ...]]
    """Group after group, those of a group together; again in each round until judged done."""
    rolling: bool = False
    """Whether its servers are configured one after the other, in order."""

    @property
    def intents(self) -> tuple[ServerIntent, ...]:
        return tuple(map(self.intent, self.servers))


class Demand(Model):
    """What an instance must carry."""

    capacity_gib: int = Field(ge=1)
    requests_per_s: float = Field(default=0, ge=0)


class Size(Model):
    """One size that an instance can have, and what it carries then."""

    request: InstanceRequest
    requests_per_s: float
    servers: int


class Service(Protocol):
    """One service, e.g. object storage. Pure: no I/O, no device, no clock."""

    name: str

    def tiers(self) -> Collection[str]:
        """Names of the tiers that its blueprint has."""

    def check(self, request: InstanceRequest) -> None:
        """Refuse what the blueprint does not allow: raises BadInput in one sentence."""

    def needs(self, request: InstanceRequest) -> tuple[ServerNeed, ...]:
        """The servers this request takes."""

    def size(self, request: InstanceRequest) -> Size:
        """What the instance of this request carries."""

    def size_for(self, request: InstanceRequest, demand: Demand, tiers: Collection[str] = ()) -> Size | None:
        """The smallest size of this instance that carries the demand, in one of `tiers` (empty: any).

        None when there is none. Features, isolation and everything else that the request says stay as they are.
        """

    def secrets(self, plan: Plan) -> tuple[SecretNeed, ...]:
        """The secrets this instance has; names begin with `instances/<instance>/`."""

    def stages(self, plan: Plan) -> tuple[Stage, ...]:
        """Desired state of every server, in order: base, the service itself, the endpoint, monitoring.

        Each stage's intent contains the former stages' (desired state grows), so the last one is the whole.
        """

    def builders(self, plan: Plan) -> Mapping[str, bytes]:
        """Files that only the inventory keeps, e.g. ring builders: without them the next change moves everything."""

    def credentials(self, plan: Plan) -> Mapping[str, str]:
        """What the customer needs to use the instance; values may hold secret tokens."""

    def targets(self, plan: Plan) -> tuple[MetricsTarget, ...]:
        """What is to be scraped."""

    def rules(self) -> str:
        """What its metrics mean: Prometheus' recording rules, in YAML, that make of them the series of all services.

        Of an instance: `freehold:instance_stored_bytes`, `_objects`, `_capacity_bytes`, `_measured_at_seconds`,
        `_requests_per_s`, `_errors_per_s`, `_latency_seconds` by quantile; of its servers:
        `freehold:server_disk_used_ratio`.
        """

    def check_change(self, before: InstanceRequest, after: InstanceRequest) -> None:
        """Refuse a change that the blueprint or the instance does not allow: raises BadInput in one sentence."""

    def evolve(self, before: Plan, after: Plan) -> Plan:
        """The new plan with what the service remembers of the old one, so that `stages(after)` is its final state.

        Raises CannotPlace when the change would cost data, or what protects them.
        """

    def path(self, before: Plan, after: Plan) -> tuple[Waypoint, ...]:
        """The way from one plan to the next; the first waypoint only prepares the servers that join.

        Behind the last one the servers that leave hold nothing and serve nobody, proven.
        """

    def way_back(self, before: Plan, after: Plan, reached: str) -> tuple[Waypoint, ...]:
        """The way back to the old plan when `reached` is the last waypoint that was begun; written data is kept.

        Behind its last waypoint the servers that had joined hold nothing and serve nobody, proven.
        """

    def came_back(self, before: Plan, after: Plan, reached: str) -> Plan:
        """The old plan with what the service must remember of a change that was taken back."""

    def judge(self, change: Change, waypoint: WaypointRef, answers: Mapping[str, Mapping[str, Any]]) -> Round:
        """What the errands' answers (by server) prove. Raises ProofFailed for what no further round can cure."""

    def survey(self, plan: Plan) -> tuple[Errand, ...]:
        """What says what customers keep in the instance, and which features they use: the first that answers."""

    def contents(self, answer: Mapping[str, Any]) -> Contents:
        """What a survey found."""

    def frozen(self, plan: Plan) -> tuple[ServerIntent, ...]:
        """What servers must be, one after the other, so that customers only read."""

    def finish_writes(self, plan: Plan) -> tuple[tuple[Errand, ...], ...]:
        """What then brings to an end what customers had begun to write; groups as those of a waypoint."""

    def writes_finished(self, answers: Mapping[str, Mapping[str, Any]]) -> Round:
        """Whether nothing is written any more, by the answers of these errands."""

    def export(self, plan: Plan, target: ExportTarget) -> Errand:
        """What writes all that customers keep to a folder of a host, a while long; repeating it goes on."""

    def exported(self, plan: Plan, target: ExportTarget, answer: Mapping[str, Any]) -> Round:
        """What is there by now. Done when it is proven to be all. Raises ProofFailed when it cannot be."""

    def customer_probe(self, plan: Plan, host: str, address: str) -> Probe:
        """Proof of service, run on the customer's own host."""

    def stranger_probe(self, plan: Plan, host: str, address: str) -> Probe:
        """Proof of isolation, run on another customer's host: refused on every port."""
