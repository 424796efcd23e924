"""Effects on an instance's data while it changes: waypoints brought about, work in rounds, proofs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from temporalio import activity

from activities.evidence import observation
from freehold.devices.base import Devices
from freehold.errors import DeviceError, DeviceUnreachable, NotFound
from freehold.inventory import Inventory
from freehold.models.change import Change, Round, Way, WaypointRef, WaypointServer, WaypointView
from freehold.models.contents import Contents
from freehold.models.instance import EvidenceKind
from freehold.models.plan import Plan
from freehold.models.server import ServerResult
from freehold.models.work import Changed, ExportInput, PlanRef
from freehold.planning.change import refuse_used
from freehold.services import service
from freehold.services.base import Errand, Waypoint

Answer = Mapping[str, Any]

AT_ONCE = 16
"""Servers that one round works on at the same time."""


class DataActivities:
    """Holds the way to the devices and the inventory. What to do, and what it proves, the service says."""

    def __init__(self, devices: Devices, inventory: Inventory) -> None:
        self._devices, self._inventory = devices, inventory

    @activity.defn
    def waypoints(self, way: Way) -> tuple[WaypointView, ...]:
        """The waypoints of a change, or of the way back from it. Computes only."""
        return tuple(_view(waypoint) for waypoint in _waypoints(way))

    @activity.defn
    def check_servers(self, given: WaypointRef) -> None:
        """Refuse to begin while a server is silent: of a change that some lack, others may miss data. Reads only."""
        _, waypoint = self._waypoint(given)
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="check") as pool:
            list(pool.map(self._check_server, waypoint.servers))

    def _check_server(self, server: str) -> None:
        with self._devices.server(self._inventory.access(server)):
            return

    @activity.defn
    def configure(self, given: WaypointServer) -> ServerResult:
        """Bring one server to what a waypoint wants of it, and read it back."""
        _, waypoint = self._waypoint(given)
        if given.server not in waypoint.servers:
            raise NotFound(f"waypoint {given.waypoint!r} of {given.instance} wants nothing of {given.server}")
        with self._devices.server(self._inventory.access(given.server)) as server:
            return server.apply(waypoint.intent(given.server))

    @activity.defn
    def settle(self, given: WaypointRef) -> Round:
        """One round of a waypoint's work on all of its servers, and what it proves. Repeating it finds less to do.

        The proof that the next step waits for is kept.
        """
        change, waypoint = self._waypoint(given)
        answers = answers_of(waypoint.errands(), self._run)
        found = service(change.after.request.service).judge(change, given, answers)
        if found.done:
            name = f"waypoint/{activity.info().activity_id}"
            claim = f"{given.waypoint}{' (way back)' if given.back else ''}: {found.words}"
            seen = observation(name, given.instance, EvidenceKind.DATA, claim, found.model_dump(mode="json"))
            self._inventory.keep_evidence(seen)
        return found

    @activity.defn
    def check_use(self, change: Change) -> None:
        """Refuse a change that switches off a feature which the customer uses. Reads only."""
        refuse_used(change.before.request, change.after.request, self._contents(change.before))

    @activity.defn
    def contents(self, given: PlanRef) -> Contents:
        """What the customer keeps, in outline; or why an instance at its end cannot say it. Reads only."""
        try:
            return self._contents(self._inventory.instance(given.instance).plan).outlined()
        except DeviceError as error:
            return Contents(unknown=str(error))

    @activity.defn
    def finish_writes(self, given: PlanRef) -> Round:
        """Wait a while for what customers had begun to write before they could only read."""
        plan = self._inventory.instance(given.instance).plan
        chosen = service(plan.request.service)
        return chosen.writes_finished(answers_of(chosen.finish_writes(plan), self._run))

    @activity.defn
    def export(self, given: ExportInput) -> Round:
        """Write more of what the customer keeps to a host of theirs; goes on where it was. The last proof is kept."""
        plan = self._inventory.instance(given.instance).plan
        chosen = service(plan.request.service)
        found = chosen.exported(plan, given.target, self._run(chosen.export(plan, given.target))[1])
        if found.done:
            seen = observation("export", given.instance, EvidenceKind.DATA, found.words, found.observed)
            self._inventory.keep_evidence(seen)
        return found

    @activity.defn
    def come_back(self, way: Way) -> Changed:
        """Let the inventory remember what a change left behind that was taken back."""
        change = way.change
        plan = service(change.before.request.service).came_back(change.before, change.after, way.reached)
        if plan == self._inventory.instance(change.instance).plan:
            return Changed(changed=False)
        self._inventory.update_plan(change.instance, plan)
        return Changed(changed=True)

    def _contents(self, plan: Plan) -> Contents:
        """What the customer keeps. Raises DeviceUnreachable when nobody can say."""
        chosen, silent = service(plan.request.service), []
        for errand in chosen.survey(plan):
            try:
                return chosen.contents(self._run(errand)[1])
            except DeviceError as error:
                silent.append(str(error))
        raise DeviceUnreachable(f"nobody can say what {plan.instance} holds: {'; '.join(silent)}")

    def _waypoint(self, given: WaypointRef) -> tuple[Change, Waypoint]:
        change = self._inventory.change(given.instance)
        for waypoint in _waypoints(Way(change=change, back=given.back, reached=given.reached)):
            if waypoint.name == given.waypoint:
                return change, waypoint
        raise NotFound(f"the change of {given.instance} has no waypoint {given.waypoint!r}")

    def _run(self, errand: Errand) -> tuple[str, Answer]:
        with self._devices.server(self._inventory.access(errand.server)) as server:
            return errand.server, server.run(errand.script, errand.given, timeout_s=errand.timeout_s)


def answers_of(groups: Sequence[Sequence[Errand]], run: Callable[[Errand], tuple[str, Answer]]) -> Mapping[str, Answer]:
    """What each server said in one round; what it said first stands."""
    answers: dict[str, Answer] = {}
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="errand") as pool:
        for group in groups:
            for name, answer in pool.map(run, group):
                answers[name] = {**answer, **answers.get(name, {})}
    return answers


def _waypoints(way: Way) -> tuple[Waypoint, ...]:
    before, after = way.change.before, way.change.after
    chosen = service(after.request.service)
    return chosen.way_back(before, after, way.reached) if way.back else chosen.path(before, after)


def _view(waypoint: Waypoint) -> WaypointView:
    return WaypointView(
        name=waypoint.name,
        servers=waypoint.servers,
        rolling=waypoint.rolling,
        settles=bool(waypoint.errands()),
    )
