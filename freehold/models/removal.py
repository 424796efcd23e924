"""What `RemoveHardware` is given, and what people took out of the racks."""

from __future__ import annotations

from pydantic import Field

from freehold.models.base import Model
from freehold.models.installation import Progress
from freehold.models.names import Name, Person
from freehold.models.work import PlanRef


class RemoveRequest(Model):
    """The input of `RemoveHardware`: servers of an instance, with erased disks, that go back to the storeroom."""

    instance: Name
    servers: tuple[Name, ...] = Field(min_length=1)
    requested_by: Person
    progress: Progress | None = Field(default=None, description="leave it out; a run hands it on to itself")


class Leaving(PlanRef):
    """Servers of an instance that leave the racks."""

    servers: tuple[Name, ...]


class PulledCables(Model):
    """Cables, by label, that people say are pulled out at both ends."""

    cables: tuple[str, ...]


class Removed(Model):
    """What is no longer plugged, on, or in a rack, as machines saw it."""

    cables: tuple[str, ...] = ()
    switched_off: tuple[Name, ...] = ()
    taken_out: tuple[Name, ...] = ()
