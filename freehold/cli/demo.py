"""`freehold demo`: the main job from nothing to an endpoint that answers, in a lab on this computer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Network
from shutil import rmtree
from typing import Annotated

import typer

from freehold.cli import console, procedures
from freehold.cli.confirm import serve
from freehold.cli.console import JsonOption
from freehold.cli.count import print_result
from freehold.cli.lab import DEFAULT_HALL
from freehold.cli.life import Life
from freehold.errors import ProcedureFailed
from freehold.inventory import Inventory
from freehold.lab import Lab, fleet
from freehold.lab.check import check
from freehold.lab.client import ClientResult, CountingClient, PhaseResult
from freehold.lab.commands import LabError
from freehold.lab.halls import part, rebase
from freehold.lab.hands import LabInReach
from freehold.lab.image import base_image
from freehold.lab.progress import watched
from freehold.lab.technician import Mistake, Technician
from freehold.models.base import Choice, Model
from freehold.models.hall import DeviceKind, Hall, load_hall
from freehold.models.installation import Reissue
from freehold.models.instance import EvidenceKind
from freehold.models.procedure import ProcedureView
from freehold.models.request import InstanceRequest
from freehold.secrets import FileSecrets
from freehold.settings import Settings, load_settings
from freehold.stack import control
from freehold.stack.ports import free_ports, is_free

app = typer.Typer()

LAB = "demo"
MANAGEMENT = IPv4Network("198.18.128.0/24")
"""Beside the default lab's network, so that the demo disturbs no lab that stands already."""

INSTANCE, CUSTOMER, SITE = "acme-1", "acme", "north"
REQUESTER, APPROVER, TECHNICIAN = "olivia", "amir", "tom"
MISTAKES = (Mistake.SWAP, Mistake.FORGET)
WALK_S = 0.5
HANDS_AT_MOST_S = 240


class Source(Choice):
    """Where the hardware is when the customer asks."""

    STOREROOM = "storeroom"
    RACKS = "racks"


class Took(Model):
    name: str
    seconds: float


class DemoResult(Model):
    """What the demo ends with: what was observed on the customers' own hosts, and in the hall."""

    endpoint: str
    customer_ok: bool
    stranger_refused: bool
    miswires_made: tuple[str, ...] = ()
    """What the technician plugged wrongly or not at all..."""
    miswires_found: tuple[str, ...] = ()
    """...and what machines found of it."""
    items_reissued: int = 0
    steps: tuple[Took, ...]
    seconds: float

    @property
    def good(self) -> bool:
        return self.customer_ok and self.stranger_refused and self.miswires_found == self.miswires_made


class LifeResult(DemoResult):
    """...and what the customer's counting client has to say of the whole life."""

    client: ClientResult
    phases: tuple[PhaseResult, ...]

    @property
    def good(self) -> bool:
        return super().good and self.client.clean


class Clock:
    """Says what happens and how long each step took."""

    def __init__(self) -> None:
        self.steps: list[Took] = []
        self._began = time.monotonic()

    @contextmanager
    def step(self, name: str, why: str) -> Iterator[None]:
        console.err.print(f"[bold cyan]→[/] [bold]{name}[/]: {why}")
        began = time.monotonic()
        yield
        self.steps.append(Took(name=name, seconds=round(time.monotonic() - began, 2)))
        console.err.print(f"  [dim]{self.steps[-1].seconds:.1f} s[/]")

    def add(self, name: str, seconds: float) -> None:
        self.steps.append(Took(name=name, seconds=round(seconds, 2)))

    @property
    def seconds(self) -> float:
        return round(time.monotonic() - self._began, 2)


