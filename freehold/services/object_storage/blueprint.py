"""The blueprint as models: what `blueprint.yaml` may say, and clear words when it says something else."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import Annotated, NamedTuple, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from freehold.errors import BadInput
from freehold.models.base import Choice, Model
from freehold.models.names import Name
from freehold.models.plan import NetworkPurpose
from freehold.models.request import InstanceRequest, Isolation
from freehold.services.base import ServerNeed

PATH = Path(__file__).with_name("blueprint.yaml")
READ_ONLY = "read_only"
"""The middleware of an instance that is frozen, e.g. while all of it is exported."""

TcpPort = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[int, Field(ge=1)]
Middleware = Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
Header = Annotated[str, Field(pattern=r"^x-(container|account)-(meta|sysmeta)-[a-z0-9-]+$")]


class Objects(Choice):
    """What a storage server keeps objects in."""

    MARIADB = "mariadb"
    DISK = "disk"


class Role(Choice):
    WEB = "web"
    STORAGE = "storage"
    ENDPOINT = "endpoint"


class Capacity(Model):
    least: int = Field(ge=1)
    most: int = Field(ge=1)

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if self.least > self.most:
            raise ValueError(f"least {self.least} must not be above most {self.most}")
        return self


class LayerIsolation(Model):
    web: tuple[Isolation, ...] = Field(min_length=1)
    storage: tuple[Isolation, ...] = Field(min_length=1)


class ServerKind(Model):
    """Servers of one kind in a tier, and the size of the disks they need."""

    roles: tuple[Role, ...] = Field(min_length=1)
    count: int = Field(ge=1)
    most: int = Field(ge=1)
    networks: tuple[NetworkPurpose, ...] = Field(min_length=1)
    cores: int = Field(ge=1)
    memory_gib: int = Field(ge=1)
    disks: int = Field(default=0, ge=0)
    disk_fixed_gib: float = Field(default=0, ge=0)
    disk_per_gib: float = Field(default=0, ge=0)
    requests_per_s: float = Field(default=0, ge=0, description="what each worker of a web server's proxy carries")
    workers: int = Field(default=1, ge=1, description="of a web server's proxy, at most")
    cache_mib: int = Field(default=64, ge=16, description="memcached's, for each worker")
    stored_gib: float | None = Field(default=None, gt=0, description="what each storage server may hold at most")

    def count_for(self, request: InstanceRequest, replicas: int) -> int:
        """How many servers of this kind a request takes: as many as it says, and as its rate and capacity take."""
        wanted = request.storage_servers if Role.STORAGE in self.roles else request.web_servers
        for_rate = (request.requests_per_s or 0) / (self.requests_per_s * self.workers) if self.requests_per_s else 0
        for_data = request.capacity_gib * replicas / self.stored_gib if self.stored_gib else 0
        return max(wanted or self.count, math.ceil(for_rate), math.ceil(for_data))

    def workers_for(self, request: InstanceRequest, replicas: int) -> int:
        """How many workers each proxy has: more programs come before more servers."""
        if not self.requests_per_s or request.requests_per_s is None:
            return 1
        each = request.requests_per_s / self.count_for(request, replicas)
        return max(1, min(self.workers, math.ceil(each / self.requests_per_s)))

    def need(self, request: InstanceRequest, replicas: int) -> ServerNeed:
        # A replica lies on one server only, so `count` servers share all replicas among them.
        count = self.count_for(request, replicas)
        on_each = request.capacity_gib * replicas / count
        disk_gib = math.ceil((self.disk_fixed_gib + self.disk_per_gib * on_each) / self.disks) if self.disks else 0
        return ServerNeed(
            roles=tuple(role.value for role in self.roles),
            count=count,
            networks=self.networks,
            disks=self.disks,
            disk_gib=disk_gib,
            memory_gib=self.memory_gib,
            cores=self.cores,
        )


class Software(NamedTuple):
    """What runs on a web server, of what may change while it serves."""

    features: tuple[str, ...]
    workers: int
    cache_mib: int


class Tier(Model):
    description: str
    provision: bool
    objects: Objects
    replicas: int = Field(ge=1)
    isolation: LayerIsolation
    capacity_gib: Capacity
    features: tuple[Name, ...]
    servers: tuple[ServerKind, ...] = Field(min_length=1)

    @property
    def web(self) -> ServerKind:
        return next(kind for kind in self.servers if Role.WEB in kind.roles)

    @property
    def storage(self) -> ServerKind:
        return next(kind for kind in self.servers if Role.STORAGE in kind.roles)

    @property
    def most_requests_per_s(self) -> int:
        return int(self.web.most * self.web.workers * self.web.requests_per_s)

    def software(self, request: InstanceRequest) -> Software:
        """What each web server runs."""
        workers = self.web.workers_for(request, self.replicas)
        return Software(request.features, workers, self.web.cache_mib * workers)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        missing = set(Role) - {role for kind in self.servers for role in kind.roles}
        if missing:
            raise ValueError(f"servers: no server has the role {', '.join(sorted(missing))}")
        storage = [kind for kind in self.servers if Role.STORAGE in kind.roles]
        if any(kind.disks == 0 for kind in storage):
            raise ValueError("servers: a server with the role storage needs at least 1 disk")
        if sum(kind.count for kind in storage) < self.replicas:
            raise ValueError(f"replicas: {self.replicas} need as many storage servers")
        return self


class Feature(Model):
    middleware: tuple[Middleware, ...] = Field(min_length=1)
    headers: tuple[Header, ...] = Field(
        min_length=1, description="of a bucket or the account that uses it; `false` says that it does not"
    )
    hidden: tuple[Name, ...] = Field(default=(), description="what Swift keeps beside a bucket that uses it")


class Ports(Model):
    proxy: TcpPort
    memcached: TcpPort
    object_disk: TcpPort
    container: TcpPort
    account: TcpPort
    object_mariadb: TcpPort
    replication: TcpPort
    rsync: TcpPort
    ssh: TcpPort
    server_metrics: TcpPort
    endpoint_metrics: TcpPort
    endpoint_log: TcpPort

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        taken: dict[int, str] = {}
        for name, port in self:
            if port in taken:
                raise ValueError(f"{name} and {taken[port]} are both {port}; each port must be used once")
            taken[port] = name
        return self

    @property
    def back(self) -> tuple[int, ...]:
        """What storage and web servers say to one another on the back network."""
        objects = (self.object_disk, self.object_mariadb, self.replication)
        return tuple(sorted((*objects, self.container, self.account, self.rsync)))

    @property
    def management(self) -> tuple[int, ...]:
        return tuple(sorted((self.ssh, self.server_metrics, self.endpoint_metrics)))


class MariaDb(Model):
    buffer_pool_mib: int = Field(ge=16)
    log_mib: int = Field(ge=8)


class Moving(Model):
    """What passes over a server's data may take."""

    senders: int = Field(ge=1)
    niceness: int = Field(ge=0, le=19)
    passes: Seconds = Field(description="between two of a server's own, while data moves")


