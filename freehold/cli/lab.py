"""`freehold lab`: a data centre in one machine, and the hands in it."""

from __future__ import annotations

import subprocess
import sys
import time
from ipaddress import IPv4Network
from pathlib import Path
from typing import Annotated

import typer

from freehold.cli import console
from freehold.cli.confirm import serve
from freehold.errors import BadInput
from freehold.lab import DeviceStatus, Lab, PowerAction, fleet
from freehold.lab.check import Finding, check
from freehold.lab.commands import LabError
from freehold.lab.halls import rebase
from freehold.lab.hands import LabInReach
from freehold.lab.progress import watched
from freehold.lab.technician import Mistake, Technician
from freehold.models.hall import load_hall

app = typer.Typer(no_args_is_help=True, help="A data centre in one machine: build it, switch it, cable it.")

NameOption = Annotated[str, typer.Option("--name", help="Which lab, when several stand side by side.")]
DEFAULT_HALL = Path(__file__).parents[2] / "halls" / "lab.yaml"


@app.command()
def up(
    hall: Annotated[Path, typer.Option("--hall", help="The hall to build, a YAML file.")] = DEFAULT_HALL,
    name: NameOption = "lab",
    management: Annotated[
        str | None, typer.Option("--management", metavar="PREFIX", help="Move the management network here.")
    ] = None,
    site: Annotated[
        list[str] | None, typer.Option("--site", help="Also switch on everything mounted at this site.")
    ] = None,
) -> None:
    """Build the hall and boot what is on; repeating does only what is missing."""
    described = load_hall(hall)
    if management is not None:
        described = rebase(described, _prefix(management))
    missing = [finding for finding in check(raise_limits=True) if not finding.ok]
    if missing:
        raise LabError(f"{missing[0].what}: {missing[0].do}; `freehold lab check` shows all")
    lab, begin = Lab(described, name), time.monotonic()
    sites = {s.name for s in described.sites}
    for unknown in set(site or ()) - sites:
        raise BadInput(f"site {unknown!r}: is not one of {', '.join(sorted(sites))}")
    wanted = [d.name for d in described.devices if d.powered or (d.position and d.site in (site or ()))]
    with watched(console.err) as progress:
        booted = lab.up(wanted, progress)
    what = f"{len(booted)} machines booted" if booted else "nothing to do, all machines run"
    console.say(f"Lab {name} is up: {what}, {time.monotonic() - begin:.1f} s. For the operator: {lab.handover}")


@app.command()
def down(
    name: NameOption = "lab",
    every: Annotated[bool, typer.Option("--all", help="All labs of this user, also damaged ones.")] = False,
) -> None:
    """Remove the lab and look whether anything is left; exit code 1 if so."""
    begin = time.monotonic()
    names = fleet.names() if every else [name]
    left = [f"{lab}: {found}" for lab in names for found in fleet.take_down_named(lab)]
    for line in left:
        console.say(f"left: {line}")
    if left:
        raise typer.Exit(1)
    said = ", ".join(names) if names else "no lab"
    console.say(f"Down: {said}, {time.monotonic() - begin:.1f} s. Nothing is left.")


@app.command()
def status(name: NameOption = "lab", as_json: console.JsonOption = False) -> None:
    """Show devices, power and cables."""
    state = Lab.open(name).status()
    if as_json:
        console.print_json(state)
        return
    columns = ["device", "kind", "rack/unit", "power", "boot s", "management", "cables"]
    console.print_rows(columns, [_row(d) for d in state.devices], empty="The hall has no devices.", spare=["boot s"])


def _row(device: DeviceStatus) -> list[object]:
    place = f"{device.position.rack}/{device.position.unit}" if device.position else "storeroom"
    power = "on" if device.running else "off"
    cables = " ".join(device.cables[:4]) + (f" +{len(device.cables) - 4}" if len(device.cables) > 4 else "")
    return [device.name, device.kind, place, power, device.boot_seconds, device.management, cables]


@app.command()
def power(
    action: Annotated[PowerAction, typer.Argument(help="on, off (button), cut (plug pulled), reset")],
    devices: Annotated[list[str], typer.Argument(help="one or more devices, e.g. srv-3")],
    name: NameOption = "lab",
) -> None:
    """Switch devices on or off, cut their power, or reset them."""
    lab = Lab.open(name)
    with watched(console.err) as progress:
        lab.power_many(devices, action, progress)


