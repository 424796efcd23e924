"""Reading back who sent what: the identity in a run's history, which a payload cannot forge."""

from __future__ import annotations

from typing import Any

from temporalio import activity
from temporalio.api.common.v1 import Payload
from temporalio.client import Client

from freehold.models.identity import Identities, IdentityQuery, Sender
from freehold.web.accounts import Accounts, Act

ABOUT_APPROVAL = frozenset({"approve", "withdraw", "reject"})
SENDERS_KEPT = 100


class IdentityActivities:
    """Holds the connection and the accounts."""

    def __init__(self, client: Client, accounts: Accounts) -> None:
        self._client, self._accounts = client, accounts

    @activity.defn
    async def identify(self, given: IdentityQuery) -> Identities:
        """Who approves this plan under their own name. Reads only.

        The name must be the event's identity, of an account that may decide, and the message must name the plan.
        """
        started_by = ""
        last_word: dict[str, bool] = {}
        senders: dict[tuple[str, str], Sender] = {}
        handle = self._client.get_workflow_handle(given.workflow_id, run_id=given.run_id)
        async for event in handle.fetch_history_events():
            if event.HasField("workflow_execution_started_event_attributes"):
                started_by = event.workflow_execution_started_event_attributes.identity
            found = _message(event)
            if found is None or found[0] not in ABOUT_APPROVAL:
                continue
            name, identity, payload = found
            said = await self._decoded(payload)
            sender = Sender(message=name, claimed=str(said.get("operator", ""))[:64], identity=identity[:200])
            senders[name, sender.claimed.strip().casefold()] = sender
            if sender.honest:
                yes = name == "approve" and said.get("plan_hash") == given.plan_hash
                last_word[sender.identity.strip().casefold()] = yes
        approvers = tuple(who for who, yes in last_word.items() if yes and self._may_decide(who))
        return Identities(started_by=started_by, approvers=approvers, senders=tuple(senders.values())[-SENDERS_KEPT:])

    def _may_decide(self, name: str) -> bool:
        account = self._accounts.get(name)
        return account is not None and account.may(Act.DECIDE)

    async def _decoded(self, payload: Payload | None) -> dict[str, Any]:
        """What was said; an empty dict when it is no JSON object."""
        if payload is None:
            return {}
        try:
            (said,) = await self._client.data_converter.decode([payload])
        except Exception:  # whatever a stranger sent
            return {}
        return said if isinstance(said, dict) else {}


def _message(event: Any) -> tuple[str, str, Payload | None] | None:
    """Name, identity and first argument of a signal or an accepted update."""
    if event.HasField("workflow_execution_signaled_event_attributes"):
        signal = event.workflow_execution_signaled_event_attributes
        return signal.signal_name, signal.identity, next(iter(signal.input.payloads), None)
    if event.HasField("workflow_execution_update_accepted_event_attributes"):
        update = event.workflow_execution_update_accepted_event_attributes.accepted_request
        return update.input.name, update.meta.identity, next(iter(update.input.args.payloads), None)
    return None
