"""`freehold inventory`: what stands in the hall, how it is cabled, who holds it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from freehold.cli import console
from freehold.cli.console import JsonOption
from freehold.errors import BadInput, NotFound
from freehold.inventory import Inventory, load_hall
from freehold.inventory.handover import load_host_keys
from freehold.models.hall import Device, DeviceKind
from freehold.models.plan import Hold, HoldKind
from freehold.planning.snapshot import InventorySnapshot
from freehold.secrets import FileSecrets

app = typer.Typer(no_args_is_help=True, help="What stands in the hall, how it is cabled, and who holds it.")

SiteOption = Annotated[str | None, typer.Option("--site", help="Only this site.")]


def _inventory() -> Inventory:
    return Inventory(console.settings().database_url)


@app.command("import")
def import_(
    path: Annotated[Path, typer.Argument(help="A hand-over folder, or a hall file when the host keys are known.")],
    json: JsonOption = False,
) -> None:
    """Bring a hall in; repeating it changes only what differs."""
    inventory = _inventory()
    if path.is_dir():
        counts = inventory.import_bundle(path, FileSecrets(console.settings().secrets_file))
    else:
        hall = load_hall(path)
        beside = path.with_name("known_hosts")
        counts = inventory.import_hall(hall, load_host_keys(beside, hall) if beside.exists() else {})
    if json:
        console.print_json(counts)
        return
    console.out.print(
        f"{inventory.hall().name}: {counts.added} added, {counts.changed} changed, {counts.removed} removed, "
        f"{counts.unchanged} as before."
    )


@app.command("list")
def list_(
    site: SiteOption = None,
    kind: Annotated[DeviceKind | None, typer.Option("--kind", help="Only devices of this kind.")] = None,
    free: Annotated[bool, typer.Option("--free", help="Only servers that nobody holds.")] = False,
    json: JsonOption = False,
) -> None:
    """All devices: where they are, whether they are on, who holds them."""
    snapshot = _inventory().snapshot(site)
    _check_site(site, snapshot)
    found = [d for d in snapshot.devices if kind in (None, d.kind)]
    if free:
        found = [d for d in found if d.kind is DeviceKind.SERVER and not _holder(d, snapshot)]
    if json:
        console.print_json([{**d.model_dump(mode="json"), "held_by": _holder(d, snapshot)} for d in found])
        return
    console.print_rows(
        ["device", "kind", "site", "place", "power", "management", "held by"],
        [(d.name, d.kind, d.site, _place(d), _power(d), d.management.address, _owner(d, snapshot)) for d in found],
        empty="No device is like that.",
    )


@app.command()
def show(
    device: Annotated[str, typer.Argument(help="Name of a device.")],
    json: JsonOption = False,
) -> None:
    """One device: hardware, ports, where its cables lead, who holds it."""
    snapshot = _inventory().snapshot()
    found = snapshot.device.get(device)
    if found is None:
        raise NotFound(f"device {device!r} is not in the inventory; `freehold inventory list` shows all.")
    if json:
        console.print_json({**found.model_dump(mode="json"), "held_by": _holder(found, snapshot)})
        return
    console.out.print(
        f"[bold]{found.name}[/]: {found.kind} ({found.model}), serial {found.serial}, {_place(found)}, "
        f"{_power(found)}, feeds {', '.join(found.feeds) or 'unknown'}"
    )
    if found.out_of_use:
        console.out.print(f"Out of use: {found.out_of_use}", markup=False)
    if found.kind is DeviceKind.SERVER:
        disks = ", ".join(f"{d.name} {d.size_gib} GiB" for d in found.disks) or "no data disk"
        console.out.print(f"{found.cores} cores, {found.memory_gib} GiB of memory, {disks}")
    console.out.print(f"Held by {_owner(found, snapshot) or 'nobody'}.")
    console.print_rows(
        ["port", "MAC", "leads to", "cable", "held by"],
        [_port_row(found, port, snapshot) for port in found.port_names()],
        empty="It has no ports.",
    )


@app.command()
def cables(site: SiteOption = None, json: JsonOption = False) -> None:
    """All cables and what is at their ends."""
    snapshot = _inventory().snapshot(site)
    _check_site(site, snapshot)
    if json:
        console.print_json(snapshot.cables)
        return
    console.print_rows(
        ["cable", "from", "to", "type", "length", "colour"],
        [(c.label, c.a, c.b, c.type, f"{c.length_m:g} m", c.colour) for c in snapshot.cables],
        empty="No cable is there.",
    )


@app.command("out-of-use")
def out_of_use(
    thing: Annotated[str, typer.Argument(metavar="SERVER|SWITCH/PORT", help="srv-10, or leaf1/swp7")],
    why: Annotated[str, typer.Option("--why", help="What is wrong with it.")],
) -> None:
    """Let no plan take a server or a switch port; what uses it now goes on."""
    if not why.strip():
        raise BadInput("--why: say what is wrong with it")
    new = _inventory().set_out_of_use({thing: why.strip()[:200]})
    console.say(f"{thing} is out of use{'' if new else ', as before'}: {why.strip()}")


@app.command("in-use")
def in_use(thing: Annotated[str, typer.Argument(metavar="SERVER|SWITCH/PORT", help="srv-10, or leaf1/swp7")]) -> None:
    """Let plans take a server or a switch port again, after it was repaired."""
    new = _inventory().set_out_of_use({thing: ""})
    console.say(f"{thing} can be used{' again' if new else ', as before'}.")


@app.command()
def erased(
    server: Annotated[str, typer.Argument(help="A server that died while it served an instance.")],
    how: Annotated[str, typer.Option("--how", help="How its disks were erased or replaced; kept as evidence.")],
) -> None:
    """Write down that the disks of a server hold nobody's data any more, after it died with them."""
    if not how.strip():
        raise BadInput("--how: say how its disks were erased, or what replaced them")
    record = _inventory().set_erased(server, how.strip()[:200], console.settings().identity)
    console.say(
        f"Kept as evidence of {record.instance}. Once {server} is repaired: `freehold inventory in-use {server}`."
    )


