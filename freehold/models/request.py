"""What customers and operators ask for, and the messages people send to a running procedure."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from freehold.models.base import Choice, Message, Model
from freehold.models.contents import ExportTarget
from freehold.models.names import Name, Person


class Isolation(Choice):
    """Whether a layer runs on hardware of its own or on the public instance's."""

    DEDICATED = "dedicated"
    SHARED = "shared"


class InstanceRequest(Model):
    """A request for a private instance: the input of `ProvisionInstance`."""

    instance: Name = Field(description="name of the new instance, unique")
    customer: Name
    site: Name
    service: Name = "object-storage"
    tier: Name = "compact"
    capacity_gib: int = Field(default=1, ge=1, le=1_000_000, description="usable space the customer needs")
    web: Isolation = Isolation.DEDICATED
    storage: Isolation = Isolation.DEDICATED
    features: tuple[Name, ...] = ()
    web_servers: int | None = Field(
        default=None, ge=1, description="servers with the role web, at least; empty: as the tier says"
    )
    storage_servers: int | None = Field(default=None, ge=1, description="the same for the role storage")
    requests_per_s: int | None = Field(
        default=None, ge=1, le=1_000_000, description="requests that it must carry; may take more servers, and programs"
    )
    requested_by: Person = Field(description="who asks; this person cannot approve")
    dry_run: bool = Field(default=False, description="plan and show, touch nothing")


class Leave(Model):
    """What becomes of servers that leave an instance. By default they are emptied, erased and free for others."""

    dead: bool = Field(default=False, description="those to drain do not answer any more, and are not waited for")
    return_to_storeroom: bool = Field(
        default=False, description="have people take out the servers that leave, once they are erased"
    )
    keep_disabled: bool = Field(
        default=False, description="keep them for this instance: erased, with closed ports, cabled and on"
    )

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        said = [name for name in Leave.model_fields if getattr(self, name)]
        if len(said) > 1:
            raise ValueError(f"{' and '.join(said)} exclude each other; choose one")
        return self


class Because(Model):
    """Why the schedule asks for a change: the decision, kept as evidence, and where people can look at it."""

    decision: str = Field(description="id of the evidence")
    words: str = Field(max_length=600)
    page: str = ""


class ScaleRequest(Leave):
    """What an instance shall become: the input of `ScaleUp` and `ScaleDown`. What is left out stays as it is."""

    instance: Name
    tier: Name | None = None
    capacity_gib: int | None = Field(default=None, ge=1, le=1_000_000)
    web_servers: int | None = Field(default=None, ge=1)
    storage_servers: int | None = Field(default=None, ge=1)
    requests_per_s: int | None = Field(default=None, ge=1, le=1_000_000)
    features: tuple[Name, ...] | None = None
    drain: tuple[Name, ...] = Field(default=(), description="servers of the instance that shall leave")
    requested_by: Person = Field(description="who asks; this person cannot approve")
    dry_run: bool = Field(default=False, description="plan and show, touch nothing")
    because: Because | None = Field(default=None, description="set by the schedule")

    def applied_to(self, now: InstanceRequest) -> InstanceRequest:
        """The request that the instance shall fulfil. Another tier brings its own number of servers."""
        beside = {"instance", "drain", "because", *Leave.model_fields}
        wanted = self.model_dump(exclude=beside, exclude_none=True)
        counts = {"web_servers": None, "storage_servers": None} if self.tier not in (None, now.tier) else {}
        return InstanceRequest.model_validate({**now.model_dump(), **counts, **wanted})


class ConsolidateRequest(Leave):
    """Servers of an instance that shall hold nothing any more and leave: the input of `ConsolidateData`."""

    instance: Name
    servers: tuple[Name, ...] = Field(min_length=1, description="the servers to drain; others take their place")
    requested_by: Person = Field(description="who asks; this person cannot approve")
    dry_run: bool = Field(default=False, description="plan and show, touch nothing")

    def as_scaling(self) -> ScaleRequest:
        given = self.model_dump(exclude={"servers"})
        return ScaleRequest.model_validate({**given, "drain": self.servers})


class DecommissionRequest(Model):
    """The input of `DecommissionInstance`: ends an instance and destroys its data."""

    instance: Name
    requested_by: Person
    return_to_storeroom: bool = Field(
        default=False, description="have people take out the servers that came from the storeroom for it"
    )
    export: ExportTarget | None = Field(
        default=None, description="where everything is written before; nothing is destroyed until that is proven"
    )
    dry_run: bool = False


class Word(Message):
    """What people say to a procedure: in whose name, and why."""

    operator: Person
    comment: str = Field(default="", max_length=2000)


class Approve(Word):
    """Yes to the plan with this hash. An empty hash means: the plan as it stands now."""

    plan_hash: str = ""


class Reject(Word):
    """No to the plan; everything reserved is given back."""


class Withdraw(Word):
    """A changed mind: an earlier yes of the same person, before the decision, does not count any more."""


class Retry(Word):
    """Try the parked step again."""


class Pause(Word):
    """Let data rest where it is after the round that is under way; it is served all the time."""


class Resume(Word):
    """Go on moving data."""


class Accept(Word):
    """Yes to a recommendation: its procedure is started in your name, and somebody else must approve it."""


class Dismiss(Word):
    """No to a recommendation; it is not made again for a while."""


class Abort(Word):
    """Stop, and undo what was done, in reverse order."""
