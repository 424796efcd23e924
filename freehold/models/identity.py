"""Who stands behind the names that messages claim: the identity in a run's history, and the role of an account."""

from __future__ import annotations

from collections.abc import Collection

from pydantic import Field

from freehold.models.base import Model
from freehold.models.people import Role, either, key_of, same_person
from freehold.models.policy import ApprovalIdentity, UnknownNames


class IdentityQuery(Model):
    """Asks who sent messages of one run: `refs` name their events, `names` are the claims."""

    workflow_id: str
    run_id: str
    procedure: str
    service: str = ""
    tier: str = ""
    refs: tuple[str, ...]
    names: tuple[str, ...]


class Identities(Model):
    """What the history and the accounts say, and the rules of this moment about whom to believe."""

    rule: ApprovalIdentity = ApprovalIdentity.CLAIM
    unknown_names: UnknownNames = UnknownNames.ACCEPT
    started_by: str = ""
    senders: dict[str, str] = Field(default_factory=dict, description="ref -> identity of its event")
    roles: dict[str, tuple[Role, ...]] = Field(default_factory=dict, description="of those who have an account")

    @property
    def by_login(self) -> bool:
        return self.rule is ApprovalIdentity.LOGIN

    def objection(self, ref: str, claimed: str, allowed: Collection[Role], what: str) -> str:
        """Why this message does not count as from whom it says, or not for `what`; empty when it does."""
        sender = self.senders.get(ref, "")
        if self.by_login and not same_person(sender, claimed):
            return f"operator: the history says that {sender or 'nobody who is logged in'} sent this, not {claimed}"
        roles = self.roles.get(key_of(claimed))
        if roles is None:
            if self.by_login or self.unknown_names is UnknownNames.REFUSE:
                return f"operator: {claimed} has no account and is not heard; see `freehold account list`"
            return ""
        if not set(roles) & set(allowed):
            return f"operator: {claimed} is {either(roles)} and may not {what}; {either(allowed)} may"
        return ""


def signal_ref(number: int) -> str:
    """The how-manieth signal of its run, counted from one."""
    return f"signal {number}"


def update_ref(update_id: str) -> str:
    return f"update {update_id}"
