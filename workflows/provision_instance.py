"""Build a private instance, from a request until its endpoint answers."""

from __future__ import annotations

import asyncio
from functools import partial

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
    from freehold.models.instance import InstanceState
    from freehold.models.plan import DeviceDiff, Plan
    from freehold.models.policy import ApprovalPolicy
    from freehold.models.procedure import Outcome
    from freehold.models.request import InstanceRequest
    from freehold.models.work import (
        DiskRef,
        PlanRef,
        PlanResult,
        ProbeInput,
        ProbeKind,
        ServerPreviewInput,
        ServerRef,
        StageInput,
        StateInput,
        SwitchPreviewInput,
    )
    from workflows import policies
    from workflows.calls import call, together
    from workflows.ends import needed
    from workflows.install_hardware import InstallHardware
    from workflows.people import answerable
    from workflows.records import approval_evidence, lease, undo_evidence
    from workflows.steps import Steps
    from workflows.switch_changes import SwitchChanges


AGAIN = "approval of the changed plan"


@workflow.defn
@answerable
class ProvisionInstance:
    """Build a private instance from a request until its endpoint answers. One instance per name."""

    @workflow.init
    def __init__(self, request: InstanceRequest | None = None) -> None:
        self._request = request = needed(request)
        self._ref = PlanRef(instance=request.instance)
        self.steps = Steps("ProvisionInstance", request.instance, request.customer, request.site, request.requested_by)
        self._switches = SwitchChanges(self.steps.people)
        self._changes = ""

    @workflow.run
    async def run(self, request: InstanceRequest | None = None) -> Outcome:
        self.steps.expect("plan", "approval", "install hardware", "check cables", "configure switch ports")
        return await self.steps.through(self._provision, self._outcome)

    async def _provision(self) -> Outcome:
        planned = await self._plan()
        plan = self._current_plan
        if planned.exists:
            self.steps.no_way_back("it was active before this run")
            return await self._end("active", "this very request was fulfilled before")
        if self._request.dry_run:
            return await self._end("planned")
        await self.steps.approve("approval", plan, planned.approval)
        if self.steps.approvals:
            await self.steps.do("approval", self._keep_approval)
        if plan.needs_hands:
            await self.steps.do("install hardware", self._install)
            if self._changes:
                await self._approve_again(planned.approval)
        else:
            self.steps.skip("install hardware", "all of it is mounted, cabled and switched on")
        await self.steps.do("check cables", self._check_cables)
        await self.steps.do("configure switch ports", self._open_ports, undo=self._close_ports)
        await self.steps.do("issue secrets", self._issue_secrets, undo=self._withdraw_secrets)
        for stage in planned.stages:
            first = stage == planned.stages[0]
            await self.steps.do(stage, partial(self._apply, stage), undo=self._clear_servers if first else None)
        await self.steps.do("scrape metrics", self._watch, undo=self._unwatch)
        await self.steps.do("prove service", lambda: self._probe(ProbeKind.CUSTOMER))
        await self.steps.do("prove isolation", lambda: self._probe(ProbeKind.STRANGER))
        await self.steps.do("activate", self._activate)
        return await self._end("active", step="activate")

    # -- steps, in the order of the procedure ----------------------------------------------------------

    async def _plan(self) -> PlanResult:
        """Lease, plan, reservation and a look at every device; nothing is touched."""
        if not self._request.dry_run:
            await self.steps.do("plan", self._take_lease, undo=self._drop_lease, park=False)
        planned = await self.steps.do("plan", self._place, undo=self._release, park=False)
        self.steps.expect("issue secrets", *planned.stages)
        self.steps.expect("scrape metrics", "prove service", "prove isolation", "activate")
        if not planned.exists:
            self.steps.plan = await self.steps.do("plan", self._look_at_devices, park=not self._request.dry_run)
        return planned

    async def _take_lease(self) -> None:
        await call(InventoryActivities.take_lease, lease(self._request.instance), **policies.QUICK)

    async def _drop_lease(self) -> None:
        await call(InventoryActivities.drop_lease, lease(self._request.instance), **policies.QUICK)

    async def _place(self) -> PlanResult:
        """Plan and reserve."""
        planned = await call(InventoryActivities.place, self._request, **policies.QUICK)
        self.steps.plan = planned.plan
        return planned

    async def _look_at_devices(self, installed: bool = False) -> Plan:
        """The plan with the exact change of every device, and with the ports as they are now.

        Servers that people must install or switch on first are looked at when that is done.
        """
        plan = self._current_plan
        later = set() if installed else {*plan.installs, *plan.power_on}
        keep = not self._request.dry_run
        switches = [
            call(
                SwitchActivities.preview_switch,
                SwitchPreviewInput(plan=plan, switch=switch),
                summary=switch,
                **policies.DEVICE,
            )
            for switch in plan.switches()
        ]
        servers = [self._look_at_server(plan, s.server, keep) for s in plan.servers if s.server not in later]
        previews, diffs = await asyncio.gather(together(switches), together(servers))
        plan = plan.as_read(previews, diffs)
        if keep:
            await call(InventoryActivities.keep_plan, plan, **policies.QUICK)
        return plan

    async def _keep_approval(self, step: str = "approval") -> None:
        evidence = approval_evidence(self._current_plan, self.steps.approvals, self.steps.people.records)
        await call(InventoryActivities.keep_evidence, evidence, **policies.QUICK)
        self.steps.note(step, evidence.claim)

    async def _look_at_server(self, plan: Plan, server: str, keep: bool) -> DeviceDiff:
        given = ServerPreviewInput(plan=plan, server=server, keep=keep)
        return await call(ServerActivities.preview_server, given, summary=server, **policies.DEVICE)

    async def _approve_again(self, policy: ApprovalPolicy) -> None:
        """An approval is of one plan. People may plug cables into closed ports under a changed one; no device is
        configured under it before it is approved, too."""
        self.steps.plan = await self.steps.do(AGAIN, lambda: self._look_at_devices(installed=True))
        why = f"the plan was changed in the hall: {self._changes}"
        await self.steps.approve(AGAIN, self._current_plan, policy.model_copy(update={"why": why}))
        if self.steps.approvals:
            await self.steps.do(AGAIN, lambda: self._keep_approval(AGAIN))

    async def _install(self) -> None:
        """People do it, in a run of its own. What they installed stays, also when the instance does not come to be."""
        plan = self._current_plan
        run = f"install-{plan.instance}"
        self.steps.note("install hardware", f"technicians work from the checklist of run {run}")
        ended = await workflow.execute_child_workflow(
            InstallHardware.run,
            InstallRequest(instance=plan.instance, requested_by=self._request.requested_by),
            id=run,
            static_summary=f"install hardware for {plan.instance}",
        )
        if ended.plan is not None:
            self.steps.plan, self._changes = ended.plan, ended.reason
        if ended.outcome != "installed":
            raise ApplicationError(f"run {run} ended as {ended.outcome}: {ended.reason}", type="NotInstalled")
        plan = self._current_plan
        for server in (*plan.installs, *plan.power_on):
            await self._look_at_server(plan, server, keep=True)
        self.steps.note("install hardware", f"done and verified, see run {run}")

    async def _check_cables(self) -> None:
        seen = await call(CablingActivities.verify_cables, self._ref, **policies.DEVICE)
        self.steps.note("check cables", seen.diff)

    async def _open_ports(self) -> None:
        plan = self._current_plan
        results = await together(self._switches.apply(plan.switch_change(s)) for s in plan.switches())
        self.steps.note("configure switch ports", ", ".join(r.switch for r in results if r.changed) or "as wanted")

    async def _close_ports(self) -> None:
        plan = await call(InventoryActivities.undo_plan, self._ref, **policies.QUICK)
        for switch in plan.switches():
            await self._switches.apply(plan.switch_undo(switch))

    async def _issue_secrets(self) -> None:
        await call(ServiceActivities.issue_secrets, self._ref, **policies.QUICK)

    async def _withdraw_secrets(self) -> None:
        await call(ServiceActivities.withdraw_secrets, self._ref, **policies.QUICK)

    async def _apply(self, stage: str) -> None:
        await together(
            call(
                ServerActivities.apply_stage,
                StageInput(instance=self._request.instance, server=server.server, stage=stage),
                summary=server.server,
                **policies.DEVICE,
            )
            for server in self._current_plan.servers
        )

    async def _clear_servers(self) -> None:
        for server in self._current_plan.servers:
            ref = ServerRef(instance=self._request.instance, server=server.server)
            await call(ServerActivities.remove, ref, summary=server.server, **policies.DEVICE)
            for disk in server.disks:
                given = DiskRef(instance=self._request.instance, server=server.server, disk=disk)
                await call(ServerActivities.erase_if_ours, given, summary=f"{server.server} {disk}", **policies.LONG)

    async def _watch(self) -> None:
        await call(MetricsActivities.watch, self._ref, **policies.QUICK)

    async def _unwatch(self) -> None:
        await call(MetricsActivities.unwatch, self._ref, **policies.QUICK)

    async def _probe(self, kind: ProbeKind) -> None:
        given = ProbeInput(instance=self._request.instance, kind=kind)
        seen = await call(ServiceActivities.probe, given, **policies.DEVICE)
        self.steps.note("prove service" if kind is ProbeKind.CUSTOMER else "prove isolation", seen.note)

    async def _activate(self) -> None:
        active = StateInput(instance=self._request.instance, state=InstanceState.ACTIVE)
        await call(InventoryActivities.set_state, active, **policies.QUICK)

    # -- the end, and the way back ---------------------------------------------------------------------

    async def _end(self, outcome: str, reason: str = "", step: str = "plan") -> Outcome:
        await self.steps.do(step, self._drop_lease)
        await self.steps.finish(outcome)
        return self._outcome(outcome, reason)

    async def _release(self) -> None:
        """Prove that every device is as it was read, then give the reservation back."""
        if self._request.dry_run:
            return
        plan = self.steps.plan
        if plan is None:  # it was refused, or its answer did not come
            await call(InventoryActivities.unplace, self._request, **policies.QUICK)
            return
        if plan.diffs:
            await self._check_as_before(await call(InventoryActivities.undo_plan, self._ref, **policies.QUICK))
        await call(InventoryActivities.keep_evidence, undo_evidence(plan), **policies.QUICK)
        await call(InventoryActivities.release, self._ref, **policies.QUICK)

    async def _check_as_before(self, plan: Plan) -> None:
        for switch in plan.switches():
            given = SwitchPreviewInput(plan=plan, switch=switch)
            await call(SwitchActivities.check_ports_as_before, given, summary=switch, **policies.DEVICE)
        for server in plan.servers:
            ref = ServerRef(instance=self._request.instance, server=server.server)
            await call(ServerActivities.check_as_before, ref, summary=server.server, **policies.DEVICE)

    def _outcome(self, outcome: str, reason: str = "") -> Outcome:
        plan = self.steps.plan
        active = outcome == "active" and plan is not None
        return Outcome(
            instance=self._request.instance,
            outcome=outcome,
            reason=reason,
            endpoint=plan.endpoint.url if plan and active else "",
            plan_hash=plan.hash if plan else "",
            plan=plan if self._request.dry_run else None,
        )

    @property
    def _current_plan(self) -> Plan:
        assert self.steps.plan is not None, "a step that needs the plan ran before it"
        return self.steps.plan
