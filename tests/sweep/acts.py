"""What the sweep does to a provisioning and a decommissioning: a fault at every activity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import zip_longest

PROVISION, DECOMMISSION = "ProvisionInstance", "DecommissionInstance"

PARKING = (
    "preview_switch",
    "preview_server",
    "keep_plan",
    "keep_evidence",
    "verify_cables",
    "hand_in",
    "apply_changes",
    "issue_secrets",
    "apply_stage",
    "watch",
    "probe",
    "set_state",
    "drop_lease",
)
"""Activities of `ProvisionInstance` whose failure parks the run, in their order."""
REFUSING = ("take_lease", "place")
"""Those before them: their failure ends the run at once."""
UNDOING = (
    "unwatch",
    "remove",
    "erase_if_ours",
    "withdraw_secrets",
    "undo_plan",
    "check_ports_as_before",
    "check_as_before",
    "release",
)
"""What only the undoing of a provisioning does."""
FORWARD = (
    "set_state",
    "unwatch",
    "remove",
    "undo_plan",
    "hand_in",
    "apply_changes",
    "erase",
    "withdraw_secrets",
    "retire",
    "drop_lease",
)
"""Activities of `DecommissionInstance` after its point of no return."""

BUILDING = (*REFUSING, "identify", *PARKING)
ENDING = ("take_lease", "plan_end", "contents", "identify", "keep_evidence", *FORWARD)
SERVER_DIES_BUILDING = ("place", "apply_changes", "apply_stage", "probe")
SERVER_DIES_ENDING = ("plan_end", "remove", "erase", "retire")


@dataclass(frozen=True)
class Fault:
    """What is done to an activity after its effect, and what people answer when the run waits for them."""

    words: str
    order: str = ""
    answers: Mapping[str, str] = field(default_factory=dict)


APPROVE = {"approval": "approve"}
UNDISTURBED = Fault("undisturbed", answers=APPROVE)
WORKER_DIES = Fault("worker killed", "kill", APPROVE)
SERVER_DIES = Fault("Temporal killed", "kill temporal", APPROVE)
REFUSES = Fault("fails, refused", "fail", APPROVE)
ABORTED = Fault("fails, aborted", "fail", {**APPROVE, "retry": "abort"})
RETRIED = Fault("fails, retried", "fail", {**APPROVE, "retry": "retry"})
CALLED_OFF = Fault("aborted", answers={"approval": "abort"})
UNDO_DIES = Fault("worker killed while undoing", "kill", {**APPROVE, "retry": "abort"})


@dataclass(frozen=True)
class Act:
    """One procedure, a fault at these of its activities, and how it must end."""

    procedure: str
    fault: Fault
    at: tuple[str, ...]
    ends: str

    @property
    def words(self) -> str:
        return f"{self.procedure}: {self.fault.words} at {', '.join(self.at)}" if self.at else self.procedure

    @property
    def leaves_it_active(self) -> bool:
        """Whether there is an instance afterwards: a provisioned one, or one that was not decommissioned."""
        return self.ends == "active" if self.procedure == PROVISION else self.ends != "gone"

    @property
    def orders(self) -> dict[str, str]:
        """For the worker, by activity."""
        given = dict.fromkeys(self.at, self.fault.order) if self.fault.order else {}
        return {**given, "set_state": "fail"} if self.fault is UNDO_DIES else given


PROVISIONED = Act(PROVISION, UNDISTURBED, (), "active")
DECOMMISSIONED = Act(DECOMMISSION, UNDISTURBED, (), "gone")

Life = tuple[Act, ...]
"""Acts on one instance, one after the other."""


def lives() -> list[Life]:
    """All acts, with as few instances as it takes."""
    found: list[Life] = [
        *((Act(PROVISION, REFUSES, (name,), "refused"),) for name in REFUSING),
        *((Act(PROVISION, ABORTED, (name,), "aborted"),) for name in PARKING),
        (Act(PROVISION, UNDO_DIES, UNDOING, "aborted"),),
        (
            PROVISIONED,
            *(Act(DECOMMISSION, REFUSES, (name,), "refused") for name in ("take_lease", "plan_end")),
            Act(DECOMMISSION, CALLED_OFF, ("approval",), "aborted"),
            *(Act(DECOMMISSION, ABORTED, (name,), "aborted") for name in ("contents", "keep_evidence")),
            Act(DECOMMISSION, RETRIED, FORWARD, "gone"),
        ),
    ]
    for fault, building, ending in (
        (WORKER_DIES, BUILDING, ENDING),
        (SERVER_DIES, SERVER_DIES_BUILDING, SERVER_DIES_ENDING),
    ):
        for one, other in zip_longest(building, ending):
            begins = Act(PROVISION, fault, (one,), "active") if one else PROVISIONED
            found.append((begins, Act(DECOMMISSION, fault, (other,), "gone") if other else DECOMMISSIONED))
    return found
