"""The tables. What the hall is made of is kept as documents of our models; what must be unique is a key.

A change here needs a migration in `migrations/versions`, and `REVISION` set to it.
"""

from __future__ import annotations

from sqlalchemy import Index, LargeBinary, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column

REVISION = "0003"
"""The migration that this code is written for."""


class Base(MappedAsDataclass, DeclarativeBase):
    pass


class HallRow(Base):
    """The hall itself, one row."""

    __tablename__ = "hall"
    name: Mapped[str] = mapped_column(primary_key=True)
    management: Mapped[str]


class SiteRow(Base):
    __tablename__ = "sites"
    name: Mapped[str] = mapped_column(primary_key=True)
    document: Mapped[str] = mapped_column(Text)


class RackRow(Base):
    """`name` is site/rack."""

    __tablename__ = "racks"
    name: Mapped[str] = mapped_column(primary_key=True)
    document: Mapped[str] = mapped_column(Text)


class DeviceRow(Base):
    __tablename__ = "devices"
    name: Mapped[str] = mapped_column(primary_key=True)
    document: Mapped[str] = mapped_column(Text)
    site: Mapped[str] = mapped_column(index=True)
    kind: Mapped[str]
    host_key: Mapped[str]
    credential: Mapped[str]


class CableRow(Base):
    """`name` is the label."""

    __tablename__ = "cables"
    name: Mapped[str] = mapped_column(primary_key=True)
    document: Mapped[str] = mapped_column(Text)


class CustomerRow(Base):
    __tablename__ = "customers"
    name: Mapped[str] = mapped_column(primary_key=True)
    document: Mapped[str] = mapped_column(Text)


class HoldRow(Base):
    """Who holds what. The key is what decides every race: a thing is granted once."""

    __tablename__ = "holds"
    kind: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    instance: Mapped[str] = mapped_column(index=True)


class InstanceRow(Base):
    __tablename__ = "instances"
    name: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str]
    plan: Mapped[str] = mapped_column(Text)
    created_at: Mapped[str]
    active_at: Mapped[str | None]
    target: Mapped[str | None] = mapped_column(Text, default=None)
    given_up: Mapped[str | None] = mapped_column(default=None)
    """Which of its two plans an instance lets go of at the end of a change, once that is certain: plan or target."""
    changed_at: Mapped[str | None] = mapped_column(default=None)
    """When it last became what its plan says by a change."""


class ScalingRow(Base):
    """What the customer allows the schedule to do with an instance; without a row nothing is decided about it."""

    __tablename__ = "scaling"
    instance: Mapped[str] = mapped_column(primary_key=True)
    contract: Mapped[str] = mapped_column(Text)
    asked_at: Mapped[str | None] = mapped_column(default=None)
    """When the schedule last started something, or people said no to it."""


class LeaseRow(Base):
    """One procedure at a time per instance."""

    __tablename__ = "leases"
    instance: Mapped[str] = mapped_column(primary_key=True)
    procedure: Mapped[str]
    workflow_id: Mapped[str]
    run_id: Mapped[str]
    since: Mapped[str]


class EvidenceRow(Base):
    __tablename__ = "evidence"
    __table_args__ = (Index("ix_evidence_instance_at", "instance", "at"),)
    id: Mapped[str] = mapped_column(primary_key=True)
    instance: Mapped[str]
    kind: Mapped[str]
    at: Mapped[str]
    document: Mapped[str] = mapped_column(Text)


class FileRow(Base):
    """Files that an instance cannot do without, e.g. ring builders."""

    __tablename__ = "files"
    instance: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    content: Mapped[bytes] = mapped_column(LargeBinary)