class Intervals(Model):
    passes: Seconds
    usage: Seconds
    collector: Seconds
    auditor: Seconds


class Blueprint(Model):
    description: str
    region: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")]
    part_power: int = Field(ge=1, le=24)
    tiers: dict[Name, Tier] = Field(min_length=1)
    features: dict[Name, Feature]
    pipeline: tuple[Middleware, ...]
    ports: Ports
    moving: Moving
    mariadb: MariaDb
    intervals: Intervals

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name, tier in self.tiers.items():
            for feature in tier.features:
                if feature not in self.features:
                    raise ValueError(
                        f"tiers.{name}.features: {feature!r} is not one of {', '.join(sorted(self.features))}"
                    )
        if READ_ONLY not in self.pipeline:
            raise ValueError(f"pipeline: {READ_ONLY} is missing, which refuses writes while an instance is exported")
        for name, brought in self.features.items():
            for middleware in brought.middleware:
                if middleware not in self.pipeline:
                    raise ValueError(f"features.{name}: middleware {middleware!r} is not in pipeline")
        return self

    def tier(self, request: InstanceRequest) -> Tier:
        """The request's tier. Raises BadInput when there is none of that name."""
        tier = self.tiers.get(request.tier)
        if tier is None:
            raise BadInput(f"tier {request.tier!r} is not known; allowed: {', '.join(sorted(self.tiers))}")
        return tier

    def middleware(self, features: tuple[str, ...], frozen: bool = False) -> tuple[str, ...]:
        """The proxies' pipeline with these features on: only what no feature or one of these brings.

        Frozen, it refuses every write.
        """
        optional = {READ_ONLY, *(m for f in self.features.values() for m in f.middleware)}
        wanted = {m for name in features for m in self.features[name].middleware} | ({READ_ONLY} if frozen else set())
        return tuple(m for m in self.pipeline if m not in optional or m in wanted)

    def check(self, request: InstanceRequest) -> None:
        """Refuse a new instance that this blueprint does not allow: raises BadInput in one sentence."""
        if not self.tier(request).provision:
            allowed = ", ".join(sorted(name for name, t in self.tiers.items() if t.provision))
            raise BadInput(f"tier {request.tier!r} cannot be provisioned directly; begin with: {allowed}")
        self.check_size(request)

    def check_size(self, request: InstanceRequest) -> None:
        """Refuse what the tier cannot be: isolation, capacity, features, number of servers."""
        tier = self.tier(request)
        for layer in ("web", "storage"):
            _one_of(layer, getattr(request, layer), getattr(tier.isolation, layer), request.tier)
        _within("capacity_gib", request.capacity_gib, tier.capacity_gib.least, tier.capacity_gib.most, request.tier)
        for feature in request.features:
            _one_of("feature", feature, tier.features, request.tier)
        if request.requests_per_s is not None:
            _within("requests_per_s", request.requests_per_s, 1, tier.most_requests_per_s, request.tier)
        for role in (Role.WEB, Role.STORAGE):
            field, kind = f"{role}_servers", next(k for k in tier.servers if role in k.roles)
            _within(field, getattr(request, field) or kind.count, kind.count, kind.most, request.tier)
        if (count := tier.storage.count_for(request, tier.replicas)) > tier.storage.most:
            raise BadInput(
                f"capacity_gib {request.capacity_gib} takes {count} storage servers; tier {request.tier!r} has at most "
                f"{tier.storage.most}"
            )


def _within(field: str, given: int, least: int, most: int, tier: str) -> None:
    if not least <= given <= most:
        allowed = f"{least} to {most}" if least < most else str(least)
        raise BadInput(f"{field} {given} is outside tier {tier!r}; allowed: {allowed}")


def _one_of(what: str, wanted: str, possible: tuple[str, ...], tier: str) -> None:
    if wanted not in possible:
        allowed = f"allowed: {', '.join(possible)}" if possible else f"this tier has no optional {what}s"
        raise BadInput(f"{what} {str(wanted)!r} is not possible in tier {tier!r}; {allowed}")


def load_blueprint(path: Path = PATH) -> Blueprint:
    """Read a blueprint. Raises BadInput with one sentence: file, field, what was wrong."""
    try:
        data = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: cannot be read: {' '.join(str(error).split())}") from error
    try:
        return Blueprint.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the blueprint"
        given = "" if isinstance(first["input"], dict | list) else f" (given: {first['input']!r})"
        raise BadInput(f"{path}: {field}: {first['msg'].removeprefix('Value error, ')}{given}") from error


@cache
def blueprint() -> Blueprint:
    """The blueprint that comes with Freehold."""
    return load_blueprint()
