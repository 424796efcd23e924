"""`freehold up | down | status | logs`: Temporal, Prometheus and the workers on this machine."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from typing import Annotated

import typer

from freehold.cli import console
from freehold.cli.console import JsonOption, say
from freehold.errors import NotFound
from freehold.stack import control
from freehold.stack.state import ProgramState, ProgramStatus, StackStatus

app = typer.Typer(help="The local stack.")

COLOURS = {ProgramState.ready: "green", ProgramState.starting: "yellow", ProgramState.waiting: "yellow"}


@app.command()
def up(json: JsonOption = False) -> None:
    """Start Temporal, Prometheus and the workers, and keep them running."""
    began = time.monotonic()
    found = control.up(console.settings(), say)
    if json:
        console.print_json(found)
        return
    say(f"All ready in {time.monotonic() - began:.1f} s.")
    if found.ui:
        console.out.print(f"Temporal: {found.ui}", soft_wrap=True)


@app.command()
def down(json: JsonOption = False) -> None:
    """Stop them all, and check that nothing is left."""
    began = time.monotonic()
    stopped = control.down(console.settings(), say)
    if json:
        console.print_json({"stopped": stopped, "seconds": round(time.monotonic() - began, 2)})
    elif stopped:
        console.out.print(f"Down in {time.monotonic() - began:.1f} s; nothing is left running.")
    else:
        console.out.print("Nothing was running.")


@app.command()
def status(json: JsonOption = False) -> None:
    """What runs, since when, where. Exit code 1 when something is not ready."""
    found = control.status(console.settings())
    if json:
        console.print_json(found)
    else:
        _print_status(found)
    if not found.ready:
        raise typer.Exit(1)


@app.command()
def logs(
    name: Annotated[
        str | None, typer.Argument(help="temporal, prometheus, workers or supervisor; all when left out")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of the last lines.")] = 50,
) -> None:
    """What the programs of the stack have to say."""
    folder = console.settings().logs
    known = sorted(path.stem for path in folder.glob("*.log"))
    chosen = [name] if name else known
    if not known:
        raise NotFound(f"There are no logs in {folder} yet; start the stack with `freehold up`.")
    if name and name not in known:
        raise NotFound(f"There is no log of {name!r}; there are {', '.join(known)}.")
    options = [f"--lines={lines}", *(["--follow=name", "--retry"] if follow else [])]
    os.execvp("tail", ["tail", *options, "--", *(str(folder / f"{stem}.log") for stem in chosen)])  # noqa: S606


def _print_status(found: StackStatus) -> None:
    console.print_rows(
        ("program", "state", "pid", "restarts", "for", "address", "problem"),
        [_row(program) for program in found.programs],
        empty="Nothing is running here; start it with `freehold up`.",
        spare=("pid", "restarts"),
    )
    if found.ui and found.supervisor:
        console.out.print(f"Temporal: {found.ui}", soft_wrap=True)


def _row(program: ProgramStatus) -> tuple[object, ...]:
    colour = COLOURS.get(program.state, "red")
    age = datetime.now(UTC) - program.since
    return (
        program.name,
        f"[{colour}]{program.state}[/]",
        program.pid,
        program.restarts,
        _rough(age.total_seconds()),
        program.link or program.address,
        program.problem,
    )


def _rough(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