@app.command()
def holds(
    instance: Annotated[str | None, typer.Argument(help="Only what this instance holds.")] = None,
    json: JsonOption = False,
) -> None:
    """What is reserved, and for which instance."""
    found = _inventory().holds(instance)
    if json:
        console.print_json([{**_plain(hold), "instance": who} for hold, who in found])
        return
    console.print_rows(
        ["instance", "kind", "what"],
        sorted((who, hold.kind.value, hold.key) for hold, who in found),
        empty=f"{instance} holds nothing." if instance else "Nothing is held.",
    )
    if found:
        counts = Counter(hold.kind.value for hold, _ in found)
        console.out.print(", ".join(f"{n} {kind}" for kind, n in sorted(counts.items())))


def _plain(hold: Hold) -> dict[str, str]:
    return {"kind": hold.kind.value, "key": hold.key}


def _check_site(site: str | None, snapshot: InventorySnapshot) -> None:
    if site is not None and site not in (names := [s.name for s in snapshot.sites]):
        raise BadInput(f"site {site!r} is not known; it is one of: {', '.join(names)}.")


def _holder(device: Device, snapshot: InventorySnapshot) -> str | None:
    return snapshot.holder(HoldKind.SERVER, device.name)


def _owner(device: Device, snapshot: InventorySnapshot) -> str | None:
    return f"customer {device.customer}" if device.customer else _holder(device, snapshot)


def _place(device: Device) -> str:
    if device.position:
        return f"{device.position.rack} unit {device.position.unit}"
    return "at the customer's" if device.kind is DeviceKind.HOST else "storeroom"


def _power(device: Device) -> str:
    return "out of use" if device.out_of_use else "on" if device.powered else "off"


def _port_row(device: Device, port: str, snapshot: InventorySnapshot) -> tuple[object, ...]:
    mac = next((n.mac for n in device.nics if n.name == port), "")
    end, cable = snapshot.far_end(device.name, port), snapshot.cable_at.get((device.name, port))
    switch_port = (device.name, port) if device.kind is DeviceKind.SWITCH else end
    held = snapshot.holder(HoldKind.PORT, "/".join(switch_port)) if switch_port else None
    if why := device.why_unused(port):
        held = f"out of use: {why}"
    return port, mac, "/".join(end) if end else "", cable.label if cable else "", held
