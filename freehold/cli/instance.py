"""`freehold instance`: ask for an instance, see it, use it, end it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
import yaml
from pydantic import ValidationError

from freehold.cli import console, procedures
from freehold.cli.console import JsonOption
from freehold.errors import BadInput
from freehold.inventory import Inventory
from freehold.models.instance import Instance, InstanceState
from freehold.models.plan import DeviceDiff, Plan
from freehold.models.procedure import Outcome, ProcedureView
from freehold.models.request import DecommissionRequest, InstanceRequest
from freehold.models.wording import in_words
from freehold.secrets import FileSecrets, resolve
from freehold.services import service

app = typer.Typer(no_args_is_help=True, help="Private instances: ask for one, see it, use it, end it.")

WaitOption = Annotated[bool, typer.Option("--wait", help="Stay until it ends, also while it waits for people.")]
NoWatchOption = Annotated[bool, typer.Option("--no-watch", help="Start it and return at once.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show the plan with exact diffs; touch nothing.")]

R = TypeVar("R", InstanceRequest, DecommissionRequest)
LINE_STYLES = {"$": "bold", "+": "green", "-": "red", "@": "cyan"}


@app.command()
def provision(
    name: Annotated[str | None, typer.Argument(help="Name of the new instance.")] = None,
    customer: Annotated[str | None, typer.Option(help="Who it is for.")] = None,
    site: Annotated[str | None, typer.Option(help="Where.")] = None,
    tier: Annotated[str | None, typer.Option(help="compact, ...")] = None,
    capacity_gib: Annotated[int | None, typer.Option("--capacity", metavar="GIB", help="Usable space.")] = None,
    feature: Annotated[list[str] | None, typer.Option(help="A feature to switch on; may be repeated.")] = None,
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
        "features": feature or None,
        "dry_run": dry_run or None,
    }
    request = _request(file, given)
    _run(request, wait=wait or dry_run, watch=not no_watch, as_json=json)


@app.command()
def decommission(
    name: str,
    dry_run: DryRunOption = False,
    wait: WaitOption = False,
    no_watch: NoWatchOption = False,
    json: JsonOption = False,
) -> None:
    """End an instance: its data are destroyed, its hardware returns to the pool."""
    given = {"instance": name, "requested_by": console.settings().identity, "dry_run": dry_run}
    request = _checked(DecommissionRequest, given)
    _run(request, wait=wait or dry_run, watch=not no_watch, as_json=json)


@app.command()
def watch(
    name: str,
    decommission: Annotated[bool, typer.Option("--decommission", help="Watch its end, not its beginning.")] = False,
    json: JsonOption = False,
) -> None:
    """Follow a procedure's steps until it ends."""
    workflow_id = f"{'decommission' if decommission else 'provision'}-{name}"

    async def follow() -> tuple[ProcedureView, Outcome]:
        handle = (await procedures.client()).get_workflow_handle(workflow_id, result_type=Outcome)
        return await procedures.follow(handle, to_the_end=True, quiet=json), await procedures.outcome(handle)

    view, ended = console.run_async(follow())
    console.show(view, json)
    if not json:
        _tell(ended)


@app.command("list")
def list_(
    gone: Annotated[bool, typer.Option("--gone", help="Also those that were decommissioned.")] = False,
    json: JsonOption = False,
) -> None:
    """All instances."""
    found = [i for i in _inventory().instances() if gone or i.state is not InstanceState.GONE]
    if json:
        console.print_json([_summary(i) for i in found])
        return
    console.print_rows(
        ["instance", "customer", "site", "service", "tier", "state", "endpoint", "servers"],
        [(i.name, i.customer, i.site, i.service, i.tier, i.state, i.endpoint_url, _servers(i.plan)) for i in found],
        empty="There is no instance yet; `freehold instance provision NAME --customer C --site S` makes one.",
        spare=("service", "servers", "site"),
    )


