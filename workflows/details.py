"""Current details of a run, in Markdown, for the Temporal Web UI: the call to act first, then plan and steps.

The UI cuts the last line off and carries the text in a URL, so it stays short and ends with a filler.
"""

from __future__ import annotations

from collections.abc import Sequence

from freehold.models.checklist import Checklist, Item
from freehold.models.people import same_person
from freehold.models.plan import DeviceDiff, Plan, PlannedPort
from freehold.models.procedure import MessageRecord, ProcedureView, StepState, StepView, Waiting
from workflows.people import PLACEHOLDER

MARKS = {
    StepState.PENDING: "·",
    StepState.RUNNING: "**running**",
    StepState.WAITING: "**waits**",
    StepState.PARKED: "**parked**",
    StepState.DONE: "done",
    StepState.SKIPPED: "skipped",
    StepState.UNDOING: "**undoing**",
    StepState.UNDONE: "undone",
    StepState.STOPPED: "stopped",
}
BUSY = (StepState.RUNNING, StepState.UNDOING)
CELL = 160
"""Longest text in a table cell."""
ROWS = 8
"""Most servers, and most ports, that are listed."""
MESSAGES_SHOWN = 5
ITEMS_SHOWN = 20


def render(view: ProcedureView, workflow_id: str) -> str:
    plan = _plan(view.plan, view.plan_hash) if view.plan else ""
    work = _open_items(view.checklist) if view.checklist and not view.outcome else ""
    decides = view.waiting is not None and view.waiting.kind == "approval"
    middle = [plan, _steps(view)] if decides else [_steps(view), plan]
    parts = [_call_to_act(view, workflow_id), _because(view), work, _messages(view), *middle, "---", "_Freehold_"]
    return "\n\n".join(p for p in parts if p) + "\n"


def _call_to_act(view: ProcedureView, workflow_id: str) -> str:
    if view.waiting is not None:
        return "\n\n".join([_heading(view.waiting), *_how_to_answer(view, view.waiting, workflow_id)])
    what = f"{view.procedure} of {view.instance}"
    if view.outcome:
        return f"### {what}: {view.outcome}"
    step = next((s.name for s in view.steps if s.state in BUSY), "")
    return f"### {what} is at work{f': {step}' if step else ''}\n\nNobody is asked for anything."


def _because(view: ProcedureView) -> str:
    """Why the schedule asked for it; the figures and their picture are a click away."""
    if view.because is None:
        return ""
    look = f" [The figures and the forecast]({view.because.page})." if view.because.page else ""
    return f"**Why:** {_cut(view.because.words, 600)}{look}"


def _heading(waiting: Waiting) -> str:
    until = f" until {waiting.until:%Y-%m-%d %H:%M} UTC" if waiting.until else ""
    return f"### Waits for {waiting.whom}{until}\n\n{_cut(waiting.reason, 600)}"


def _how_to_answer(view: ProcedureView, waiting: Waiting, workflow_id: str) -> list[str]:
    why = f'{{"operator": "{PLACEHOLDER}", "comment": "WHY"}}'
    bodies = {
        "approve": f'{{"operator": "{PLACEHOLDER}", "plan_hash": "{view.plan_hash}"}}',
        "confirm_items": _confirmation(view.checklist),
    }
    rows = [f"| **{name}** | `{bodies.get(name, why)}` |" for name in waiting.messages]
    words = {"confirm_items": f"confirm {workflow_id} --all"}
    commands = [words.get(name, f"{name} {workflow_id}") for name in waiting.messages]
    return [
        "**More Actions › Send an Update**, choose a name, paste its JSON and put your name in:",
        "\n".join(["| name | JSON |", "|:--|:--|", *rows]),
        f"Or type `freehold {commands[0]}`; likewise {_listed(waiting.messages[1:])}."
        if waiting.messages[1:]
        else f"Or type `freehold {commands[0]}`.",
    ]


def _listed(names: Sequence[str]) -> str:
    return " and ".join(f"`{name}`" for name in names)


def _confirmation(checklist: Checklist | None) -> str:
    items = checklist.open() if checklist else ()
    done = f'"{items[0].id}"' if items else '"all"'
    return f'{{"operator": "{PLACEHOLDER}", "done": [{done}], "problems": {{}}}}'


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


def _plan(plan: Plan, plan_hash: str) -> str:
    asked = plan.request
    rows = [
        f"asked | {asked.service}, {asked.tier}, {asked.capacity_gib} GiB for {asked.customer} at {asked.site}, "
        f"by {asked.requested_by}",
        f"endpoint | {plan.endpoint.url}",
        *_some([f"server {s.server} | rack {s.rack} unit {s.unit}: {', '.join(s.roles)}" for s in plan.servers]),
        *[f"{n.purpose} network | VLAN {n.vlan}, `{n.prefix}`" for n in plan.networks],
        *_some([f"port {p.switch} {p.change.port} | {_becomes(p)}" for p in plan.ports]),
        *_some([f"changes on {d.device} | {_size(d)}" for d in plan.diffs]),
    ]
    table = "\n".join([f"| plan | `{plan_hash}` |", "|:--|:--|", *map(_row, rows)])
    return f"{table}\n\nThe exact changes of every device: tab **Queries**, query `progress`." if plan.diffs else table


def _becomes(port: PlannedPort) -> str:
    def words(mode: str, vlan: int | None) -> str:
        return f"{mode} {vlan}" if vlan else mode

    after = port.change.config
    return f"{words(port.before.mode, port.before.vlan)} → {words(after.mode, after.vlan)}"


def _size(change: DeviceDiff) -> str:
    changed = [line for line in change.diff.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    lines = f"{_count(len(changed), 'line')} of configuration"
    return f"{lines}, {_count(len(change.commands), 'command')}" if change.commands else lines


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _row(cells: str) -> str:
    """A table's row whose first cell stays on one line."""
    first, rest = cells.split(" | ", 1)
    return f"| {_unbroken(first)} | {rest} |"


def _unbroken(text: str) -> str:
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def _some(rows: list[str]) -> list[str]:
    left = len(rows) - ROWS
    return rows if left <= 0 else [*rows[:ROWS], f"… | and {left} more"]


def _steps(view: ProcedureView) -> str:
    rows = [
        f"| {_unbroken(s.name)} | {MARKS[s.state]} | {_unbroken(_time(s))} | {_cut(s.note, CELL)} |" for s in view.steps
    ]
    return "\n".join(["| step | state | time | |", "|:--|:--|--:|:--|", *rows])


def _time(step: StepView) -> str:
    return "" if step.seconds is None else f"{step.seconds:.1f} s"


def _messages(view: ProcedureView) -> str:
    if not view.messages:
        return ""
    rows = [
        f"| {m.at:%H:%M:%S} | {_cut(m.name, 40)} | {_cut(_sender(m), 80)} | "
        f"{'taken' if m.accepted else '**refused**'} | {_cut(m.note, CELL)} |"
        for m in view.messages[-MESSAGES_SHOWN:]
    ]
    return "\n".join(["| at | message | from | | |", "|:--|:--|:--|:--|:--|", *rows])


def _sender(message: MessageRecord) -> str:
    honest = not message.identity or same_person(message.identity, message.operator)
    return message.operator if honest else f"{message.operator} (sent by **{message.identity}**)"


def _cut(text: str, length: int) -> str:
    """One line that cannot break a table."""
    flat = " ".join(text.split()).replace("|", "\\|")
    return flat if len(flat) <= length else flat[: length - 1] + "…"
