"""What procedures do to an instance: its lease, hardware, cables, ports, servers, proofs.

Every effect may be repeated, and puts its words beside the step that it belongs to.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.cabling import CablingActivities
    from activities.inventory import InventoryActivities
    from activities.metrics import MetricsActivities
    from activities.servers import ServerActivities
    from activities.service import ServiceActivities
    from activities.switches import SwitchActivities
    from freehold.models.installation import InstallRequest
    from freehold.models.plan import DeviceDiff, Plan
    from freehold.models.policy import ApprovalPolicy
    from freehold.models.procedure import Outcome
    from freehold.models.removal import RemoveRequest
    from freehold.models.request import DecommissionRequest, InstanceRequest, ScaleRequest
    from freehold.models.work import (
        DiskRef,
        PlanRef,
        ProbeInput,
        ProbeKind,
        ServerPreviewInput,
        ServerRef,
    )
    from workflows import policies
    from workflows.calls import call, together
    from workflows.install_hardware import InstallHardware
    from workflows.records import approval_evidence, lease
    from workflows.remove_hardware import RemoveHardware
    from workflows.steps import Steps, Work
    from workflows.switch_changes import SwitchChanges

APPROVAL = "approval"
AGAIN = "approval of the changed plan"
INSTALL = "install hardware"
STOREROOM = "return to storeroom"
CABLES = "check cables"
PORTS = "configure switch ports"
SECRETS = "issue secrets"
ERASE = "erase disks"
METRICS = "scrape metrics"
SERVICE = "prove service"
ISOLATION = "prove isolation"
KEPT = ("active", "gone")
"""Ends after which is remembered how long everything took."""


class InstanceWork:
    """The hands of a procedure on one instance."""

    def __init__(self, steps: Steps, request: InstanceRequest | ScaleRequest | DecommissionRequest) -> None:
        self.ref = PlanRef(instance=request.instance)
        self._steps = steps
        self._request = request
        self._switches = SwitchChanges(steps.people)
        self._changed_in_hall = ""

    @property
    def plan(self) -> Plan:
        """The plan as it stands now."""
        assert self._steps.plan is not None, "a step that needs the plan ran before it"
        return self._steps.plan

    async def take_lease(self) -> None:
        await call(InventoryActivities.take_lease, lease(self.ref.instance), **policies.QUICK)

    async def drop_lease(self) -> None:
        await call(InventoryActivities.drop_lease, lease(self.ref.instance), **policies.QUICK)

    async def _end_lease(self, outcome: str) -> None:
        took = self._steps.took if outcome in KEPT else ()
        await call(InventoryActivities.drop_lease, lease(self.ref.instance, took), **policies.QUICK)

    async def end(self, outcome: str, reason: str = "", step: str = "plan") -> Outcome:
        """Give the lease back as the last part of `step`, and show how it ended."""
        await self._steps.do(step, lambda: self._end_lease(outcome))
        await self._steps.finish(outcome)
        return self.outcome(outcome, reason)

    def outcome(self, outcome: str, reason: str) -> Outcome:
        plan = self._steps.plan
        active = outcome == "active" and plan is not None
        return Outcome(
            instance=self.ref.instance,
            outcome=outcome,
            reason=reason,
            endpoint=plan.endpoint.url if plan and active else "",
            plan_hash=plan.hash if plan else "",
            plan=plan if self._request.dry_run else None,
        )

    async def approve(self, policy: ApprovalPolicy, step: str = APPROVAL) -> None:
        await self._steps.approve(step, self.plan, policy)
        if self._steps.approvals:
            await self._steps.do(step, lambda: self._keep_approval(step))

    async def _keep_approval(self, step: str) -> None:
        evidence = approval_evidence(self.plan, self._steps.approvals, self._steps.people.records)
        await call(InventoryActivities.keep_evidence, evidence, **policies.QUICK)
        self._steps.note(step, evidence.claim)

    # -- looking ---------------------------------------------------------------------------------------

    async def as_read(self, plan: Plan, part: Plan, servers: Iterable[str], keep: Iterable[str]) -> Plan:
        """The plan with the exact change of every device, and with the ports of `part` as they are now.

        `keep` names the servers whose fingerprint is kept, to compare with after an undo.
        """
        switches = [
            call(SwitchActivities.preview_switch, part.switch_change(switch), summary=switch, **policies.DEVICE)
            for switch in part.switches()
        ]
        kept = set(keep)
        looks = [self._look_at_server(plan, server, server in kept) for server in servers]
        # When a switch fails, looks at servers still come to their end: one that keeps a fingerprint must not run on
        # beside the undo that forgets it.
        seen: list[Any] = await together([together(switches), together(looks)])
        return plan.as_read(*seen)

    async def _look_at_server(self, plan: Plan, server: str, keep: bool) -> DeviceDiff:
        given = ServerPreviewInput(plan=plan, server=server, keep=keep)
        return await call(ServerActivities.preview_server, given, summary=server, **policies.DEVICE)

    async def check_as_before(self, plan: Plan) -> None:
        """Prove that every device of the plan is as it was read."""
        for switch in plan.switches():
            undo = plan.switch_undo(switch)
            await call(SwitchActivities.check_ports_as_before, undo, summary=switch, **policies.DEVICE)
        for ref in self._refs(plan):
            await call(ServerActivities.check_as_before, ref, summary=ref.server, **policies.DEVICE)

    async def prove(self, kind: ProbeKind) -> None:
        given = ProbeInput(instance=self.ref.instance, kind=kind)
        seen = await call(ServiceActivities.probe, given, **policies.DEVICE)
        self._steps.note(SERVICE if kind is ProbeKind.CUSTOMER else ISOLATION, seen.note)

    # -- hardware and network --------------------------------------------------------------------------

    async def install_hardware(self, policy: ApprovalPolicy, look_again: Work[None]) -> None:
        """Where the plan needs hands.

        An approval is of one plan. People may plug cables into closed ports under a changed one; no device is
        configured under it before it is approved, too.
        """
        if not self.plan.needs_hands:
            self._steps.skip(INSTALL, "all of it is mounted, cabled and switched on")
            return
        await self._steps.do(INSTALL, self._install)
        if self._changed_in_hall:
            await self._steps.do(AGAIN, look_again)
            why = f"the plan was changed in the hall: {self._changed_in_hall}"
            await self.approve(policy.model_copy(update={"why": why}), AGAIN)

    async def _install(self) -> None:
        """People do it, in a run of its own. What they installed stays, also when the plan does not come to be."""
        instance = self.ref.instance
        run = f"install-{instance}"
        self._steps.note(INSTALL, f"technicians work from the checklist of run {run}")
        ended = await workflow.execute_child_workflow(
            InstallHardware.run,
            InstallRequest(instance=instance, requested_by=self._request.requested_by),
            id=run,
            static_summary=f"install hardware for {instance}",
        )
        if ended.plan is not None:
            self._steps.plan, self._changed_in_hall = ended.plan, ended.reason
        if ended.outcome != "installed":
            raise ApplicationError(f"run {run} ended as {ended.outcome}: {ended.reason}", type="NotInstalled")
        plan = self.plan
        for server in (*plan.installs, *plan.power_on):
            await self._look_at_server(plan, server, keep=True)
        self._steps.note(INSTALL, f"done and verified, see run {run}")

    async def remove_hardware(self, servers: Sequence[str], none: str = "none of its servers came from there") -> None:
        """Where servers with erased disks go back to the storeroom."""
        if not servers:
            self._steps.skip(STOREROOM, none)
            return
        await self._steps.do(STOREROOM, lambda: self._remove_hardware(tuple(servers)))

    async def _remove_hardware(self, servers: tuple[str, ...]) -> None:
        """People carry them, in a run of its own. Erased servers may as well stay in the racks: to abort that run or to
        let it lapse is how operators decide so."""
        instance = self.ref.instance
        run = f"remove-{instance}"
        self._steps.note(STOREROOM, f"technicians work from the checklist of run {run}")
        ended = await workflow.execute_child_workflow(
            RemoveHardware.run,
            RemoveRequest(instance=instance, servers=servers, requested_by=self._request.requested_by),
            id=run,
            static_summary=f"take out hardware of {instance}",
        )
        stays = f"ended as {ended.outcome} ({ended.reason}): what is in the racks stays there"
        self._steps.note(STOREROOM, f"run {run} {'has seen it gone' if ended.outcome == 'removed' else stays}")

    async def check_cables(self) -> None:
        seen = await call(CablingActivities.verify_cables, self.ref, **policies.DEVICE)
        self._steps.note(CABLES, seen.diff)

    async def open_ports(self, plan: Plan) -> None:
        results = await together(self._switches.apply(plan.switch_change(s)) for s in plan.switches())
        self._steps.note(PORTS, ", ".join(r.switch for r in results if r.changed) or "as wanted")

    async def close_ports(self, plan: Plan) -> None:
        await together(self._switches.apply(plan.switch_undo(switch)) for switch in plan.switches())

    async def freeze(self) -> None:
        """Let customers only read: server by server, so that no request is dropped."""
        for ref in self._refs(self.plan):
            await call(ServerActivities.freeze, ref, summary=ref.server, **policies.DEVICE)

    async def thaw(self) -> None:
        for ref in self._refs(self.plan):
            await call(ServerActivities.thaw, ref, summary=ref.server, **policies.DEVICE)

    # -- secrets, servers, metrics ---------------------------------------------------------------------

    async def issue_secrets(self) -> None:
        await call(ServiceActivities.issue_secrets, self.ref, **policies.QUICK)

    async def clear(self, plan: Plan) -> None:
        """Undo what was done to servers that held nothing before."""
        for server in plan.servers:
            ref = ServerRef(instance=self.ref.instance, server=server.server)
            await call(ServerActivities.remove, ref, summary=server.server, **policies.DEVICE)
            for disk in server.disks:
                given = DiskRef(**dict(ref), disk=disk)
                await call(ServerActivities.erase_if_ours, given, summary=f"{server.server} {disk}", **policies.LONG)

    async def remove(self, plan: Plan) -> None:
        """Stop everything of the instance on these servers and take it off them."""
        refs = self._refs(plan)
        await together(call(ServerActivities.remove, ref, summary=ref.server, **policies.DEVICE) for ref in refs)

    async def erase(self, plan: Plan) -> None:
        disks = [
            DiskRef(instance=self.ref.instance, server=server.server, disk=disk)
            for server in plan.servers
            for disk in server.disks
        ]
        records = await together(
            call(ServerActivities.erase, d, summary=f"{d.server} {d.disk}", **policies.LONG) for d in disks
        )
        self._steps.note(ERASE, "; ".join(f"{r.server} {r.disk}: {r.method}" for r in records))

    async def watch(self) -> None:
        await call(MetricsActivities.watch, self.ref, **policies.QUICK)

    async def unwatch(self) -> None:
        await call(MetricsActivities.unwatch, self.ref, **policies.QUICK)

    def _refs(self, plan: Plan) -> list[ServerRef]:
        return [ServerRef(instance=self.ref.instance, server=s.server) for s in plan.servers]
