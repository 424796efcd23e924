"""`freehold schedule`: what is started from time to time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from temporalio.client import Client, ScheduleActionExecutionStartWorkflow, ScheduleDescription, ScheduleHandle
from temporalio.service import RPCError, RPCStatusCode

from freehold.cli import console, procedures
from freehold.cli.console import JsonOption
from freehold.errors import NotFound

app = typer.Typer(no_args_is_help=True, help="What is started from time to time: pause it, resume it, start it now.")

NameArgument = Annotated[str, typer.Argument(metavar="SCHEDULE", help="As `freehold schedule list` calls it.")]
WhyOption = Annotated[str, typer.Option("--why", "-m", help="Kept with the schedule.")]


@app.command("list")
def list_(json: JsonOption = False) -> None:
    """All schedules: how often, when next, whether somebody has paused them, and what they started last."""
    found = console.run_async(_all())
    if json:
        console.print_json(found)
        return
    console.print_rows(
        ["schedule", "starts", "every", "next", "last run", "state"],
        [(s["schedule"], s["starts"], _span(s["every_s"]), _clock(s["next"]), s["last_run"], _state(s)) for s in found],
        empty="There is no schedule; the workers make them when they start (`freehold up`).",
        spare=("last run",),
    )


@app.command()
def pause(name: NameArgument, why: WhyOption = "") -> None:
    """Start nothing more until `resume`. What runs goes on."""
    who = console.settings().identity
    console.run_async(_with(name, lambda handle: handle.pause(note=f"{who}: {why}" if why else who)))
    console.out.print(f"{name} is paused; `freehold schedule resume {name}` lets it go on.")


@app.command()
def resume(name: NameArgument, why: WhyOption = "") -> None:
    """Let a paused schedule go on. What it missed is not made up for."""
    who = console.settings().identity
    console.run_async(_with(name, lambda handle: handle.unpause(note=f"{who}: {why}" if why else who)))
    console.out.print(f"{name} goes on.")


@app.command()
def trigger(name: NameArgument) -> None:
    """Start it now, also when it is paused."""
    console.run_async(_with(name, lambda handle: handle.trigger()))
    console.out.print(f"{name} is started; `freehold schedule list` names its run.")


async def _all() -> list[dict[str, Any]]:
    client = await procedures.client()
    names = [each.id async for each in await client.list_schedules()]
    return [_summary(await client.get_schedule_handle(name).describe()) for name in sorted(names)]


async def _with(name: str, what: Any) -> None:
    client: Client = await procedures.client()
    handle: ScheduleHandle = client.get_schedule_handle(name)
    try:
        await what(handle)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        raise NotFound(f"There is no schedule {name!r}; `freehold schedule list` shows all.") from error


def _summary(found: ScheduleDescription) -> dict[str, Any]:
    schedule, info = found.schedule, found.info
    ran = [each.action for each in info.recent_actions]
    runs = [action.workflow_id for action in ran if isinstance(action, ScheduleActionExecutionStartWorkflow)]
    return {
        "schedule": found.id,
        "starts": getattr(schedule.action, "workflow", ""),
        "every_s": sum(each.every.total_seconds() for each in schedule.spec.intervals[:1]),
        "next": None if schedule.state.paused else next(iter(info.next_action_times), None),
        "last_run": runs[-1] if runs else "",
        "paused": schedule.state.paused,
        "note": schedule.state.note or "",
        "missed": info.num_actions_missed_catchup_window,
    }


def _state(row: dict[str, Any]) -> str:
    if not row["paused"]:
        return "on"
    return f"paused by {row['note']}" if row["note"] else "paused"


def _span(seconds: float) -> str:
    return f"{seconds / 60:g} min" if seconds >= 60 else f"{seconds:g} s"


def _clock(at: datetime | None) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if at else ""
