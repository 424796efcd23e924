"""Who must agree to a procedure's plan."""

from __future__ import annotations

from pydantic import Field

from freehold.models.base import Model


class ApprovalPolicy(Model):
    """Decided when the plan is made, so that a later change of the rules does not touch a waiting run."""

    required: bool = True
    quorum: int = Field(default=1, ge=1, description="how many different people must approve")
    within_s: int = Field(default=72 * 3600, ge=1, description="seconds until the request lapses")
    why: str = "the plan needs an approval by somebody who did not ask for it"
