"""Who holds what: instances, their holds, and the lease of the procedure that works on one."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from sqlalchemy import delete, insert, select, tuple_
from sqlalchemy.orm import Session

from freehold.errors import Conflict, LeaseHeld, NotFound
from freehold.inventory.documents import parsed
from freehold.inventory.schema import DeviceRow, FileRow, HoldRow, InstanceRow, LeaseRow, ScalingRow
from freehold.models.hall import Device
from freehold.models.instance import Instance, InstanceState, Lease
from freehold.models.plan import Hold, HoldKind, Plan
from freehold.models.request import InstanceRequest


def now() -> datetime:
    return datetime.now(UTC)


def reserve(session: Session, plan: Plan, lease: Lease | None) -> None:
    """Grant all holds of the plan and write the instance down; or raise Conflict."""
    if lease is not None:
        _require_lease(session, plan.instance, lease)
    if not create_instance(session, plan):
        return
    _refuse_stale(session, plan)
    hold(session, plan.instance, plan.holds)


def exchange(session: Session, plan: Plan) -> None:
    """Let the instance hold what this plan holds instead of what its newest plan held; or raise Conflict."""
    row = find(session, plan.instance)
    if row.target is None:
        hold(session, plan.instance, plan.holds)
        row.plan = plan.model_dump_json()
    else:
        hold(session, plan.instance, {*parsed(Plan, row.plan).holds, *plan.holds})
        row.target = plan.model_dump_json()


def hold(session: Session, name: str, holds: Iterable[Hold]) -> None:
    """Let the instance hold exactly this; or raise Conflict."""
    wanted = [(hold.kind.value, hold.key) for hold in holds]
    taken = session.execute(
        select(HoldRow.kind, HoldRow.key, HoldRow.instance)
        .where(tuple_(HoldRow.kind, HoldRow.key).in_(wanted), HoldRow.instance != name)
        .order_by(HoldRow.kind, HoldRow.key)
    ).first()
    if taken:
        kind, key, holder = taken
        raise Conflict(f"{kind} {key} is held by {holder}; {name} cannot have it: plan again.")
    session.execute(delete(HoldRow).where(HoldRow.instance == name))
    session.execute(insert(HoldRow), [{"kind": kind, "key": key, "instance": name} for kind, key in sorted(wanted)])


def reserved_for(session: Session, request: InstanceRequest) -> Plan | None:
    """The plan that this very request has reserved before."""
    row = session.get(InstanceRow, request.instance)
    if row is None or row.state != InstanceState.PROVISIONING:
        return None
    plan = parsed(Plan, row.plan)
    return plan if plan.request == request else None


def create_instance(session: Session, plan: Plan) -> bool:
    """Write the instance down; False when it is there with this plan. A name that is gone may be used again."""
    row = session.get(InstanceRow, plan.instance)
    if row is not None and row.state != InstanceState.GONE:
        known = parsed(Plan, row.plan)
        if known.holds == plan.holds and known.request == plan.request:
            return False
        raise Conflict(
            f"{plan.instance} exists already ({row.state}) with another plan ({known.hash}, not {plan.hash}); "
            "choose another name or decommission it first."
        )
    session.merge(
        InstanceRow(
            name=plan.instance,
            state=InstanceState.PROVISIONING,
            plan=plan.model_dump_json(),
            created_at=now().isoformat(),
            active_at=None,
        )
    )
    return True


def _refuse_stale(session: Session, plan: Plan) -> None:
    """The hall may have changed since the plan was made."""
    names = [s.server for s in plan.servers]
    rows = session.execute(select(DeviceRow.name, DeviceRow.document).where(DeviceRow.name.in_(names)))
    there = {name: parsed(Device, document) for name, document in rows}
    for server in plan.servers:
        device = there.get(server.server)
        stored = device is not None and device.position is None
        if device is None or device.serial != server.serial or stored != (server.server in plan.installs):
            raise Conflict(f"{server.server} (serial {server.serial}) is no longer where the plan has it: plan again.")


def update_plan(session: Session, name: str, plan: Plan) -> None:
    """Replace the plan, e.g. once the devices were read. What it holds must stay the same."""
    row = find(session, name)
    if plan.instance != name or set(parsed(Plan, row.plan).holds) != set(plan.holds):
        raise Conflict(f"The new plan of {name} takes other things than were reserved; release and reserve again.")
    row.plan = plan.model_dump_json()


def release(session: Session, name: str, forget: bool) -> bool:
    """Give everything back. The instance stays on record as gone, or is forgotten if it never was active."""
    held = session.scalars(select(HoldRow.key).where(HoldRow.instance == name)).first()
    session.execute(delete(HoldRow).where(HoldRow.instance == name))
    session.execute(delete(FileRow).where(FileRow.instance == name))
    session.execute(delete(ScalingRow).where(ScalingRow.instance == name))
    row = session.get(InstanceRow, name)
    if row is None:
        return held is not None
    row.target = row.given_up = None
    changed = held is not None or row.state != InstanceState.GONE
    if forget and row.active_at is None:
        session.delete(row)
        return True
    row.state = InstanceState.GONE
    return changed


def undo_plan(session: Session, name: str) -> Plan:
    """The instance's plan without the trunk memberships that other instances need; from now on it needs none itself.

    Instances of one customer share the customer's VLAN on the trunks: only the last one takes it out.
    """
    row = find(session, name)
    if row.target is not None:
        raise Conflict(f"{name} is being changed; abort that or wait until it ends.")
    row.state = InstanceState.DECOMMISSIONING
    return without_needed(session, parsed(Plan, row.plan))


def without_needed(session: Session, plan: Plan) -> Plan:
    """The plan, or a part of it, without the trunk memberships that other instances need."""
    staying = (InstanceState.PROVISIONING, InstanceState.ACTIVE, InstanceState.CHANGING)
    others = session.scalars(
        select(InstanceRow).where(InstanceRow.name != plan.instance, InstanceRow.state.in_(staying))
    )
    needed = {(t.switch, t.change.port, t.change.vlan) for o in others for p in _kept(o) for t in p.trunks}
    own = tuple(t for t in plan.trunks if (t.switch, t.change.port, t.change.vlan) not in needed)
    return plan.model_copy(update={"trunks": own})


def plans_of(row: InstanceRow) -> list[Plan]:
    """The instance's plan, and the one that it is being changed to."""
    return [parsed(Plan, text) for text in (row.plan, row.target) if text is not None]


