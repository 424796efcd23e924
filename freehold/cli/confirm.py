"""`freehold confirm`, what `freehold checklist show` prints, and the lab's technician behind both."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Annotated

import typer

from freehold.cli import console, procedures
from freehold.cli.console import JsonOption
from freehold.errors import BadInput, FreeholdError, NotFound
from freehold.lab.technician import Technician
from freehold.models.checklist import Checklist, ConfirmItems, Item
from freehold.models.procedure import ProcedureView
from freehold.planning.hands import ALL

app = typer.Typer()

RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="Workflow id, as `freehold inbox` shows it.")]
OPEN_CHECKLISTS = "ExecutionStatus = 'Running' AND FreeholdWaitingFor = 'technicians'"
POLL_S = 0.5


@app.command()
def confirm(
    run: RunArgument,
    items: Annotated[list[str] | None, typer.Argument(metavar="[ITEM]...", help="Items that are done.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every open item is done, but for the problems.")] = False,
    problem: Annotated[
        list[str] | None, typer.Option("--problem", metavar="ITEM=WHY", help="An item that could not be done.")
    ] = None,
    out_of_use: Annotated[
        list[str] | None,
        typer.Option("--out-of-use", metavar="THING=WHY", help="A switch port or server that needs another instead."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Say what you did in the hall; machines check it, and what is wrong is asked for again."""
    problems = dict(_reason("--problem", "feed:srv-10=no free socket on feed B", text) for text in problem or ())
    unusable = dict(_reason("--out-of-use", "leaf1/swp7=bent pins", text) for text in out_of_use or ())
    done = (ALL,) if every else tuple(items or ())
    if not done and not problems and not unusable:
        raise BadInput(
            f"Name items that are done, or give --all, --problem or --out-of-use; `freehold checklist show {run}`."
        )
    message = ConfirmItems(operator=console.settings().identity, done=done, problems=problems, out_of_use=unusable)
    note = console.run_async(procedures.answer(run, message))
    if json:
        console.print_json({"run": run, "message": "confirm_items", "note": note})
    else:
        console.out.print(f"{run}: {note}", markup=False)


def _reason(option: str, example: str, text: str) -> tuple[str, str]:
    what, equals, why = text.partition("=")
    if not equals or not why.strip():
        raise BadInput(f'{option} {text!r}: write what and why, e.g. "{example}"')
    return what, why.strip()


def show_checklist(run: str, as_json: bool) -> None:
    """Open items first, of those what was issued again; then what is done."""
    found = console.run_async(_checklist(run))
    if as_json:
        console.print_json(found)
        return
    done = [i for i in found.items if i not in found.open()]
    columns = ["", "item", "rack and unit", "what to do"]
    rows = [_row(item, found) for item in (*found.open(), *done)]
    console.print_rows(columns, rows, title=found.title, empty="Nothing is to be done by hand.")


def _row(item: Item, checklist: Checklist) -> list[object]:
    is_open = item in checklist.open()
    state = "again" if is_open and item.issue > 1 else item.state
    words = (item.finding or item.instruction) if is_open else item.problem or item.by
    return [state, item.id, item.place, words]


async def _checklist(run: str) -> Checklist:
    view = await procedures.progress((await procedures.client()).get_workflow_handle(run))
    if view.checklist is None:
        raise NotFound(f"{run} has no checklist; `freehold inbox` shows what waits for whom.")
    return view.checklist


# -- the technician of the lab, who reads and answers as everybody does


async def serve(technician: Technician, operator: str, patience_s: float, run: str | None = None) -> list[str]:
    """Work on open checklists (or on this run's) until nothing was open for so long. Returns the runs."""
    client = await procedures.client()
    worked: list[str] = []
    last = time.monotonic()
    while time.monotonic() - last < patience_s:
        runs = [run] if run else [found.id async for found in client.list_workflows(OPEN_CHECKLISTS)]
        for name in {*runs, *worked}:
            view = await _progress_if_there(name)
            if view is None or view.outcome:
                if name in worked and not [r for r in runs if r != name]:
                    return worked
                continue
            if view.checklist and view.checklist.open() and view.waiting is not None:
                worked += [name] if name not in worked else []
                said = await asyncio.to_thread(technician.work, view.checklist, operator)
                await procedures.answer(name, said)
                last = time.monotonic()
        await asyncio.sleep(POLL_S)
    return worked


async def _progress_if_there(run: str) -> ProcedureView | None:
    with suppress(FreeholdError):
        return await procedures.progress((await procedures.client()).get_workflow_handle(run))
    return None
