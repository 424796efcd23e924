"""Starting procedures on an instance: `freehold instance provision`, `scale-up`, `scale-down`, `decommission`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
import yaml
from pydantic import ValidationError

from freehold.cli import console, procedures
from freehold.cli.console import JsonOption
from freehold.cli.plans import print_plan
from freehold.errors import BadInput
from freehold.models.policy import Procedure
from freehold.models.procedure import Outcome, ProcedureView
from freehold.models.request import ConsolidateRequest, DecommissionRequest, InstanceRequest, ScaleRequest
from freehold.models.wording import in_words

app = typer.Typer()

WaitOption = Annotated[bool, typer.Option("--wait", help="Stay until it ends, also while it waits for people.")]
NoWatchOption = Annotated[bool, typer.Option("--no-watch", help="Start it and return at once.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show the plan with exact diffs; touch nothing.")]
ByOption = Annotated[str | None, typer.Option("--requested-by", help="Who asks, if it is not you.")]
TierOption = Annotated[str | None, typer.Option(help="compact, distributed, ...")]
CapacityOption = Annotated[
    int | None, typer.Option("--capacity-gib", "--capacity", metavar="GIB", help="Usable space.")
]
WebOption = Annotated[int | None, typer.Option("--web-servers", help="Servers with the role web.")]
StorageOption = Annotated[int | None, typer.Option("--storage-servers", help="Servers with the role storage.")]
RateOption = Annotated[
    int | None,
    typer.Option("--requests-per-s", metavar="N", help="Requests that it must carry; brings what they take."),
]
OutOption = Annotated[
    bool, typer.Option("--return-to-storeroom", help="People take out the servers that leave, once they are erased.")
]
DeadOption = Annotated[
    bool, typer.Option("--dead", help="The servers that shall leave do not answer any more; do not wait for them.")
]
KeepOption = Annotated[
    bool, typer.Option("--keep-disabled", help="Keep the servers that leave for this instance: erased, but cabled.")
]
FeatureOption = Annotated[
    list[str] | None,
    typer.Option(help="A feature that shall be on; may be repeated. Without it they stay as they are."),
]

R = TypeVar("R", InstanceRequest, ScaleRequest, ConsolidateRequest, DecommissionRequest)


@app.command()
def provision(
    name: Annotated[str | None, typer.Argument(help="Name of the new instance.")] = None,
    customer: Annotated[str | None, typer.Option(help="Who it is for.")] = None,
    site: Annotated[str | None, typer.Option(help="Where.")] = None,
    tier: TierOption = None,
    capacity_gib: CapacityOption = None,
    requests_per_s: RateOption = None,
    feature: FeatureOption = None,
    file: Annotated[Path | None, typer.Option(help="The request as YAML or JSON; options override it.")] = None,
    dry_run: DryRunOption = False,
    wait: WaitOption = False,
    no_watch: NoWatchOption = False,
    json: JsonOption = False,
) -> None:
    """Build a private instance, from a request until its endpoint answers."""
    given = {
        "instance": name,
        "customer": customer,
        "site": site,
        "tier": tier,
        "capacity_gib": capacity_gib,
        "requests_per_s": requests_per_s,
        "features": feature or None,
        "dry_run": dry_run or None,
    }
    request = _request(file, given)
    _run(Procedure.PROVISION, request, wait=wait or dry_run, watch=not no_watch, as_json=json)


@app.command()
def scale_up(
    name: str,
    tier: TierOption = None,
    capacity_gib: CapacityOption = None,
    web_servers: WebOption = None,
    storage_servers: StorageOption = None,
    requests_per_s: RateOption = None,
    feature: FeatureOption = None,
    return_to_storeroom: OutOption = False,
    keep_disabled: KeepOption = False,
    requested_by: ByOption = None,
    dry_run: DryRunOption = False,
    wait: WaitOption = False,
    no_watch: NoWatchOption = False,
    json: JsonOption = False,
) -> None:
    """Give an instance more, while it serves: a bigger tier, capacity, servers, features. The rest stays as it is."""
    given = {"tier": tier, "capacity_gib": capacity_gib, "web_servers": web_servers, "features": feature or None}
    given |= {"storage_servers": storage_servers, "requests_per_s": requests_per_s}
    leave = {"return_to_storeroom": return_to_storeroom, "keep_disabled": keep_disabled}
    request = _scaling(name, requested_by, dry_run, given, leave)
    _run(Procedure.SCALE_UP, request, wait=wait or dry_run, watch=not no_watch, as_json=json)


@app.command()
def scale_down(
    name: str,
    tier: TierOption = None,
    capacity_gib: CapacityOption = None,
    web_servers: WebOption = None,
    storage_servers: StorageOption = None,
    requests_per_s: RateOption = None,
    feature: FeatureOption = None,
    drain: Annotated[list[str] | None, typer.Option(help="A server that shall leave; may be repeated.")] = None,
    dead: DeadOption = False,
    return_to_storeroom: OutOption = False,
    keep_disabled: KeepOption = False,
    no_features: Annotated[bool, typer.Option("--no-features", help="Switch all features off.")] = False,
    requested_by: ByOption = None,
    dry_run: DryRunOption = False,
    wait: WaitOption = False,
    no_watch: NoWatchOption = False,
    json: JsonOption = False,
) -> None:
    """Take from an instance what it does not need, while it serves. What leaves is emptied, proven empty, erased."""
    features = [] if no_features else feature or None
    given = {"tier": tier, "capacity_gib": capacity_gib, "web_servers": web_servers, "features": features}
    given |= {"storage_servers": storage_servers, "requests_per_s": requests_per_s, "drain": drain}
    leave = {"dead": dead, "return_to_storeroom": return_to_storeroom, "keep_disabled": keep_disabled}
    request = _scaling(name, requested_by, dry_run, given, leave)
    _run(Procedure.SCALE_DOWN, request, wait=wait or dry_run, watch=not no_watch, as_json=json)


@app.command()
def drain(
    name: str,
    servers: Annotated[list[str], typer.Argument(help="Servers of the instance that shall leave.")],
    dead: DeadOption = False,
    return_to_storeroom: OutOption = False,
    keep_disabled: KeepOption = False,
    requested_by: ByOption = None,
    dry_run: DryRunOption = False,
    wait: WaitOption = False,
    no_watch: NoWatchOption = False,
    json: JsonOption = False,
) -> None:
    """Take servers out of an instance, while it serves: others take their place; they are proven empty, and erased."""
    who = requested_by or console.settings().identity
    given = {"instance": name, "servers": servers, "requested_by": who, "dry_run": dry_run}
    leave = {"dead": dead, "return_to_storeroom": return_to_storeroom, "keep_disabled": keep_disabled}
    request = _checked(ConsolidateRequest, given | leave)
    _run(Procedure.CONSOLIDATE, request, wait=wait or dry_run, watch=not no_watch, as_json=json)


@app.command()
def decommission(
    name: str,
    return_to_storeroom: Annotated[
        bool, typer.Option("--return-to-storeroom", help="People take out the servers that came from there.")
    ] = False,
    export: Annotated[
        str | None,
        typer.Option(metavar="HOST:FOLDER", help="Write all objects to this folder of a host of the customer before."),
    ] = None,
    dry_run: DryRunOption = False,
    wait: WaitOption = False,
    no_watch: NoWatchOption = False,
    json: JsonOption = False,
) -> None:
    """End an instance: its data are destroyed, its hardware returns to the pool."""
    who = console.settings().identity
    host, _, folder = (export or "").partition(":")
    given = {
        "instance": name,
        "requested_by": who,
        "return_to_storeroom": return_to_storeroom,
        "export": {"host": host, "folder": folder} if export else None,
        "dry_run": dry_run,
    }
    request = _checked(DecommissionRequest, given)
    _run(Procedure.DECOMMISSION, request, wait=wait or dry_run, watch=not no_watch, as_json=json)


def _run(procedure: Procedure, request: procedures.Request, *, wait: bool, watch: bool, as_json: bool) -> None:
    async def work() -> tuple[str, ProcedureView, Outcome | None]:
        handle = await procedures.start(await procedures.client(), request, procedure)
        if not watch:
            return handle.id, await procedures.progress(handle), None
        view = await procedures.follow(handle, to_the_end=wait, quiet=as_json or request.dry_run)
        ended = view.waiting is None
        return handle.id, view, await procedures.outcome(handle) if ended else None

    workflow_id, view, ended = console.run_async(work())
    if ended is None:
        console.show(view, as_json, *procedures.what_next(view, workflow_id))
        if not watch and not as_json:
            console.out.print(f"Started {workflow_id}; follow it with `freehold instance watch {request.instance}`.")
        return
    console.show(ended, as_json)
    if not as_json:
        tell(ended)


def tell(ended: Outcome) -> None:
    if ended.plan is not None:
        print_plan(ended.plan, diffs=True)
        _tell_change(ended.details)
        console.out.print(f"\nThis is plan {ended.plan_hash}; nothing was touched.")
    elif ended.outcome == "active":
        console.out.print(
            f"{ended.instance} is active at {ended.endpoint}{f', {ended.reason}' if ended.reason else ''}."
        )
        _tell_change(ended.details)
        console.out.print(f"Its keys: `freehold instance credentials {ended.instance}`.")
    else:
        console.out.print(f"{ended.instance}: {ended.outcome}" + (f", {ended.reason}" if ended.reason else "") + ".")


def _tell_change(details: dict[str, Any]) -> None:
    """What a change brings and takes, and over which states it leads."""
    if "holds" in details:
        console.out.print(f"it holds: {details['holds']}")
    told = {"joins": "joins", "leaves": "leaves and is erased", "dead": "leaves unerased"}
    told |= {"disabled": "kept, disabled", "waypoints": "the way"}
    for what, words in told.items():
        if details.get(what):
            console.out.print(f"{words}: {', '.join(details[what])}")


def _scaling(name: str, by: str | None, dry_run: bool, wanted: dict[str, Any], leave: dict[str, bool]) -> ScaleRequest:
    if all(value is None for value in wanted.values()):
        options = "--tier, --capacity-gib, --requests-per-s, --web-servers, --storage-servers, --feature"
        raise BadInput(f"Say what {name} shall become with one or more of {options}.")
    given = {key: value for key, value in wanted.items() if value is not None} | leave
    given |= {"instance": name, "requested_by": by or console.settings().identity, "dry_run": dry_run}
    return _checked(ScaleRequest, given)


def _request(file: Path | None, given: dict[str, Any]) -> InstanceRequest:
    values: dict[str, Any] = {"requested_by": console.settings().identity}
    if file is not None:
        try:
            read = yaml.safe_load(file.read_text())
        except yaml.YAMLError as error:
            raise BadInput(f"{file} is neither YAML nor JSON: {error}.") from error
        if not isinstance(read, dict):
            raise BadInput(f"{file} must hold one request as a mapping of fields.")
        values |= read
    values |= {key: value for key, value in given.items() if value is not None}
    return _checked(InstanceRequest, values)


def _checked(kind: type[R], values: dict[str, Any]) -> R:
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise BadInput(f"{in_words(error)}.") from error
