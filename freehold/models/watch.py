"""The watch on cables that were proven before: what it finds at the ports of instances, and what it does about it."""

from __future__ import annotations

from pydantic import Field

from freehold.models.base import Model
from freehold.models.names import Name
from freehold.models.network import PortRef, SwitchChange


class WatchRequest(Model):
    """The input of `WatchCables`."""

    every_s: int = Field(default=60, ge=1, description="seconds between two looks")
    for_s: int = Field(default=3600, ge=0, description="how long a run watches; 0: until nothing differs")


class PortDeed(Model):
    """A port to be closed or opened, and why."""

    instance: Name
    port: PortRef
    change: SwitchChange
    words: str


class WatchInput(Model):
    """One look. What was opened just now is closed again if its instance is being ended meanwhile."""

    opened: tuple[PortDeed, ...] = ()


class WatchReport(Model):
    """What one look found. What is as it should be is not mentioned."""

    closes: tuple[PortDeed, ...] = ()
    opens: tuple[PortDeed, ...] = ()
    differs: dict[Name, str] = Field(
        default_factory=dict, description="instance -> what is where now, and what to move where"
    )
    unanswered: tuple[str, ...] = Field(default=(), description="switches that could not be asked, and why")
