"""Current details of a run, in Markdown, for the Temporal Web UI: the call to act first, then the steps.

The UI cuts the last line off and carries the text in a URL, so it stays short and ends with a filler.
"""

from __future__ import annotations

from freehold.models.checklist import Checklist, Item
from freehold.models.plan import Plan
from freehold.models.procedure import MessageRecord, ProcedureView, StepState, Waiting

MARKS = {
    StepState.PENDING: "·",
    StepState.RUNNING: "running",
    StepState.WAITING: "**waits**",
    StepState.PARKED: "**parked**",
    StepState.DONE: "done",
    StepState.SKIPPED: "skipped",
    StepState.UNDOING: "undoing",
    StepState.UNDONE: "undone",
}
CELL = 160
"""Longest text in a table cell."""
MESSAGES_SHOWN = 5
ITEMS_SHOWN = 20


def render(view: ProcedureView, workflow_id: str) -> str:
    parts = [
        _call_to_act(view, workflow_id),
        _open_items(view.checklist) if view.checklist and not view.outcome else "",
        _plan(view.plan) if view.plan else "",
        _steps(view),
        _messages(view),
        "---",
        "_Freehold_",
    ]
    return "\n\n".join(p for p in parts if p) + "\n"


def _call_to_act(view: ProcedureView, workflow_id: str) -> str:
    if view.outcome:
        return f"### {view.procedure} of `{view.instance}`: {view.outcome}"
    if view.waiting is None:
        return f"### {view.procedure} of `{view.instance}` is at work; nobody is asked for anything"
    return "\n\n".join([_heading(view.waiting), *_how_to_answer(view, view.waiting, workflow_id)])


def _heading(waiting: Waiting) -> str:
    until = f" until {waiting.until:%Y-%m-%d %H:%M} UTC" if waiting.until else ""
    return f"### Waits for {waiting.whom}{until}\n\n{_cut(waiting.reason, 600)}"


def _how_to_answer(view: ProcedureView, waiting: Waiting, workflow_id: str) -> list[str]:
    bodies = {
        "approve": f'{{"operator": "YOUR NAME", "plan_hash": "{view.plan_hash}"}}',
        "reject": '{"operator": "YOUR NAME", "comment": "WHY"}',
        "withdraw": '{"operator": "YOUR NAME"}',
        "retry": '{"operator": "YOUR NAME"}',
        "abort": '{"operator": "YOUR NAME", "comment": "WHY"}',
        "confirm_items": _confirmation(view.checklist),
    }
    commands = {"confirm_items": f"confirm {workflow_id} --all"}
    rows = [
        f"| `{name}` | `{bodies[name]}` | `freehold {commands.get(name, f'{name} {workflow_id}')}` |"
        for name in waiting.messages
    ]
    return [
        "Send an update (or a signal) with this JSON, or type the command:",
        "\n".join(["| update or signal | JSON | command |", "|---|---|---|", *rows]),
    ]


def _confirmation(checklist: Checklist | None) -> str:
    items = checklist.open() if checklist else ()
    done = f'"{items[0].id}"' if items else '"all"'
    return f'{{"operator": "YOUR NAME", "done": [{done}], "problems": {{}}}}'


def _open_items(checklist: Checklist) -> str:
    """What is still to be done; what was issued again stands first and says what to move where."""
    items = checklist.open()
    if not items:
        return ""
    rows = [f"| `{i.id}` | {_place(i)} | {_cut(i.finding or i.instruction, 300)} |" for i in items[:ITEMS_SHOWN]]
    if len(items) > ITEMS_SHOWN:
        rows.append(f"| | | and {len(items) - ITEMS_SHOWN} more |")
    return "\n".join(["| to do | where | |", "|---|---|---|", *rows])


def _place(item: Item) -> str:
    place = f"rack {item.place}" if item.place else ""
    return f"**again** {place}" if item.issue > 1 else place


def _plan(plan: Plan) -> str:
    rows = [
        f"| plan | `{plan.hash}` |",
        f"| asked by | {plan.request.requested_by}: {plan.request.service}, {plan.request.tier}, "
        f"{plan.request.capacity_gib} GiB for {plan.request.customer} at {plan.request.site} |",
        f"| endpoint | {plan.endpoint.url} |",
    ]
    for server in plan.servers:
        where = f"rack {server.rack} unit {server.unit}"
        rows.append(f"| server | {server.server} ({where}), {', '.join(server.roles)} |")
    rows += [f"| {n.purpose} network | VLAN {n.vlan}, {n.prefix} |" for n in plan.networks]
    rows += [
        f"| port | {p.switch}/{p.change.port} → {p.change.config.mode} {p.change.config.vlan or ''} |"
        for p in plan.ports
    ]
    rows += [
        f"| changes on {d.device} | {d.diff.count(chr(10) + '+')} lines, {len(d.commands)} commands |"
        for d in plan.diffs
    ]
    return "\n".join(["| the plan | |", "|---|---|", *rows])


def _steps(view: ProcedureView) -> str:
    rows = [
        f"| {s.name} | {MARKS[s.state]} | {'' if s.seconds is None else f'{s.seconds:.1f} s'} | {_cut(s.note, CELL)} |"
        for s in view.steps
    ]
    return "\n".join(["| step | state | time | |", "|---|---|---|---|", *rows])


def _messages(view: ProcedureView) -> str:
    if not view.messages:
        return ""
    rows = [
        f"| {m.at:%H:%M:%S} | {m.name} | {_cut(_sender(m), 80)} | {'taken' if m.accepted else '**refused**'} | "
        f"{_cut(m.note, CELL)} |"
        for m in view.messages[-MESSAGES_SHOWN:]
    ]
    return "\n".join(["| at | message | from | | |", "|---|---|---|---|---|", *rows])


def _sender(message: MessageRecord) -> str:
    honest = message.identity.casefold() in ("", message.operator.casefold())
    return message.operator if honest else f"{message.operator} (really **{message.identity}**)"


def _cut(text: str, length: int) -> str:
    """One line that cannot break a table."""
    flat = " ".join(text.split()).replace("|", "\\|")
    return flat if len(flat) <= length else flat[: length - 1] + "…"