@app.command()
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave the lab and the stack running to play with.")] = False,
    source: Annotated[
        Source, typer.Option("--from", help="Where the server is: people install it, or it is mounted already.")
    ] = Source.STOREROOM,
    full: Annotated[
        bool, typer.Option("--full", help="The whole life under load: grown, shrunk, given back; the customer counts.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Bring up a small data centre, provision one private S3 endpoint in it, prove it, and clean up."""
    clock, settings = Clock(), _own_settings()
    try:
        _clean(settings)
        result = _demo(settings, clock, Source.RACKS if full else source, full)
    finally:
        if keep:
            _say_how_to_go_on(settings)
        else:
            with clock.step("clean up", "the stack and the lab go, nothing stays"):
                left = _clean(settings)
    if not keep and left:
        raise LabError(f"the lab left behind: {', '.join(left)}")
    result = result.model_copy(update={"steps": tuple(clock.steps), "seconds": clock.seconds})
    console.show(result, json)
    if not json:
        _print(result)
    if not result.good:
        raise typer.Exit(1)


def _hall(source: Source) -> Hall:
    """The lab's hall; from the storeroom there is no other server, so that people must install one."""
    hall = rebase(load_hall(DEFAULT_HALL), MANAGEMENT)
    if source is Source.RACKS:
        return hall
    here = [d for d in hall.devices if d.site == SITE]
    stored = [d.name for d in here if d.kind is DeviceKind.SERVER and d.position is None]
    return part(hall, [d.name for d in here if d.kind is not DeviceKind.SERVER], stored)


def _demo(settings: Settings, clock: Clock, source: Source, full: bool) -> DemoResult:
    with clock.step("check", "what this computer needs to carry a data centre"):
        missing = [finding for finding in check(raise_limits=True) if not finding.ok]
        if missing:
            raise LabError(f"{missing[0].what}: {missing[0].do}; `freehold lab check` shows all")
    with clock.step("base image", "Debian 13 with the packages of all roles, built once and cached"):
        base_image(console.say)
    lab = Lab(_hall(source), LAB)
    what = "two racks, two leaf switches, servers that are on and two customers' hosts boot"
    with clock.step("lab", what), watched(console.err) as progress:
        lab.up(progress=progress)
    with clock.step("inventory", "import what the hall's installers handed over: devices, cables, host keys"):
        settings.home.mkdir(parents=True, exist_ok=True)
        inventory = Inventory(settings.database_url)
        inventory.import_bundle(lab.handover, FileSecrets(settings.secrets_file))
        inventory.close()
    with clock.step("stack", "Temporal, Prometheus and the workers start"):
        control.up(settings, console.say)
    began = time.monotonic()
    technician = Technician(LabInReach(lab), MISTAKES, WALK_S, lambda words: console.say(f"  {TECHNICIAN}: {words}"))
    view = _provision(settings, technician if source is Source.STOREROOM else None)
    clock.add(f"provision {INSTANCE}", time.monotonic() - began)
    for step in view.steps:
        clock.add(f"provision: {step.name}", step.seconds or 0.0)
    observed = _observed(settings).model_copy(update={"miswires_made": tuple(sorted(technician.made))})
    return _live(settings, clock, lab, observed) if full else observed


def _live(settings: Settings, clock: Clock, lab: Lab, begun: DemoResult) -> LifeResult:
    """The rest of the instance's life, judged by its customer."""
    inventory = Inventory(settings.database_url)
    hands = Technician(LabInReach(lab), (), WALK_S, lambda words: console.say(f"  {TECHNICIAN}: {words}"))
    client = CountingClient.of(inventory, FileSecrets(settings.secrets_file), INSTANCE)
    try:
        with _as(settings), client:
            life = Life(INSTANCE, REQUESTER, APPROVER, TECHNICIAN, hands, inventory, client, clock.add)
            judged = console.run_async(life.live())
            console.run_async(life.end())
    finally:
        inventory.close()
    return LifeResult(**{**dict(begun), "client": judged, "phases": judged.phases})


def _provision(settings: Settings, technician: Technician | None) -> ProcedureView:
    """As people would: one asks, another approves after reading the plan, a third works in the hall."""
    console.err.print(
        f"[bold cyan]→[/] [bold]provision[/]: {REQUESTER} asks for {INSTANCE}, {APPROVER} approves the plan"
    )
    request = InstanceRequest(instance=INSTANCE, customer=CUSTOMER, site=SITE, requested_by=REQUESTER)

    async def work() -> ProcedureView:
        handle = await procedures.start(await procedures.client(), request)
        waiting = await procedures.follow(handle, to_the_end=False, quiet=not console.err.is_terminal)
        await procedures.approve_plan(handle.id, waiting, APPROVER, "read the plan")
        hands = None if technician is None else asyncio.create_task(_work(technician))
        ended = await procedures.follow(handle, to_the_end=False, quiet=not console.err.is_terminal)
        if hands is not None:
            hands.cancel() if ended.outcome != "active" else await hands
        if ended.outcome != "active":
            raise ProcedureFailed(f"{handle.id} is not active: {procedures.why(ended)}")
        return ended

    with _as(settings):
        return console.run_async(work())


async def _work(technician: Technician) -> None:
    """Swaps two cables, forgets one, and corrects what is asked for again."""
    await serve(technician, TECHNICIAN, HANDS_AT_MOST_S, f"install-{INSTANCE}")


def _observed(settings: Settings) -> DemoResult:
    inventory = Inventory(settings.database_url)
    try:
        evidence = inventory.evidence(INSTANCE)
        endpoint = inventory.instance(INSTANCE).endpoint_url
    finally:
        inventory.close()
    served = [e.holds for e in evidence if e.kind is EvidenceKind.SERVICE]
    refused = [e.holds for e in evidence if e.kind is EvidenceKind.ISOLATION]
    again = [
        Reissue.model_validate(r)
        for e in evidence
        if e.kind is EvidenceKind.CABLING
        for r in e.observed.get("reissued", [])
    ]
    return DemoResult(
        endpoint=endpoint,
        customer_ok=bool(served) and all(served),
        stranger_refused=bool(refused) and all(refused),
        miswires_found=tuple(sorted(r.miswire for r in again if r.miswire)),
        items_reissued=len(again),
        steps=(),
        seconds=0,
    )


def _own_settings() -> Settings:
    """A home of the demo's own below the usual one; ports that are taken are replaced by free ones."""
    usual = console.settings()
    free = {name: port if is_free(port) else free_ports(1)[0] for name, port in usual.ports().items()}
    return load_settings(home=usual.home / "demo", database_url="", instance_scrape_interval_s=5, **free)


@contextmanager
def _as(settings: Settings) -> Iterator[None]:
    """Let the shared commands work with the demo's settings."""
    console.configure(
        debug=console.debugging(), home=settings.home, database_url=settings.database_url, **settings.ports()
    )
    yield


def _clean(settings: Settings) -> list[str]:
    """No stack, no lab, no files of an earlier or of this demo; returns what could not be removed."""
    control.down(settings, lambda _: None)
    left = fleet.take_down_named(LAB)
    rmtree(settings.home, ignore_errors=True)
    return left


def _say_how_to_go_on(settings: Settings) -> None:
    ports = " ".join(f"FREEHOLD_{name.upper()}={port}" for name, port in settings.ports().items())
    console.say(f"It keeps running. To look around:\n  export FREEHOLD_HOME={settings.home} {ports}")
    console.say("  freehold instance show acme-1; freehold evidence acme-1; freehold lab status --name demo")
    console.say("and when you are done:\n  freehold down; freehold lab down --name demo")


def _print(result: DemoResult) -> None:
    console.print_rows(["step", "seconds"], [(s.name, f"{s.seconds:.1f}") for s in result.steps], empty="")
    told = "[green]yes[/]" if result.customer_ok else "[red]NO[/]"
    refused = "[green]refused on every port[/]" if result.stranger_refused else "[red]NOT REFUSED[/]"
    console.out.print(f"\nendpoint          [bold]{result.endpoint}[/]")
    console.out.print(f"customer's round trip over S3: {told}")
    console.out.print(f"another customer's host: {refused}")
    if result.miswires_made:
        console.out.print(f"mistakes made in the hall: {'; '.join(result.miswires_made)}")
        console.out.print(f"found by machines:         {'; '.join(result.miswires_found)}")
        console.out.print(f"items issued again:        {result.items_reissued}")
    if isinstance(result, LifeResult):
        print_result(result.client)
    console.out.print(f"All of it took {result.seconds:.0f} s.")
