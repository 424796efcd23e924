"""Reading back who sent what: the identity in a run's history, which a payload cannot forge, and people's roles."""

from __future__ import annotations

from typing import Any

from temporalio import activity
from temporalio.client import Client

from freehold.models.identity import Identities, IdentityQuery, signal_ref, update_ref
from freehold.models.people import key_of
from freehold.policy import Policies
from freehold.web.accounts import Accounts

LONGEST_NAME = 200


class IdentityActivities:
    """Holds the connection, the accounts and the rules."""

    def __init__(self, client: Client, accounts: Accounts, policies: Policies) -> None:
        self._client, self._accounts, self._policies = client, accounts, policies

    @activity.defn
    async def identify(self, given: IdentityQuery) -> Identities:
        """Who sent these messages, and in which roles people are. Reads only."""
        policy = self._policies.book().policy(given.procedure, given.service, given.tier)
        accounts = {key_of(name): self._accounts.get(name) for name in given.names}
        started_by, senders = await self._senders(given)
        return Identities(
            rule=policy.identity,
            unknown_names=policy.unknown_names,
            started_by=started_by,
            senders={ref: senders[ref] for ref in given.refs if ref in senders},
            roles={name: account.roles for name, account in accounts.items() if account},
        )

    async def _senders(self, given: IdentityQuery) -> tuple[str, dict[str, str]]:
        """Who started the run, and who sent each message: signals by their number, updates by their id."""
        started_by, signals = "", 0
        senders: dict[str, str] = {}
        handle = self._client.get_workflow_handle(given.workflow_id, run_id=given.run_id)
        async for event in handle.fetch_history_events():
            found = getattr(event, str(event.WhichOneof("attributes")))
            if event.HasField("workflow_execution_started_event_attributes"):
                started_by = found.identity[:LONGEST_NAME]
            elif event.HasField("workflow_execution_signaled_event_attributes"):
                signals += 1
                senders[signal_ref(signals)] = found.identity[:LONGEST_NAME]
            elif event.HasField("workflow_execution_update_accepted_event_attributes"):
                senders[update_ref(_update_id(found))] = found.accepted_request.meta.identity[:LONGEST_NAME]
        return started_by, senders


def _update_id(accepted: Any) -> str:
    return str(accepted.accepted_request.meta.update_id or accepted.protocol_instance_id)
