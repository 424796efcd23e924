"""What `InstallHardware` is given, what machines find of people's work, and what was issued again."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from freehold.models.base import Model
from freehold.models.cabling import Verdict
from freehold.models.checklist import Checklist, ItemKind
from freehold.models.names import Name, Person
from freehold.models.plan import Plan
from freehold.models.work import PlanRef


class Reissue(Model):
    """An item that machines found wrong and gave back to the technicians."""

    item: str
    issue: int
    verdict: Verdict | None = Field(default=None, description="cables only")
    swapped_with: tuple[str, ...] = ()
    words: str

    @property
    def miswire(self) -> str:
        """One cable's mistake in a few words: `leaf1.swp3: swapped with leaf1.swp4`; empty if it is no cable's."""
        return miswire(self.item.partition(":")[2], self.verdict, self.swapped_with) if self.verdict else ""


def miswire(label: str, verdict: Verdict, swapped_with: tuple[str, ...] = ()) -> str:
    return " ".join([f"{label}:", verdict, *([", ".join(sorted(swapped_with))] if swapped_with else [])])


class Installed(PlanRef):
    """What stands and is plugged from now on, as the inventory must know it."""

    mounted: tuple[Name, ...] = ()
    powered: tuple[Name, ...] = ()
    cables: tuple[str, ...] = ()


class ReplanInput(Model):
    """What turned out to be out of use, and why; and what of it people have mounted and plugged already."""

    out_of_use: dict[str, str] = Field(default_factory=dict)
    standing: Installed


class Progress(Model):
    """What a long installation hands on when its history is cut."""

    checklist: Checklist
    reissued: tuple[Reissue, ...] = ()
    until: datetime
    to_planner: ReplanInput | None = None
    stuck: str = Field(default="", description="why nothing could be planned instead of what is out of use")
    changes: tuple[str, ...] = Field(default=(), description="how the plan was changed since it was approved")


class InstallRequest(Model):
    """The input of `InstallHardware`: the hardware of a reserved instance that people must install."""

    instance: Name
    requested_by: Person
    progress: Progress | None = Field(default=None, description="leave it out; a run hands it on to itself")


class WorkOrder(Model):
    """The plan and what it asks of hands."""

    plan: Plan
    checklist: Checklist
    tell: tuple[str, ...] = Field(default=(), description="receivers that are told while it waits")


class Replanned(WorkOrder):
    """The plan as it is now. When nothing could be planned instead: why, and what is out of use in it."""

    stuck: str = ""
    out_of_use: dict[str, str] = Field(default_factory=dict)


class ServerCheck(Model):
    """What answers where a server should. `wrong` is the kind of item to issue again."""

    server: Name
    wrong: ItemKind | None = None
    words: str = ""


class JudgeInput(PlanRef):
    """Judge these cables of the instance's plan (by label), and whether those beside them are still plugged."""

    cables: tuple[str, ...]
    beside: tuple[str, ...] = ()
