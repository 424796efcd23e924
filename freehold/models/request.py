"""What customers and operators ask for, and the messages people send to a running procedure."""

from __future__ import annotations

from pydantic import Field

from freehold.models.base import Choice, Message, Model
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
        default=None, ge=1, description="servers with the role web; empty: as the tier says"
    )
    storage_servers: int | None = Field(default=None, ge=1, description="the same for the role storage")
    requested_by: Person = Field(description="who asks; this person cannot approve")
    dry_run: bool = Field(default=False, description="plan and show, touch nothing")


class ScaleRequest(Model):
    """What an instance shall become: the input of `ScaleUp` and `ScaleDown`. What is left out stays as it is."""

    instance: Name
    tier: Name | None = None
    capacity_gib: int | None = Field(default=None, ge=1, le=1_000_000)
    web_servers: int | None = Field(default=None, ge=1)
    storage_servers: int | None = Field(default=None, ge=1)
    features: tuple[Name, ...] | None = None
    drain: tuple[Name, ...] = Field(default=(), description="servers of the instance that shall leave")
    requested_by: Person = Field(description="who asks; this person cannot approve")
    dry_run: bool = Field(default=False, description="plan and show, touch nothing")

    def applied_to(self, now: InstanceRequest) -> InstanceRequest:
        """The request that the instance shall fulfil. Another tier brings its own number of servers."""
        wanted = self.model_dump(exclude={"instance", "drain"}, exclude_none=True)
        counts = {"web_servers": None, "storage_servers": None} if self.tier not in (None, now.tier) else {}
        return InstanceRequest.model_validate({**now.model_dump(), **counts, **wanted})


class ConsolidateRequest(Model):
    """Servers of an instance that shall hold nothing any more and leave: the input of `ConsolidateData`."""

    instance: Name
    servers: tuple[Name, ...] = Field(min_length=1, description="the servers to drain; others take their place")
    requested_by: Person = Field(description="who asks; this person cannot approve")
    dry_run: bool = Field(default=False, description="plan and show, touch nothing")

    def as_scaling(self) -> ScaleRequest:
        return ScaleRequest(
            instance=self.instance, drain=self.servers, requested_by=self.requested_by, dry_run=self.dry_run
        )


class DecommissionRequest(Model):
    """The input of `DecommissionInstance`: ends an instance and destroys its data."""

    instance: Name
    requested_by: Person
    return_to_storeroom: bool = Field(
        default=False, description="have people take out the servers that came from the storeroom for it"
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


class Abort(Word):
    """Stop, and undo what was done, in reverse order."""
