"""What is kept about instances: evidence, files, and the fingerprint of the whole inventory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Row, Select, delete, insert, select
from sqlalchemy.orm import Session

from freehold.inventory.schema import (
    CableRow,
    CustomerRow,
    DeviceRow,
    EvidenceRow,
    FileRow,
    HallRow,
    HoldRow,
    InstanceRow,
    LeaseRow,
    RackRow,
    SiteRow,
)
from freehold.models.instance import Evidence, EvidenceKind, InstanceState


def keep_evidence(session: Session, evidence: Sequence[Evidence]) -> None:
    """Evidence is never overwritten: what was observed first under an id stands."""
    first = {e.id: e for e in reversed(evidence)}
    known = set(session.scalars(select(EvidenceRow.id).where(EvidenceRow.id.in_(list(first)))))
    rows = [
        {
            "id": e.id,
            "instance": e.instance,
            "kind": e.kind,
            "at": e.at.isoformat(),
            "document": e.model_dump_json(),
        }
        for e in first.values()
        if e.id not in known
    ]
    if rows:
        session.execute(insert(EvidenceRow), rows)


def evidence(session: Session, instance: str, kind: EvidenceKind | None) -> tuple[Evidence, ...]:
    """What was observed, oldest first."""
    query = select(EvidenceRow.document).where(EvidenceRow.instance == instance)
    if kind is not None:
        query = query.where(EvidenceRow.kind == kind)
    found = (Evidence.model_validate_json(document) for document in session.scalars(query))
    return tuple(sorted(found, key=lambda e: (e.at, e.id)))


def newest_evidence(session: Session, kind: EvidenceKind, most: int) -> tuple[Evidence, ...]:
    """The last observations of a kind, of all instances."""
    query = select(EvidenceRow.document).where(EvidenceRow.kind == kind).order_by(EvidenceRow.at.desc()).limit(most)
    return tuple(Evidence.model_validate_json(document) for document in session.scalars(query))


def piece_of_evidence(session: Session, evidence: str) -> Evidence | None:
    row = session.get(EvidenceRow, evidence)
    return Evidence.model_validate_json(row.document) if row else None


def keep_files(session: Session, instance: str, files: Mapping[str, bytes]) -> None:
    session.execute(delete(FileRow).where(FileRow.instance == instance, FileRow.name.in_(list(files))))
    rows = [{"instance": instance, "name": name, "content": content} for name, content in files.items()]
    if rows:
        session.execute(insert(FileRow), rows)


def file(session: Session, instance: str, name: str) -> bytes | None:
    row = session.get(FileRow, (instance, name))
    return None if row is None else row.content


def fingerprint(session: Session) -> str:
    """Hash of all but evidence, instances that are gone, and times: equal before a procedure and after its undo."""
    digest = hashlib.sha256()
    for query in _all():
        for row in sorted(_texts(session.execute(query))):
            digest.update(repr(row).encode())
        digest.update(b"\0")
    return digest.hexdigest()


def _texts(rows: Iterable[Row[*tuple[Any, ...]]]) -> Iterable[tuple[str, ...]]:
    return (tuple(repr(value) for value in row) for row in rows)


def _all() -> Iterable[Select[*tuple[Any, ...]]]:
    for table in (HallRow, SiteRow, RackRow, DeviceRow, CableRow, CustomerRow, HoldRow, FileRow):
        yield select(table.__table__)
    live = InstanceRow.state != InstanceState.GONE
    yield select(InstanceRow.name, InstanceRow.state, InstanceRow.plan, InstanceRow.target).where(live)
    yield select(LeaseRow.instance, LeaseRow.procedure, LeaseRow.workflow_id, LeaseRow.run_id)
