"""What customers allow the schedule to do, and what it needs to know of all instances in one look."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from freehold.errors import Conflict
from freehold.inventory.documents import parsed
from freehold.inventory.reservations import find
from freehold.inventory.schema import InstanceRow, LeaseRow, ScalingRow
from freehold.models.instance import InstanceState
from freehold.models.request import InstanceRequest
from freehold.models.scaling import Contract, Mode, Standing


def set_contract(session: Session, instance: str, contract: Contract) -> bool:
    """Keep or replace it; False when it said so already."""
    row = find(session, instance)
    if row.state == InstanceState.GONE:
        raise Conflict(f"{instance} is {row.state}; nothing is scaled any more.")
    known = session.get(ScalingRow, instance)
    text = contract.model_dump_json()
    if known is not None:
        changed, known.contract = known.contract != text, text
        return changed
    session.add(ScalingRow(instance=instance, contract=text))
    return True


def contract(session: Session, instance: str) -> Contract:
    """Without one nothing is decided."""
    find(session, instance)
    row = session.get(ScalingRow, instance)
    return parsed(Contract, row.contract) if row else Contract(mode=Mode.OFF)


def note_asked(session: Session, instance: str, at: datetime) -> None:
    """From now on the cool-down runs."""
    row = session.get(ScalingRow, instance)
    if row is not None:
        row.asked_at = at.isoformat()


def standings(session: Session) -> list[tuple[Standing, Contract]]:
    """All instances about which something is to be decided, in one question whatever their number.

    One that is being changed is between two plans; its turn comes when that has ended.
    """
    query = (
        select(
            InstanceRow.plan,
            InstanceRow.active_at,
            InstanceRow.changed_at,
            ScalingRow.contract,
            ScalingRow.asked_at,
            LeaseRow.procedure,
            LeaseRow.workflow_id,
        )
        .join(ScalingRow, ScalingRow.instance == InstanceRow.name)
        .outerjoin(LeaseRow, LeaseRow.instance == InstanceRow.name)
        .where(InstanceRow.state == InstanceState.ACTIVE)
        .order_by(InstanceRow.name)
    )
    found = []
    for plan, active_at, changed_at, agreed, asked_at, procedure, workflow_id in session.execute(query):
        chosen = Contract.model_validate_json(agreed)
        if chosen.mode is Mode.OFF:
            continue
        since = max(filter(None, (active_at, changed_at, asked_at)), default=datetime.now(UTC).isoformat())
        standing = Standing(
            # Only this part of a plan: of thousands the rest would take seconds to read.
            request=InstanceRequest.model_validate(json.loads(plan)["request"]),
            changed_at=datetime.fromisoformat(since),
            held_by=f"{procedure} ({workflow_id})" if procedure else "",
        )
        found.append((standing, chosen))
    return found
