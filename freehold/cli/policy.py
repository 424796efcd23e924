"""`freehold policy`: who must agree to what, and what is wrong with the file that says so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from freehold.cli import console
from freehold.cli.console import JsonOption
from freehold.models.policy import ASK_NOBODY, ApprovalPolicy, PolicyBook, Procedure, Receiver
from freehold.models.units import HOUR_S
from freehold.policy import Policies, read_book

app = typer.Typer(no_args_is_help=True, help="Who must agree to what.")

EVERYWHERE = ""


@app.command()
def show(
    procedure: Annotated[Procedure | None, typer.Option(help="Only this procedure.")] = None,
    json: JsonOption = False,
) -> None:
    """What follows from the rules: one row per procedure, and per service or tier that has rules of its own."""
    policies = Policies(console.settings().policies_file)
    book = policies.book()
    found = [row for row in _rows(book) if procedure in (None, row[0])]
    if json:
        rows = [
            {"procedure": p, "service": service, "tier": tier, **policy.model_dump(mode="json", exclude={"why"})}
            for p, service, tier, policy in found
        ]
        console.print_json({"file": policies.path, "policies": rows, "receivers": _receivers(book)})
        return
    columns = ["procedure", "of", "roles", "people", "within", "at lapse", "identity", "told"]
    cells = [_cells(*row) for row in found]
    title = f"Rules in {policies.path}"
    console.print_rows(columns, cells, title=title, empty="There is no such procedure.", spare=("of", "told"))
    people = [(name, *words) for name, words in _receivers(book).items()]
    console.print_rows(["receiver", "mail", "webhook"], people, empty="Nobody is told of anything.")


@app.command()
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Rules to look through before they hold.")],
) -> None:
    """Say what is wrong with a file of rules, in one sentence."""
    book = read_book(file)
    console.out.print(f"{file}: {len(book.rules)} rules and {len(book.receivers)} receivers, all in order.")


def _rows(book: PolicyBook) -> Iterator[tuple[Procedure, str, str, ApprovalPolicy]]:
    places = {(rule.service or EVERYWHERE, rule.tier or EVERYWHERE): None for rule in book.rules}
    for procedure in Procedure:
        usual = book.policy(procedure, EVERYWHERE, EVERYWHERE)
        yield procedure, EVERYWHERE, EVERYWHERE, usual
        for service, tier in places:
            policy = book.policy(procedure, service, tier)
            if service and policy != usual:
                yield procedure, service, tier, policy


def _cells(procedure: Procedure, service: str, tier: str, policy: ApprovalPolicy) -> tuple[str, ...]:
    place = f"{service} {tier}".strip()
    accounts = "" if policy.unknown_names == "accept" else ", known names only"
    identity = f"{policy.identity}{accounts}"
    if procedure in ASK_NOBODY or not policy.required:
        return (procedure, place, "(nobody is asked)", "", "", "", identity, "")
    reminders = [f"{', '.join(r.tell)} {_hours(r.before_s)} before" for r in policy.reminders]
    waived = ", waived if installed" if policy.waive_installed else ""
    return (
        procedure,
        place,
        ", ".join(policy.roles),
        f"{policy.quorum}{waived}",
        _hours(policy.within_s),
        policy.on_lapse,
        identity,
        "; ".join([", ".join(policy.tell), *reminders] if policy.tell else reminders),
    )


def _hours(seconds: int) -> str:
    return f"{seconds / HOUR_S:g} h"


def _receivers(book: PolicyBook) -> dict[str, tuple[str, str]]:
    """Of a webhook only the host: the rest of its address is often its password."""
    return {name: (", ".join(r.mail) or "nobody", _host(r)) for name, r in book.receivers.items()}


def _host(receiver: Receiver) -> str:
    return urlsplit(receiver.webhook).hostname or ""
