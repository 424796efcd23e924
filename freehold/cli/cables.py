"""`freehold cables`: whether everything is plugged where it should be, also what no procedure touches."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import typer

from freehold import cables
from freehold.cli import console
from freehold.cli.console import JsonOption
from freehold.devices.real import RealDevices
from freehold.inventory import Inventory
from freehold.models.cabling import CableFinding, CablesInput, CablingReport, Verdict
from freehold.secrets import FileSecrets

app = typer.Typer(no_args_is_help=True, help="Whether everything is plugged where it should be.")


@app.callback()
def _group() -> None:
    """Whether everything is plugged where it should be."""


@app.command()
def check(
    site: Annotated[str | None, typer.Option("--site", help="Only cables of this site.")] = None,
    rack: Annotated[str | None, typer.Option("--rack", help="Only cables of devices in this rack.")] = None,
    instance: Annotated[str | None, typer.Option("--instance", help="Only cables of this instance.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Show also the cables that are right.")] = False,
    json: JsonOption = False,
) -> None:
    """Read every switch and server once, and hold what they see against what should be plugged.

    The exit code is 1 when a cable is wrong or cannot be judged, or a device does not answer.
    """
    settings = console.settings()
    inventory = Inventory(settings.database_url)
    given = CablesInput(site=site, rack=rack, instance=instance)
    report = cables.check(inventory, RealDevices(FileSecrets(settings.secrets_file)), given)
    if json:
        console.print_json(report)
    else:
        _print(report, every)
    if _wrong(report) or report.unanswered:
        raise typer.Exit(1)


def _wrong(report: CablingReport) -> list[CableFinding]:
    return [f for f in report.findings if f.verdict is not Verdict.OK]


def _print(report: CablingReport, every: bool) -> None:
    for device in report.unanswered:
        console.out.print(f"No answer: {device}", style="yellow", markup=False, soft_wrap=True)
    wrong = _wrong(report)
    console.print_rows(
        ["cable", "verdict", "what is where, and what to move"],
        [(f.cable.label, _verdict(f), f.words) for f in (report.findings if every else wrong)],
        empty="No cable was judged." if not report.findings else "Every cable is as planned.",
    )
    counts = Counter(f.verdict.value for f in report.findings)
    console.out.print(", ".join(f"{n} {verdict}" for verdict, n in sorted(counts.items())) or "nothing to judge")
    if report.skipped:
        console.out.print(
            f"Not judged, because a device is switched off or still being installed: {', '.join(report.skipped)}",
            soft_wrap=True,
        )


def _verdict(finding: CableFinding) -> str:
    return " ".join([finding.verdict, *([", ".join(finding.swapped_with)] if finding.swapped_with else [])])