@app.command()
def cable(
    a: Annotated[str, typer.Argument(help="one end, e.g. leaf1/swp7")],
    b: Annotated[str, typer.Argument(help="the other end, e.g. srv-3/eth1")],
    label: Annotated[str | None, typer.Option("--label", help="What stands on the cable.")] = None,
    name: NameOption = "lab",
) -> None:
    """Plug a cable between two free ports, right or wrong."""
    plugged = Lab.open(name).plug(a, b, label)
    console.say(f"Plugged cable {plugged.label}: {plugged.a} - {plugged.b}.")


@app.command()
def uncable(
    port: Annotated[str | None, typer.Argument(help="either end, e.g. leaf1/swp7")] = None,
    label: Annotated[str | None, typer.Option("--label", help="The cable's label instead.")] = None,
    name: NameOption = "lab",
) -> None:
    """Pull a cable at both of its ends."""
    if (port is None) == (label is None):
        raise BadInput("say which cable: either a port or --label")
    pulled = Lab.open(name).unplug(port, label)
    console.say(f"Pulled cable {pulled.label}: {pulled.a} - {pulled.b}.")


@app.command()
def technician(
    run: Annotated[str | None, typer.Argument(metavar="[RUN]", help="Only this run's checklist.")] = None,
    mistakes: Annotated[
        str, typer.Option("--mistakes", metavar="LIST", help=f"To make on the way: {', '.join(Mistake)}.")
    ] = "",
    broken: Annotated[
        str, typer.Option("--broken", metavar="LIST", help="Switch ports and servers that are: leaf1/swp7,srv-10.")
    ] = "",
    walk: Annotated[float, typer.Option("--walk", metavar="SECONDS", help="From one item to the next.")] = 0.5,
    patience: Annotated[float, typer.Option(metavar="SECONDS", help="Go home when nothing was open so long.")] = 60,
    name: NameOption = "lab",
) -> None:
    """Play the technician: do what open checklists say, confirm it, and correct what is asked for again."""
    found = [thing.strip() for thing in broken.split(",") if thing.strip()]
    hands = Technician(LabInReach(Lab.open(name)), _mistakes(mistakes), walk, console.say, found)
    worked = console.run_async(serve(hands, "technician", patience, run))
    console.say(f"Worked on {', '.join(worked) or 'nothing'}.")


def _mistakes(text: str) -> list[Mistake]:
    try:
        return [Mistake(word.strip()) for word in text.split(",") if word.strip()]
    except ValueError as error:
        raise BadInput(f"--mistakes {text!r}: each must be one of {', '.join(Mistake)}") from error


@app.command("console")
def show_console(
    device: str,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines appear.")] = False,
    name: NameOption = "lab",
) -> None:
    """Show what a machine printed while it booted and ran."""
    file = Lab.open(name).machine(device).console
    if not file.exists():
        raise LabError(f"{device} was never switched on, so it printed nothing")
    with file.open(errors="replace") as lines:
        while True:
            sys.stdout.write(lines.read())
            sys.stdout.flush()
            if not follow:
                return
            time.sleep(0.2)


@app.command()
def shell(
    device: str,
    command: Annotated[list[str] | None, typer.Argument(help="after --, default: a shell")] = None,
    name: NameOption = "lab",
) -> None:
    """Enter a machine as root, past SSH. For debugging the lab: Freehold itself never does this."""
    entry = Lab.open(name).machine(device).entry()
    raise typer.Exit(subprocess.run([*entry, *(command or ["bash", "-l"])], check=False).returncode)


@app.command("check")
def check_host(as_json: console.JsonOption = False) -> None:
    """Say which kernel feature, right or limit the lab needs and does not have; exit code 1 if any is missing."""
    findings = check(raise_limits=True)
    if as_json:
        console.print_json(findings)
    else:
        spare = ["what to do"] if all(f.ok for f in findings) else []
        console.print_rows(["", "needed", "for", "what to do"], [_finding(f) for f in findings], empty="", spare=spare)
    if not all(f.ok for f in findings):
        raise typer.Exit(1)


def _finding(finding: Finding) -> list[object]:
    return ["ok" if finding.ok else "missing", finding.what, finding.why, "" if finding.ok else finding.do]


def _prefix(text: str) -> IPv4Network:
    try:
        return IPv4Network(text)
    except ValueError as error:
        raise BadInput(f"--management {text!r}: {error}; write a prefix, e.g. 198.18.0.0/24") from error


def run() -> None:
    """`python -m freehold.cli.lab`."""
    try:
        app()
    except Exception as error:
        console.fail(error)


if __name__ == "__main__":
    run()