def _kept(row: InstanceRow) -> list[Plan]:
    """Those of its plans that it may have when its change has ended."""
    plans = {"plan": row.plan, "target": row.target}
    return [parsed(Plan, text) for which, text in plans.items() if text and which != row.given_up]


def set_state(session: Session, name: str, state: InstanceState) -> None:
    row = find(session, name)
    row.state = state
    if state is InstanceState.ACTIVE and row.active_at is None:
        row.active_at = now().isoformat()


def instance(session: Session, name: str) -> Instance:
    return _instance(find(session, name))


def instances(session: Session) -> tuple[Instance, ...]:
    return tuple(_instance(row) for row in session.scalars(select(InstanceRow).order_by(InstanceRow.name)))


def holds(session: Session, name: str | None) -> tuple[tuple[Hold, str], ...]:
    """Holds and their holders, of one instance or of all."""
    query = select(HoldRow).order_by(HoldRow.kind, HoldRow.key)
    rows = session.scalars(query if name is None else query.where(HoldRow.instance == name))
    return tuple((Hold(kind=HoldKind(row.kind), key=row.key), row.instance) for row in rows)


def take_lease(session: Session, name: str, procedure: str, workflow_id: str, run_id: str) -> Lease:
    """One procedure at a time. The same run may take it again, a later run of the same workflow takes it over."""
    row = session.get(LeaseRow, name)
    if row is not None and row.workflow_id != workflow_id:
        raise LeaseHeld(_held(row))
    if row is None or row.run_id != run_id:
        row = session.merge(
            LeaseRow(
                instance=name,
                procedure=procedure,
                workflow_id=workflow_id,
                run_id=run_id,
                since=now().isoformat(),
            )
        )
    return _lease(row)


def drop_lease(session: Session, name: str, workflow_id: str, run_id: str) -> bool:
    """Give the lease back if this run has it; else nothing happens."""
    row = session.get(LeaseRow, name)
    if row is None or (row.workflow_id, row.run_id) != (workflow_id, run_id):
        return False
    session.delete(row)
    return True


def lease(session: Session, name: str) -> Lease | None:
    row = session.get(LeaseRow, name)
    return None if row is None else _lease(row)


def _require_lease(session: Session, name: str, wanted: Lease) -> None:
    row = session.get(LeaseRow, name)
    if row is None or wanted.instance != name:
        raise Conflict(f"{wanted.procedure} has no lease on {name}; take it before you reserve.")
    if (row.workflow_id, row.run_id) != (wanted.workflow_id, wanted.run_id):
        raise LeaseHeld(_held(row))


def _held(row: LeaseRow) -> str:
    return (
        f"{row.procedure} works on {row.instance} since {row.since[:19]} UTC (workflow {row.workflow_id}, "
        f"run {row.run_id}); wait until it ends or abort it."
    )


def _lease(row: LeaseRow) -> Lease:
    return Lease(
        instance=row.instance,
        procedure=row.procedure,
        workflow_id=row.workflow_id,
        run_id=row.run_id,
        since=datetime.fromisoformat(row.since),
    )


def find(session: Session, name: str) -> InstanceRow:
    row = session.get(InstanceRow, name)
    if row is None:
        raise NotFound(f"instance {name!r} is not known; `freehold instance list` shows all.")
    return row


def _instance(row: InstanceRow) -> Instance:
    plan = parsed(Plan, row.plan)
    return Instance(
        name=row.name,
        customer=plan.request.customer,
        site=plan.request.site,
        service=plan.request.service,
        tier=plan.request.tier,
        state=InstanceState(row.state),
        plan=plan,
        target=parsed(Plan, row.target) if row.target else None,
        created_at=datetime.fromisoformat(row.created_at),
        active_at=datetime.fromisoformat(row.active_at) if row.active_at else None,
    )
