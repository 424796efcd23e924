"""The rules of approvals as the operator keeps them: `policies.yaml` in home, or those that come with Freehold."""

from __future__ import annotations

from pathlib import Path

from freehold.books import Kept, check_tier, read_yaml
from freehold.errors import BadInput
from freehold.models.plan import Plan
from freehold.models.policy import ApprovalPolicy, PolicyBook, Receiver, Reminder

SHIPPED = Path(__file__).with_name("policies.yaml")


class Policies(Kept[PolicyBook]):
    """Who approves what, and who is told."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, SHIPPED, read_book)

    def of(self, procedure: str, plan: Plan, scheduled: bool = False) -> ApprovalPolicy:
        """The policy for this plan, with a waiver where the rules give one.

        `scheduled`: the schedule decided it, and all that the customer's contract says was kept.
        """
        policy = self._told(self.book().policy(procedure, plan.request.service, plan.request.tier))
        if not policy.required:
            return policy.model_copy(update={"why": "waived by policy"})
        if policy.waive_scheduled and scheduled:
            why = "waived by policy: decided by the schedule, within the customer's contract"
            return policy.model_copy(update={"required": False, "why": why})
        if policy.waive_installed and all(server.powered for server in plan.servers):
            return policy.model_copy(update={"required": False, "why": "waived by policy: all hardware is installed"})
        return policy

    def _told(self, policy: ApprovalPolicy) -> ApprovalPolicy:
        """Without receivers behind whom there is nobody, so that no run tries to tell them."""

        def real(names: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(name for name in names if self.receiver(name).somebody)

        reminders = [Reminder(before_s=r.before_s, tell=tell) for r in policy.reminders if (tell := real(r.tell))]
        return policy.model_copy(update={"tell": real(policy.tell), "reminders": tuple(reminders)})

    def receiver(self, name: str) -> Receiver:
        """Raises BadInput when the rules know no such receiver (any more)."""
        found = self.book().receivers.get(name)
        if found is None:
            raise BadInput(f"{self.path} has no receiver {name!r} any more; nobody is told by it")
        return found


def read_book(path: Path) -> PolicyBook:
    """Raises BadInput that names the file, the place in it, the value and what is allowed."""
    book = read_yaml(path, PolicyBook)
    for number, rule in enumerate(book.rules, start=1):
        check_tier(f"{path}: rule {number}", rule.service, rule.tier)
    return book
