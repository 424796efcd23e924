"""What an approver of a change must know: what leaves, what becomes of it, and from where on there is no way back."""

from __future__ import annotations

from collections.abc import Sequence

from freehold.models.change import Change
from freehold.models.plan import PlannedServer
from freehold.models.request import ScaleRequest

EMPTY = "prove empty"
RETIRE = "clear what leaves"
FENCE = "shut out what is dead"


def consequences(change: Change, request: ScaleRequest) -> str:
    leaving, dead = change.emptied.servers, change.given_up.servers
    until = f"it can be aborted until {EMPTY} is done, and keeps what was written meanwhile"
    if dead:
        names = ", ".join(s.server for s in dead)
        is_dead = f"{names} {'is' if len(dead) == 1 else 'are'} given up unerased, and never asked again"
        leave = f"; {_who_leaves(leaving)}" if leaving else ""
        return f"{is_dead}{leave}; from {FENCE} on only forward"
    if not leaving:
        return f"no server leaves; {until}"
    return f"{_who_leaves(leaving)}{_then(request)}; {until}: from {RETIRE} on only forward"


def _who_leaves(servers: Sequence[PlannedServer]) -> str:
    disks = [f"{s.server} {disk}" for s in servers for disk in s.disks]
    erased = f", and {', '.join(disks)} erased" if disks else ""
    return f"{', '.join(s.server for s in servers)} {'leaves' if len(servers) == 1 else 'leave'}{erased}"


def _then(request: ScaleRequest) -> str:
    """What becomes of what leaves, if it is not to be free."""
    if request.keep_disabled:
        return ", and kept for this instance, disabled"
    return ", and carried to the storeroom" if request.return_to_storeroom else ""
