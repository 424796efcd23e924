"""A change of an active instance: from the plan it has to the plan it shall have."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from freehold.models.base import Model
from freehold.models.plan import Plan


class Change(Model):
    """Two plans of one instance. Until it is settled, the instance holds what either of them names."""

    before: Plan
    after: Plan

    @property
    def instance(self) -> str:
        return self.after.instance

    @property
    def joining(self) -> Plan:
        """The part of the new plan that the old one lacks: servers, their ports, trunk memberships."""
        return _part(self.after, self.before)

    @property
    def leaving(self) -> Plan:
        """The part of the old plan that the new one lacks."""
        return _part(self.before, self.after)

    @property
    def emptied(self) -> Plan:
        """The part that leaves and still answers: it is emptied, cleared and erased."""
        return _of_servers(self.leaving, {s.server for s in self.leaving.servers} - {*self.after.dead})

    @property
    def given_up(self) -> Plan:
        """The part that leaves and does not answer any more: its ports are closed, nothing else can be done to it."""
        return _of_servers(self.leaving, {*self.after.dead})


def _part(plan: Plan, without: Plan) -> Plan:
    there = {s.server for s in without.servers}
    kept = {(t.switch, t.change.port, t.change.vlan) for t in without.trunks}
    trunks = tuple(t for t in plan.trunks if (t.switch, t.change.port, t.change.vlan) not in kept)
    return _of_servers(plan, {s.server for s in plan.servers} - there).model_copy(update={"trunks": trunks})


def _of_servers(plan: Plan, names: set[str]) -> Plan:
    """The part of a plan that is about these servers alone: no trunk, which servers share."""
    servers = tuple(s for s in plan.servers if s.server in names)
    ends = {(nic.switch, nic.switch_port) for s in servers for nic in s.nics}
    return plan.model_copy(
        update={
            "servers": servers,
            "ports": tuple(p for p in plan.ports if (p.switch, p.change.port) in ends),
            "trunks": (),
            "diffs": tuple(d for d in plan.diffs if d.device in names),
            "installs": tuple(s for s in plan.installs if s in names),
            "power_on": tuple(s for s in plan.power_on if s in names),
        }
    )


class Way(Model):
    """From one plan to the next, or `back` from the last waypoint that was begun."""

    change: Change
    back: bool = False
    reached: str = ""


class WaypointRef(Model):
    """A waypoint on the way of an instance's change; `back` when the change is being taken back.

    `reached` is the last waypoint that was begun on the way there: the way back starts from it.
    """

    instance: str
    waypoint: str
    back: bool = False
    reached: str = ""


class WaypointServer(WaypointRef):
    server: str


class WaypointView(Model):
    """What a procedure needs to know of a waypoint."""

    name: str
    servers: tuple[str, ...] = Field(description="servers to configure, in this order when `rolling`")
    rolling: bool = False
    settles: bool = Field(default=False, description="whether rounds of work are needed until it is reached")


class Round(Model):
    """What one round of moving and counting found. `done` is the proof that the next step waits for."""

    done: bool
    words: str
    left_objects: int = Field(default=0, description="objects that are not yet where they belong")
    left_bytes: int = 0
    total_objects: int = 0
    total_bytes: int = 0
    observed: dict[str, Any] = Field(default_factory=dict)
