"""`freehold checklist print`: a work order on paper."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from freehold.cli import console
from freehold.cli.confirm import show_checklist
from freehold.cli.console import JsonOption
from freehold.inventory import Inventory
from freehold.models.checklist import Checklist
from freehold.web.work import ProcedureWork

app = typer.Typer(no_args_is_help=True, help="Work for technicians.")


@app.callback()
def checklist() -> None:
    """Work for technicians."""


@app.command()
def show(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Workflow id, as `freehold inbox` shows it.")],
    json: JsonOption = False,
) -> None:
    """What is to be done, in the order of the walk; what was issued again stands first."""
    show_checklist(run, json)


@app.command("print")
def print_sheet(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Workflow id, as `freehold inbox` shows it.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The PDF to write.")] = Path(
        "work-order.pdf"
    ),
    json: JsonOption = False,
) -> None:
    """Write a checklist as an A4 work order: tick boxes, racks, ports, cable labels with QR codes."""
    # Only here, because its libraries take long to load and need Debian packages of their own.
    from freehold.web.sheet import render_sheet  # noqa: PLC0415

    settings = console.settings()
    found: Checklist = console.run_async(ProcedureWork(settings).checklist(run))
    pdf = render_sheet(
        Inventory(settings.database_url).hall(),
        found,
        run=run,
        base_url=settings.page_url,
        at=datetime.now().astimezone(),
    )
    output.write_bytes(pdf)
    if json:
        console.print_json({"run": run, "output": output.absolute(), "items": len(found.items), "bytes": len(pdf)})
    else:
        console.out.print(f"{len(found.items)} items of {run} are in {output}.", markup=False)