@app.command()
def show(name: str, json: JsonOption = False) -> None:
    """One instance: where it runs, its networks, its endpoint, what was proven."""
    inventory = _inventory()
    instance = inventory.instance(name)
    evidence = inventory.evidence(name)
    if json:
        console.print_json({**_summary(instance), "plan": instance.plan, "evidence": [e.id for e in evidence]})
        return
    console.out.print(f"[bold]{instance.name}[/] of {instance.customer} at {instance.site}: {instance.state}")
    console.out.print(f"endpoint {instance.endpoint_url} ({instance.plan.endpoint.name})")
    print_plan(instance.plan)
    console.print_rows(
        ["claim", "holds", "at"],
        [(e.claim, "yes" if e.holds else "NO", f"{e.at:%Y-%m-%d %H:%M:%S}") for e in evidence],
        title="\nevidence",
        empty="No evidence is kept yet.",
    )


@app.command()
def credentials(
    name: str,
    output: Annotated[Path | None, typer.Option(help="Write a file of mode 0600 instead of the terminal.")] = None,
    json: JsonOption = False,
) -> None:
    """What the customer needs to use the instance: endpoint, keys, certificate of the authority."""
    settings = console.settings()
    instance = _inventory().instance(name)
    if instance.state is not InstanceState.ACTIVE:
        raise BadInput(f"{name} is {instance.state}; only an active instance has credentials.")
    secrets = FileSecrets(settings.secrets_file)
    values = {k: resolve(v, secrets) for k, v in service(instance.service).credentials(instance.plan).items()}
    if output is not None:
        _write_private(output, values)
        console.say(f"Written to {output}, readable by you only.")
    elif json:
        console.print_json(values)
    else:
        for key, value in values.items():
            console.out.print(f"[bold]{key}[/]: {value}", soft_wrap=True)


def print_plan(plan: Plan, diffs: bool = False) -> None:
    """The plan as tables, and on demand every device's exact change."""
    rows: list[tuple[object, ...]] = [
        (s.server, f"{s.rack} unit {s.unit}", ", ".join(s.feeds), ", ".join(s.roles), ", ".join(s.disks))
        for s in plan.servers
    ]
    console.print_rows(["server", "rack", "feeds", "roles", "disks"], rows, title="\nservers", empty="")
    console.print_rows(
        ["network", "VLAN", "prefix"],
        [(n.purpose, n.vlan, n.prefix) for n in plan.networks],
        title="\nnetworks",
        empty="",
    )
    console.print_rows(
        ["switch", "port", "becomes", "cable"],
        [
            (
                n.switch,
                n.switch_port,
                f"access, VLAN {net.vlan}" if (net := plan.network(n.network)) else "",
                n.cable.label,
            )
            for s in plan.servers
            for n in s.nics
        ],
        title="\nports",
        empty="",
    )
    for change in plan.diffs if diffs else ():
        _print_change(change)


def _print_change(change: DeviceDiff) -> None:
    """Lines are left whole and without a frame, so that they can be copied, searched and piped."""
    console.out.print(f"\nchanges on {change.device}", style="italic")
    for line in [*(f"$ {command}" for command in change.commands), *change.diff.splitlines()]:
        console.out.print(line, style=LINE_STYLES.get(line[:1], ""), markup=False, soft_wrap=True)


def _run(request: InstanceRequest | DecommissionRequest, *, wait: bool, watch: bool, as_json: bool) -> None:
    async def work() -> tuple[str, ProcedureView, Outcome | None]:
        handle = await procedures.start(await procedures.client(), request)
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
        _tell(ended)


def _tell(ended: Outcome) -> None:
    if ended.plan is not None:
        print_plan(ended.plan, diffs=True)
        console.out.print(f"\nThis is plan {ended.plan_hash}; nothing was touched.")
    elif ended.outcome == "active":
        console.out.print(f"{ended.instance} is active at {ended.endpoint}.")
        console.out.print(f"Its keys: `freehold instance credentials {ended.instance}`.")
    else:
        console.out.print(f"{ended.instance}: {ended.outcome}" + (f", {ended.reason}" if ended.reason else "") + ".")


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


def _summary(instance: Instance) -> dict[str, Any]:
    return {**instance.model_dump(mode="json", exclude={"plan"}), "endpoint": instance.endpoint_url}


def _servers(plan: Plan) -> str:
    return ", ".join(s.server for s in plan.servers)


def _inventory() -> Inventory:
    return Inventory(console.settings().database_url)


def _write_private(path: Path, values: dict[str, str]) -> None:
    content = yaml.safe_dump(values, sort_keys=False)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(content)
