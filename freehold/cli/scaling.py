"""`freehold scaling`: when instances change their size by schedule."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Annotated

import typer

from freehold.cli import console
from freehold.cli.console import JsonOption
from freehold.errors import BadInput
from freehold.metrics.prometheus import Prometheus, Span
from freehold.metrics.reading import SERIES
from freehold.models.request import InstanceRequest
from freehold.models.scaling import Contract, LeadTime, Measure, Mode
from freehold.models.units import DAY_S, HOUR_S
from freehold.planning.scaling.recorded import as_history, recorded
from freehold.planning.scaling.replay import TRACE_GIB, History, fitted, history_of
from freehold.planning.scaling.simulation import Outcome, Sizes, Trial, simulate, sized
from freehold.planning.scaling.traces import traces
from freehold.scaling import SHIPPED, ScalingRules
from freehold.services import service as find_service
from freehold.web.simulation import simulation_svg

app = typer.Typer(no_args_is_help=True, help="When instances change their size by schedule.")

One = tuple[History, str, tuple[tuple[Outcome, Sizes], ...]]
Found = list[One]
MOST_VALUES = 2000
"""As many values of a series are asked for, no matter how long the range is."""


@app.callback()
def scaling() -> None:
    """When instances change their size by schedule."""


@app.command("simulate")
def simulate_command(
    metrics: Annotated[
        list[Path] | None,
        typer.Option(
            help="A recorded history: CSV with `time`, `stored_bytes`, `requests_per_s`, ... (repeat for more)."
        ),
    ] = None,
    prometheus: Annotated[
        str, typer.Option(metavar="RANGE", help="What Prometheus has of the last e.g. 12h, 30d or 8w of --instance.")
    ] = "",
    instance: Annotated[str, typer.Option(help="Whose metrics to replay.")] = "",
    rules: Annotated[Path | None, typer.Option(help="Rules to try instead of those that hold.")] = None,
    service: Annotated[str, typer.Option(help="The service of the instance.")] = "object-storage",
    tier: Annotated[str, typer.Option(help="Its tier at the beginning.")] = "distributed",
    capacity_gib: Annotated[int, typer.Option(min=1, help="Its capacity at the beginning.")] = TRACE_GIB,
    lead_days: Annotated[float, typer.Option(min=0, help="From a decision until new servers serve.")] = 14.0,
    plots: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Write a plot of each there (SVG).")] = None,
    json: JsonOption = False,
) -> None:
    """Replay histories through the rules: when they would have scaled, at what cost, how often too late.

    Without recorded histories ten made ones are replayed: growth, seasons, a spike, a gap, and others.
    """
    if rules is not None and not rules.exists():
        raise BadInput(f"{rules} does not exist.")
    tried = ScalingRules(rules or console.settings().scaling_file)
    if prometheus:
        request = sized(find_service(service), service, tier, capacity_gib)
        found = [_from_prometheus(prometheus, instance, tried, request, lead_days)]
    else:
        found = simulated(metrics or (), tried, service, tier, capacity_gib, lead_days)
    if plots is not None:
        plots.mkdir(parents=True, exist_ok=True)
        for history, words, outcomes in found:
            (plots / f"{history.name}.svg").write_text(simulation_svg(history, outcomes, words) + "\n")
    if json:
        console.print_json([outcome for _, _, outcomes in found for outcome, _ in outcomes])
        return
    console.print_rows(COLUMNS, rows(found), empty="There is nothing to simulate.", spare=("changes",))
    if plots is not None:
        console.say(f"Plots are in {plots}.")


def simulated(
    files: Sequence[Path] = (),
    rules: ScalingRules | None = None,
    service: str = "object-storage",
    tier: str = "distributed",
    capacity_gib: int = TRACE_GIB,
    lead_days: float = 14.0,
    only: Collection[str] = (),
) -> Found:
    """Every history with its words and what each way of deciding made of it; `only`: of the made ones these."""
    request = sized(find_service(service), service, tier, capacity_gib)
    histories = [(h, words) for h, words in _histories(files, request) if not only or h.name in only]
    return [_tried(history, words, rules or ScalingRules(SHIPPED), lead_days) for history, words in histories]


def _tried(history: History, words: str, rules: ScalingRules, lead_days: float) -> One:
    request = history.request
    policy = fitted(rules.of(request.service, request.tier), history.step_s)
    lead = LeadTime(usual_s=lead_days * DAY_S, late_s=lead_days * DAY_S)
    contract = Contract(mode=Mode.AUTOMATIC, tiers=(request.tier,))
    return history, words, simulate(history, Trial(find_service(request.service), policy, lead, contract))


def _from_prometheus(given: str, instance: str, rules: ScalingRules, request: InstanceRequest, lead_days: float) -> One:
    length = re.fullmatch(r"(\d+)([mhdw])", given)
    if length is None or not instance:
        raise BadInput("--prometheus takes a range like 12h, 30d or 8w, and --instance says whose.")
    range_s = int(length[1]) * {"m": 60, "h": HOUR_S, "d": DAY_S, "w": 7 * DAY_S}[length[2]]
    step_s = max(60, range_s // MOST_VALUES)
    with Prometheus(console.settings().metrics_url) as asked:
        end = asked.clock()
        series = {
            measure: asked.range(Span(f'{SERIES[measure]}{{instance="{instance}"}}', end - range_s, end, step_s))
            for measure in (Measure.STORED, Measure.REQUESTS)
        }
    known = {measure: found[0].series for measure, found in series.items() if found}
    return _tried(as_history(instance, known, request), "", rules, lead_days)


COLUMNS = ("trace", "policy", "decided", "ideal", "days late", "short", "cost", "too late", "changes")


def rows(found: Found) -> list[tuple[object, ...]]:
    return [
        (
            out.trace if number == 0 else "",
            out.policy,
            f"{out.decided_at:%Y-%m-%d}" if out.decided_at else "-",
            f"{out.ideal_at:%Y-%m-%d}" if out.ideal_at else "-",
            f"{days:+.1f}" if (days := _days_late(out)) is not None else "-",
            f"{100 * out.short_share:.2f} %",
            f"{out.cost_ratio:.2f}",
            out.late,
            " ".join("up" if step.action == "up" else "down" for step in out.steps) or "-",
        )
        for _, _, outcomes in found
        for number, (out, _) in enumerate(outcomes)
    ]


def _days_late(outcome: Outcome) -> float | None:
    if outcome.decided_at is None or outcome.ideal_at is None:
        return None
    return (outcome.decided_at - outcome.ideal_at).total_seconds() / DAY_S


def _histories(files: Sequence[Path], request: InstanceRequest) -> list[tuple[History, str]]:
    if not files:
        return [(history_of(trace, request), trace.words) for trace in traces()]
    found = []
    for file in files:
        with file.open() as lines:
            found.append((recorded(file.stem, lines, request), ""))
    return found
