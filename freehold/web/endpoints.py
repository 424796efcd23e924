"""What a request to Temporal's HTTP API does, and where in it the name of who asks stands.

Everything that is not named here, and does more than read, is refused: a newer server has new ways to write.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from freehold.models.people import MESSAGES, Act
from freehold.models.policy import Procedure

READS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True)
class Endpoint:
    """One kind of request. `message` is what follows when the last segment names a signal or an update."""

    method: str
    path: str
    acts: tuple[Act, ...]
    identity: tuple[str, ...] = ("identity",)
    names_message: bool = False
    batch: bool = False
    start: tuple[str, ...] | None = None
    """Where in the body it says what is started; empty: the body itself."""

    def matches(self, method: str, segments: tuple[str, ...]) -> bool:
        mine = self.path.split("/")
        return (
            method == self.method
            and len(mine) == len(segments)
            and all(m in ("*", s) for m, s in zip(mine, segments, strict=True))
        )


def _workflow(path: str, *acts: Act, **more: Any) -> Endpoint:
    return Endpoint("POST", f"workflows/*{path}", acts, **more)


_SCHEDULED = ("schedule", "action", "startworkflow")
ENDPOINTS = (
    _workflow("", Act.START, start=()),
    _workflow("/query/*", Act.READ, identity=()),
    _workflow("/signal/*", names_message=True),
    _workflow("/update/*", names_message=True, identity=("request", "meta", "identity")),
    _workflow("/signal-with-start/*", Act.START, names_message=True, start=()),
    _workflow("/cancel", Act.STEER),
    _workflow("/terminate", Act.REPAIR),
    _workflow("/reset", Act.REPAIR),
    _workflow("/pause", Act.REPAIR),
    _workflow("/unpause", Act.REPAIR),
    Endpoint("POST", "activities/pause", (Act.REPAIR,)),
    Endpoint("POST", "activities/unpause", (Act.REPAIR,)),
    Endpoint("POST", "activities/reset", (Act.REPAIR,)),
    Endpoint("POST", "activities/update-options", (Act.REPAIR,)),
    Endpoint("POST", "batch-operations/*", (Act.REPAIR,), batch=True),
    Endpoint("POST", "batch-operations/*/stop", (Act.REPAIR,)),
    Endpoint("POST", "schedules/*", (Act.SCHEDULE,), start=_SCHEDULED),
    Endpoint("POST", "schedules/*/update", (Act.SCHEDULE,), start=_SCHEDULED),
    Endpoint("POST", "schedules/*/patch", (Act.SCHEDULE,)),
    Endpoint("DELETE", "schedules/*", (Act.SCHEDULE,)),
)
_API = re.compile(r"/api/v1/namespaces/[^/#]+/([^#]+)")
"""Of a path with `#` only what stands before it would be passed on."""
_HARMLESS = frozenset(
    f"WORKFLOW_ID_{policy}"
    for policy in (
        "REUSE_POLICY_UNSPECIFIED",
        "REUSE_POLICY_ALLOW_DUPLICATE",
        "REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY",
        "REUSE_POLICY_REJECT_DUPLICATE",
        "CONFLICT_POLICY_UNSPECIFIED",
        "CONFLICT_POLICY_FAIL",
        "CONFLICT_POLICY_USE_EXISTING",
    )
)
"""What may become of a run that has the id already; all else ends it."""
_RESERVED_IDS = frozenset({"execute-multi-operation"})  # another endpoint with the path of a start


@dataclass(frozen=True)
class Asked:
    """A request that is understood: what it does, and how its body is signed."""

    acts: tuple[Act, ...]
    endpoint: Endpoint | None = None

    def signed(self, body: dict[str, Any], name: str) -> dict[str, Any]:
        """The same body in the name of `name`, whatever it said before."""
        if self.endpoint is None:
            return body
        if self.endpoint.batch:
            operations = [key for key, value in body.items() if _is_operation(key) and isinstance(value, dict)]
            return body | {key: {**body[key], "identity": name} for key in operations}
        return _with(body, self.endpoint.identity, name) if self.endpoint.identity else body

    def may_not_start(self, body: dict[str, Any]) -> str:
        """Why what it starts may not be started by people; empty: it may, or it starts nothing."""
        if self.endpoint is None or self.endpoint.start is None:
            return ""
        for started in _within(body, self.endpoint.start):
            for kind in _fields(started, "workflowtype"):
                name = kind.get("name") if isinstance(kind, dict) else kind
                if name not in set(Procedure):
                    return f"people do not start {name!r}, but one of {', '.join(Procedure)}"
            for policy in ("workflowidreusepolicy", "workflowidconflictpolicy"):
                for value in _fields(started, policy):
                    if value not in _HARMLESS:
                        return f"{value!r} would end a run without undoing anything; send `abort` to that run"
        return ""


READING = Asked((Act.READ,))


def asked(method: str, raw_path: str) -> Asked | None:
    """What a request asks for; None when that is not known. `raw_path` is the path as it came, percent-encoded."""
    if method in READS:
        return READING
    found = _API.fullmatch(raw_path)
    if not found:
        return None
    segments = tuple(unquote(segment) for segment in found[1].split("/"))
    # What the server might split or join in another way than we do is not understood.
    if any(not s or s in (".", "..") or "/" in s or "\\" in s or "%" in s for s in segments):
        return None
    if segments[-1] in _RESERVED_IDS:
        return None
    endpoint = next((e for e in ENDPOINTS if e.matches(method, segments)), None)
    if endpoint is None:
        return None
    message = (MESSAGES.get(segments[-1], Act.REPAIR),) if endpoint.names_message else ()
    return Asked(endpoint.acts + message, endpoint)


def _is_operation(key: str) -> bool:
    return _plain(key).endswith("operation")


def _plain(key: str) -> str:
    """A field's name however it is written: `workflowType`, `workflow_type`."""
    return key.replace("_", "").lower()


def _fields(message: dict[str, Any], name: str) -> list[Any]:
    """The values of a field; it may be written twice, in two ways."""
    return [value for key, value in message.items() if _plain(key) == name]


def _within(body: dict[str, Any], path: tuple[str, ...]) -> list[dict[str, Any]]:
    """The messages there."""
    found = [body]
    for name in path:
        found = [value for message in found for value in _fields(message, name) if isinstance(value, dict)]
    return found


def _with(body: dict[str, Any], path: tuple[str, ...], name: str) -> dict[str, Any]:
    if len(path) == 1:
        return {**body, path[0]: name}
    inner = body.get(path[0])
    return {**body, path[0]: _with(inner if isinstance(inner, dict) else {}, path[1:], name)}
