"""`freehold evidence`: what was observed about an instance, and when."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.json import JSON

from freehold.cli import console
from freehold.cli.console import JsonOption
from freehold.inventory import Inventory
from freehold.models.instance import EvidenceKind

app = typer.Typer()


@app.command()
def evidence(
    instance: str,
    kind: Annotated[EvidenceKind | None, typer.Option(help="Only evidence of this kind.")] = None,
    full: Annotated[bool, typer.Option("--full", help="Also what exactly was observed.")] = False,
    json: JsonOption = False,
) -> None:
    """What was observed that proves the claims about an instance."""
    found = Inventory(console.settings().database_url).evidence(instance, kind)
    if json:
        console.print_json(found)
        return
    if full:
        for each in found:
            console.out.print(
                f"[bold]{each.claim}[/]: {'holds' if each.holds else '[red]DOES NOT HOLD[/]'} ({each.at})"
            )
            console.out.print(JSON.from_data(each.observed))
        return
    console.print_rows(
        ["at", "kind", "claim", "holds", "run"],
        [(f"{e.at:%Y-%m-%d %H:%M:%S}", e.kind, e.claim, "yes" if e.holds else "NO", e.workflow_id) for e in found],
        empty=f"No evidence is kept about {instance}.",
        spare=("run",),
    )
