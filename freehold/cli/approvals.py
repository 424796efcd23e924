"""`freehold inbox`, and the answers people give to what stands in it."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from freehold.cli import console, procedures
from freehold.cli.console import JsonOption
from freehold.models.procedure import ProcedureView
from freehold.models.request import Abort, Accept, Approve, Dismiss, Pause, Reject, Resume, Retry, Withdraw, Word

app = typer.Typer()

RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="Workflow id, as `freehold inbox` shows it.")]
CommentOption = Annotated[str, typer.Option("--comment", "-m", help="Kept with the answer.")]
WAITING = "ExecutionStatus = 'Running' AND FreeholdWaitingFor IS NOT NULL"


@app.command()
def inbox(json: JsonOption = False) -> None:
    """What waits for people, and the exact command that answers it."""
    found = console.run_async(_waiting())
    if json:
        console.print_json([{"run": run, **view.model_dump(mode="json", exclude={"plan"})} for run, view in found])
        return
    if not found:
        console.out.print("Nothing waits for anybody.")
    for run, view in found:
        console.out.print(f"[bold]{run}[/] ({view.procedure} of {view.instance} for {view.customer or '?'})")
        for line in procedures.what_next(view, run):
            console.out.print(f"  {line}", soft_wrap=True)


@app.command()
def approve(
    run: RunArgument,
    plan: Annotated[str, typer.Option(help="Hash of the plan you have read; default: the plan as it stands.")] = "",
    comment: CommentOption = "",
    json: JsonOption = False,
) -> None:
    """Agree to a plan. Whoever asked for it cannot."""
    plan = plan or console.run_async(_plan_hash(run))
    _answer(run, Approve(operator=_me(), plan_hash=plan, comment=comment), json)


@app.command()
def reject(run: RunArgument, comment: CommentOption = "", json: JsonOption = False) -> None:
    """Refuse a plan; what was reserved is given back."""
    _answer(run, Reject(operator=_me(), comment=comment), json)


@app.command()
def withdraw(run: RunArgument, comment: CommentOption = "", json: JsonOption = False) -> None:
    """Take your approval back, as long as more people must approve."""
    _answer(run, Withdraw(operator=_me(), comment=comment), json)


@app.command()
def accept(run: RunArgument, comment: CommentOption = "", json: JsonOption = False) -> None:
    """Start what is recommended. You are then who asked for it, and somebody else must approve."""
    _answer(run, Accept(operator=_me(), comment=comment), json)


@app.command()
def dismiss(run: RunArgument, comment: CommentOption = "", json: JsonOption = False) -> None:
    """Refuse a recommendation; it is not made again before its cool-down is over."""
    _answer(run, Dismiss(operator=_me(), comment=comment), json)


@app.command()
def retry(run: RunArgument, comment: CommentOption = "", json: JsonOption = False) -> None:
    """Try a parked step again."""
    _answer(run, Retry(operator=_me(), comment=comment), json)


@app.command()
def pause(run: RunArgument, comment: CommentOption = "", json: JsonOption = False) -> None:
    """Let data that is being moved rest where it is; it is served all the time."""
    _answer(run, Pause(operator=_me(), comment=comment), json)


@app.command()
def resume(run: RunArgument, comment: CommentOption = "", json: JsonOption = False) -> None:
    """Go on moving data."""
    _answer(run, Resume(operator=_me(), comment=comment), json)


@app.command()
def abort(run: RunArgument, comment: CommentOption = "", json: JsonOption = False) -> None:
    """Stop a procedure and undo what it did, in reverse order."""
    _answer(run, Abort(operator=_me(), comment=comment), json)


def _me() -> str:
    return console.settings().identity


def _answer(run: str, message: Word, as_json: bool) -> None:
    note = console.run_async(procedures.answer(run, message))
    if as_json:
        console.print_json({"run": run, "message": type(message).__name__.lower(), "note": note})
    else:
        console.out.print(f"{run}: {note}")


async def _plan_hash(run: str) -> str:
    return (await procedures.progress((await procedures.client()).get_workflow_handle(run))).plan_hash


async def _waiting() -> list[tuple[str, ProcedureView]]:
    client = await procedures.client()
    runs = [run.id async for run in client.list_workflows(WAITING)]
    views = await asyncio.gather(*(procedures.progress(client.get_workflow_handle(run)) for run in runs))
    return [(run, view) for run, view in zip(runs, views, strict=True) if view.waiting is not None]
