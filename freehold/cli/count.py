"""`freehold count`: loads an instance from its customer's host, and counts what the customer would mind."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from freehold.cli import console
from freehold.cli.console import JsonOption
from freehold.inventory import Inventory
from freehold.lab.client import QUIET, ClientResult, CountingClient, Counts, Load, PhaseResult, Progress
from freehold.secrets import FileSecrets

app = typer.Typer()

_DEFAULT = Load()
_SPARE_S = 60
"""The run ends by itself, later than we end it."""


@app.command()
def count(
    name: Annotated[str, typer.Argument(help="An active instance.")],
    seconds: Annotated[float, typer.Option("--seconds", min=1, help="How long.")] = 60,
    rate: Annotated[
        float,
        typer.Option(
            "--rate", min=0.1, max=200, metavar="REQUESTS/S", help="Of each kind of client: with and without retries."
        ),
    ] = _DEFAULT.requests_per_s,
    json: JsonOption = False,
) -> None:
    """Use an instance as its customer would, and count all that goes wrong; exit code 1 if anything did."""
    settings = console.settings()
    load = Load(requests_per_s=rate, at_most_s=seconds + _SPARE_S)
    inventory = Inventory(settings.database_url)
    try:
        client = CountingClient.of(inventory, FileSecrets(settings.secrets_file), name, load)
    finally:
        inventory.close()
    with client:
        client.phase(QUIET)
        _watch(client, seconds)
        console.say("Everything that was ever written is read back.")
        result = client.stop()
    if json:
        console.print_json(result)
    else:
        print_result(result)
    if not result.clean:
        raise typer.Exit(1)


def _watch(client: CountingClient, seconds: float) -> None:
    end = time.monotonic() + seconds
    with console.err.status("") as status:
        while (left := end - time.monotonic()) > 0:
            status.update(line(client.progress()))
            time.sleep(min(left, 1))


def line(progress: Progress) -> str:
    """One line for a display that goes on."""
    p99 = "-" if progress.p99_ms is None else f"{progress.p99_ms:.0f} ms"
    return (
        f"[bold]{progress.phase}[/] {progress.phase_seconds:.0f} s: {progress.requests} requests, "
        f"{progress.rps:.1f}/s, p99 {p99}; {_counts(progress)}"
    )


def print_result(result: ClientResult) -> None:
    """The phases as a table, then the verdict and what was found first."""
    columns = ["phase", "seconds", "requests", "wrong", "p50 ms", "p99 ms", "max ms", "p99 ratio", "CPU"]
    console.print_rows(columns, [_row(phase) for phase in result.phases], empty="")
    console.out.print(f"\n{result.requests} requests, {result.keys} keys: {_counts(result)}", soft_wrap=True)
    for finding in result.findings[:10]:
        console.out.print(f"  {finding}", markup=False, soft_wrap=True)


def _row(phase: PhaseResult) -> list[object]:
    wrong = sum(phase.wrong.values())
    return [
        phase.name, f"{phase.seconds:.0f}", phase.requests, f"[red]{wrong}[/]" if wrong else 0,
        phase.p50_ms, phase.p99_ms, phase.max_ms, phase.p99_ratio, f"{phase.cpu:.0%}",
    ]  # fmt: skip


def _counts(counts: Counts) -> str:
    words = (f"{value} {name.replace('_', ' ')}" for name, value in counts.wrong.items())
    return ", ".join(f"[red]{w}[/]" if not w.startswith("0 ") else f"[green]{w}[/]" for w in words)
