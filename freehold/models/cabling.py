"""What is plugged where, held against what should be: one finding per cable."""

from __future__ import annotations

from pydantic import Field

from freehold.models.base import Choice, Model
from freehold.models.hall import Cable
from freehold.models.names import Name
from freehold.models.network import PortRef, Ref


class Verdict(Choice):
    """What is true of one cable. Everything but `ok` goes back to the technician."""

    OK = "ok"
    MISSING = "missing"  # neither end sees a neighbour
    WRONG_PORT = "wrong port"  # right device, another port
    SWAPPED = "swapped with"  # two or more cables of the plan changed places: the whole rotation is named
    WRONG_DEVICE = "wrong device"
    UNEXPECTED = "unexpected"  # a cable where none should be
    DUPLICATE = "duplicate neighbour"  # two neighbours on one port
    UNKNOWN = "cannot be seen"  # a device did not answer, or LLDP is off at one end


class Sight(Model):
    """What one port sees: its neighbours as device/port, and MAC addresses where no operating system answers.

    A port without a sight counts as one whose device was not asked.
    """

    port: Ref
    neighbours: tuple[PortRef, ...] = ()
    macs: tuple[str, ...] = ()
    answered: bool = Field(default=True, description="False: the device could not be asked")


class Move(Model):
    """Take one end of a cable out of `from_port` (or from where it lies loose) and plug it into `to_port`.

    Of several, pull every `from_port` first (and what is `unexpected`): then every `to_port` is free.
    """

    cable: str
    from_port: Ref | None
    to_port: Ref


class CableFinding(Model):
    """The verdict on one cable, in words and as the move that cures it.

    An `unexpected` cable has no moves: it is pulled out at both ends. A `duplicate neighbour` has none either: what
    joins the cables is taken out by hand.
    """

    cable: Cable = Field(description="as planned; an unexpected one as it is plugged, with a label made up")
    verdict: Verdict
    words: str = Field(description="what is where now, and what to move where")
    swapped_with: tuple[str, ...] = Field(
        default=(), description="labels of the other cables of the rotation, in order"
    )
    entangled: tuple[str, ...] = Field(
        default=(), description="labels of other cables in its way or in whose way it is: all are cured together"
    )
    moves: tuple[Move, ...] = Field(default=(), description="the fewest that cure it; shared by a rotation")


class CablesInput(Model):
    """Which cables to look at: of one instance, of a rack, of a site, or all."""

    instance: Name | None = None
    site: Name | None = None
    rack: Name | None = None


class CablingReport(Model):
    """What a look at the cables found, and which devices gave no answer."""

    findings: tuple[CableFinding, ...] = Field(description="one per cable that was asked for or is in its way")
    unanswered: tuple[str, ...] = Field(default=(), description="devices that could not be asked, and why")
    skipped: tuple[str, ...] = Field(
        default=(), description="labels of cables not judged: a device is off, or it is being installed"
    )
