"""Effects on the inventory: leases, plans, reservations, states, evidence."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from temporalio import activity

from activities.evidence import observation
from activities.servers import before_file
from freehold.errors import BadInput, Conflict, NotFound
from freehold.inventory import Inventory
from freehold.models.change import Change
from freehold.models.contents import ExportTarget
from freehold.models.instance import Evidence, EvidenceKind, Instance, InstanceState
from freehold.models.plan import Plan
from freehold.models.policy import Procedure
from freehold.models.request import DecommissionRequest, InstanceRequest
from freehold.models.work import Changed, ChangeInput, ChangeResult, LeaseInput, PlanRef, PlanResult, StateInput
from freehold.planning.change import DOWN, DRAIN, UP, is_already, next_plan
from freehold.planning.provision import plan_instance
from freehold.planning.snapshot import InventorySnapshot
from freehold.policy import Policies
from freehold.scheduling import is_within_contract
from freehold.services import service

DIRECTIONS = {Procedure.SCALE_UP: UP, Procedure.SCALE_DOWN: DOWN, Procedure.CONSOLIDATE: DRAIN}


class InventoryActivities:
    """Holds the inventory and the rules. Everything is one transaction and finds its own work done when repeated."""

    def __init__(self, inventory: Inventory, policies: Policies) -> None:
        self._inventory, self._policies = inventory, policies

    @activity.defn
    def take_lease(self, given: LeaseInput) -> None:
        """Take the right to work on an instance. The same run may take it again."""
        self._inventory.take_lease(given.instance, given.procedure, given.workflow_id, given.run_id)

    @activity.defn
    def drop_lease(self, given: LeaseInput) -> None:
        """Give the right back, if this run has it, and keep how long its steps took, when it says so."""
        if given.took:
            self._inventory.keep_evidence(_timing(given))
        self._inventory.drop_lease(given.instance, given.workflow_id, given.run_id)

    @activity.defn
    def place(self, request: InstanceRequest) -> PlanResult:
        """Check the request, plan it, and take what the plan names; a dry run takes nothing.

        Repeating it finds the plan that was reserved.
        """
        chosen = service(request.service)
        chosen.check(request)
        existing = self._existing(request)
        if existing is not None:
            return PlanResult(plan=existing.plan, exists=True)
        make = partial(plan_instance, request, chosen.needs(request))
        plan = make(self._inventory.snapshot()) if request.dry_run else self._inventory.place(request, make)
        return PlanResult(
            plan=plan,
            stages=tuple(stage.name for stage in chosen.stages(plan)),
            approval=self._policies.of(Procedure.PROVISION, plan),
        )

    @activity.defn
    def unplace(self, request: InstanceRequest) -> Changed:
        """Take back what `place` took for this very request and nobody has worked on. Repeating it finds nothing."""
        found = self._find(request.instance)
        if found is None or found.state is not InstanceState.PROVISIONING or found.plan.request != request:
            return Changed(changed=False)
        return Changed(changed=self._inventory.release(request.instance, forget=True))

    @activity.defn
    def place_change(self, given: ChangeInput) -> ChangeResult:
        """Check what an instance shall become, plan it, and take what that adds; a dry run takes nothing.

        Repeating it finds the change that was placed, or that it was brought about.
        """
        request = given.request
        instance = self._inventory.instance(request.instance)
        chosen, asked = service(instance.service), request.applied_to(instance.plan.request)
        now = self._inventory.snapshot().draining(request.drain)
        active = instance.state is InstanceState.ACTIVE
        if active and is_already(instance.plan, asked, chosen.needs(asked), now, keep=request.keep_disabled):
            return ChangeResult(change=Change(before=instance.plan, after=instance.plan), exists=True)

        def make(before: Plan, now: InventorySnapshot) -> Plan:
            how = {"dead": request.dead, "keep": request.keep_disabled}
            return next_plan(chosen, before, asked, now, DIRECTIONS[given.procedure], request.drain, **how)

        change = self._inventory.place_change(request, make)
        scheduled = is_within_contract(self._inventory, request, change.after)
        return ChangeResult(change=change, approval=self._policies.of(given.procedure, change.after, scheduled))

    @activity.defn
    def unplace_change(self, given: ChangeInput) -> Changed:
        """Take back what `place_change` took for this very request, if nobody has worked on it yet. Repeatable."""
        found = self._find(given.request.instance)
        if found is None or found.target is None or found.target.diffs:
            return Changed(changed=False)
        if found.target.request != given.request.applied_to(found.plan.request):
            return Changed(changed=False)
        return self.drop_change(PlanRef(instance=found.name))

    @activity.defn
    def keep_target(self, plan: Plan) -> None:
        """Replace the plan that an instance is changed to by itself with what was read of the devices."""
        self._inventory.keep_target(plan)

    @activity.defn
    def joining(self, given: PlanRef) -> Plan:
        """What a change added, to be taken back: without what other instances still need."""
        return self._inventory.joining(given.instance)

    @activity.defn
    def leaving(self, given: PlanRef) -> Plan:
        """What a change takes away: without what other instances still need."""
        return self._inventory.leaving(given.instance)

    @activity.defn
    def settle_change(self, given: PlanRef) -> Changed:
        """Make the plan of the change the instance's own, and give back what left. Repeating it finds it done."""
        left = self._before_files(given, lambda change: change.leaving)
        return Changed(changed=self._inventory.settle_change(given.instance, left))

    @activity.defn
    def drop_change(self, given: PlanRef) -> Changed:
        """Leave the instance its plan, and give back what had joined. Repeating it finds it done."""
        joined = self._before_files(given, lambda change: change.joining)
        return Changed(changed=self._inventory.drop_change(given.instance, joined))

    def _before_files(self, given: PlanRef, part: Callable[[Change], Plan]) -> tuple[str, ...]:
        """Names of the files that tell what servers were like before they were the instance's."""
        change = self._inventory.instance(given.instance).change
        return tuple(before_file(server.server) for server in part(change).servers) if change else ()

    @activity.defn
    def plan_end(self, request: DecommissionRequest) -> PlanResult:
        """The plan of an instance that is to be destroyed. Reads only; always needs an approval."""
        instance = self._inventory.instance(request.instance)
        if instance.state is InstanceState.GONE:
            return PlanResult(plan=instance.plan, exists=True)
        if instance.target is not None:
            raise Conflict(f"{instance.name} is being changed; abort that or wait until it ends.")
        if request.export is not None:
            self._refuse_foreign(instance, request.export)
        plan = instance.plan.model_copy(update={"procedure": "decommission", "diffs": ()})
        disks = ", ".join(f"{s.server} {d}" for s in plan.servers for d in s.disks)
        why = f"this destroys all data of {instance.name} for ever, on {disks}"
        if request.return_to_storeroom and plan.from_storeroom:
            why += f"; {', '.join(plan.from_storeroom)} then go back to the storeroom"
        approval = self._policies.of(Procedure.DECOMMISSION, plan)
        return PlanResult(plan=plan, approval=approval.model_copy(update={"why": why}))

    def _refuse_foreign(self, instance: Instance, target: ExportTarget) -> None:
        """A customer's data go to a host of theirs, in the network of the instance."""
        there = [h.name for h in self._inventory.hosts(instance.customer) if h.site == instance.site and h.powered]
        if target.host not in there:
            raise BadInput(
                f"export.host {target.host!r} is no host of {instance.customer} at site {instance.site}; "
                f"allowed: {', '.join(there) or 'there is none'}"
            )

    @activity.defn
    def keep_plan(self, plan: Plan) -> None:
        """Replace the reserved plan by itself with what was read of the devices."""
        self._inventory.update_plan(plan.instance, plan)

    @activity.defn
    def undo_plan(self, given: PlanRef) -> Plan:
        """The plan to take back: without what other instances still need."""
        return self._inventory.undo_plan(given.instance)

    @activity.defn
    def release(self, given: PlanRef) -> Changed:
        """Give everything back and forget the instance, as if it had never been asked for."""
        return Changed(changed=self._inventory.release(given.instance, forget=True))

    @activity.defn
    def retire(self, given: PlanRef) -> Changed:
        """Give everything back to the pool; the instance stays on record as gone."""
        return Changed(changed=self._inventory.release(given.instance))

    @activity.defn
    def set_state(self, given: StateInput) -> None:
        """Write down what the instance is now."""
        self._inventory.set_state(given.instance, given.state)

    @activity.defn
    def keep_evidence(self, evidence: Evidence) -> None:
        """Keep what was observed; its id makes a repeat harmless."""
        self._inventory.keep_evidence(evidence)

    def _existing(self, request: InstanceRequest) -> Instance | None:
        """The active instance that this very request made before. Another request of that name is refused."""
        found = self._find(request.instance)
        if found is None or found.state is InstanceState.GONE:
            return None
        same = {"requested_by": request.requested_by, "dry_run": request.dry_run}
        if found.state is InstanceState.ACTIVE and found.plan.request.model_copy(update=same) == request:
            return found
        if found.state is InstanceState.PROVISIONING:
            return None  # our own half-done run, or its lease would have stopped us
        raise Conflict(
            f"instance: {request.instance!r} exists already ({found.state}, tier {found.tier}, customer "
            f"{found.customer}); choose another name, or see `freehold instance show {request.instance}`"
        )

    def _find(self, name: str) -> Instance | None:
        try:
            return self._inventory.instance(name)
        except NotFound:
            return None


def _timing(given: LeaseInput) -> Evidence:
    steps = {each.step: each.seconds for each in given.took}
    return observation(
        "timing",
        given.instance,
        EvidenceKind.TIMING,
        f"the steps of {given.procedure} took {sum(steps.values()):.0f} s",
        {"procedure": given.procedure, "steps": steps},
    )
