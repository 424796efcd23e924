"""Who stands behind the names that messages claim, as a run's history has it."""

from __future__ import annotations

from pydantic import Field

from freehold.models.base import Model


class IdentityQuery(Model):
    """Asks for the approvals of one plan in one run."""

    workflow_id: str
    run_id: str
    plan_hash: str


class Sender(Model):
    """A message's claimed name beside the identity of its event."""

    message: str
    claimed: str
    identity: str

    @property
    def honest(self) -> bool:
        return self.claimed.strip().casefold() == self.identity.strip().casefold()


class Identities(Model):
    """`approvers` are those whose own last word, under their own name, is yes to this very plan."""

    started_by: str = ""
    approvers: tuple[str, ...] = ()
    senders: tuple[Sender, ...] = Field(default=(), description="the last of each message and claimed name")
