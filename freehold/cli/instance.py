"""`freehold instance`: ask for an instance, see it, use it, end it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from pydantic import ValidationError

from freehold.cli import console, procedures, starts
from freehold.cli.console import JsonOption
from freehold.cli.plans import print_plan
from freehold.errors import BadInput
from freehold.inventory import Inventory
from freehold.models.instance import Instance, InstanceState
from freehold.models.plan import Plan
from freehold.models.procedure import Outcome, ProcedureView
from freehold.models.scaling import Contract, Mode
from freehold.models.wording import in_words
from freehold.secrets import FileSecrets, resolve
from freehold.services import service

app = typer.Typer(no_args_is_help=True, help="Private instances: ask for one, see it, use it, end it.")
app.add_typer(starts.app)


@app.command()
def watch(
    name: str,
    decommission: Annotated[bool, typer.Option("--decommission", help="Watch its end, also afterwards.")] = False,
    json: JsonOption = False,
) -> None:
    """Follow the procedure that works on an instance until it ends; where none does, see how it was provisioned."""
    lease = _inventory().lease(name)
    workflow_id = f"decommission-{name}" if decommission else lease.workflow_id if lease else f"provision-{name}"

    async def follow() -> tuple[ProcedureView, Outcome]:
        handle = (await procedures.client()).get_workflow_handle(workflow_id, result_type=Outcome)
        return await procedures.follow(handle, to_the_end=True, quiet=json), await procedures.outcome(handle)

    view, ended = console.run_async(follow())
    console.show(view, json)
    if not json:
        starts.tell(ended)


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
def scaling(
    name: str,
    mode: Annotated[Mode | None, typer.Option(help="What may follow from a decision by itself.")] = None,
    least_capacity_gib: Annotated[int | None, typer.Option(min=1, help="Never less.")] = None,
    most_capacity_gib: Annotated[int | None, typer.Option(min=1, help="Never more.")] = None,
    tier: Annotated[list[str] | None, typer.Option(help="An allowed tier; may be repeated. Else all.")] = None,
    most_servers: Annotated[int | None, typer.Option(min=1, help="Never more servers.")] = None,
    spend: Annotated[float | None, typer.Option(min=0, help="Never more a month, in the rules' currency.")] = None,
    json: JsonOption = False,
) -> None:
    """What the schedule may do with an instance, as agreed with its customer. Without options: what was agreed."""
    inventory = _inventory()
    given = {
        "mode": mode,
        "least_capacity_gib": least_capacity_gib,
        "most_capacity_gib": most_capacity_gib,
        "tiers": tier,
        "most_servers": most_servers,
        "most_spend": spend,
    }
    wanted = {field: value for field, value in given.items() if value is not None}
    agreed = inventory.contract(name)
    if wanted:
        try:
            agreed = Contract.model_validate(agreed.model_dump() | wanted)
        except ValidationError as error:
            raise BadInput(f"{in_words(error)}.") from error
        inventory.set_contract(name, agreed)
    console.show(agreed, json, *_contract(name, agreed))


def _contract(name: str, agreed: Contract) -> list[str]:
    limits = [
        f"{agreed.least_capacity_gib} GiB at least",
        f"{agreed.most_capacity_gib} GiB at most" if agreed.most_capacity_gib else "",
        f"tiers {', '.join(agreed.tiers)}" if agreed.tiers else "",
        f"{agreed.most_servers} servers at most" if agreed.most_servers else "",
        f"{agreed.most_spend:g} a month at most" if agreed.most_spend is not None else "",
    ]
    lines = [f"{name}: mode {agreed.mode}, {MODES[agreed.mode]}.", f"Limits: {', '.join(filter(None, limits))}."]
    if agreed.mode is Mode.AUTOMATIC:
        lines.append("Whether it needs no approval then is said by the rules: `waive_scheduled` in policies.yaml.")
    return lines


MODES = {
    Mode.OFF: "the schedule does nothing",
    Mode.RECOMMEND: "the schedule recommends, people start",
    Mode.APPROVE: "the schedule starts, people approve",
    Mode.AUTOMATIC: "the schedule starts, within these limits",
}


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
