"""`freehold account`: who may log in to the Temporal Web UI and the pages, in which roles."""

from __future__ import annotations

import getpass
import sys
from typing import Annotated

import typer

from freehold.cli import console
from freehold.cli.console import JsonOption
from freehold.errors import BadInput, NotFound
from freehold.models.people import Role
from freehold.secrets import FileSecrets
from freehold.web.accounts import Accounts
from freehold.web.sessions import LINK, Sessions

app = typer.Typer(no_args_is_help=True, help="Who may log in, in which roles.")

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The name that stands in the record.")]


@app.command()
def add(
    name: NameArgument,
    role: Annotated[list[Role], typer.Option("--role", "-r", help="What the person may do; give it several times.")],
    json: JsonOption = False,
) -> None:
    """Make an account. The password is asked for, or read from standard input."""
    made = _accounts().add(name, tuple(dict.fromkeys(role)), _new_password(name))
    if json:
        console.print_json(made.model_dump(exclude={"password_hash"}))
    else:
        console.out.print(f"{made.name} can log in now as {', '.join(made.roles)}.", markup=False)


@app.command("list")
def list_(json: JsonOption = False) -> None:
    """All accounts and their roles."""
    found = _accounts().all()
    if json:
        console.print_json([account.model_dump(exclude={"password_hash"}) for account in found])
        return
    empty = "There are no accounts; make one with `freehold account add NAME --role ROLE`."
    rows = [(a.name, ", ".join(a.roles), a.provider.issuer if a.provider else "") for a in found]
    console.print_rows(("name", "roles", "logs in at"), rows, empty=empty, spare=("logs in at",))


@app.command()
def remove(name: NameArgument) -> None:
    """End an account; whoever is logged in with it is logged out."""
    _accounts().remove(name)
    console.out.print(f"{name} cannot log in any more.", markup=False)


@app.command()
def password(name: NameArgument) -> None:
    """Change a password; it is asked for, or read from standard input. Ends its sessions and links."""
    accounts = _accounts()
    if accounts.get(name) is None:
        raise NotFound(f"There is no account {name!r}; see `freehold account list`.")
    accounts.set_password(name, _new_password(name))
    console.out.print(f"{name} has a new password.", markup=False)


@app.command()
def link(name: NameArgument, json: JsonOption = False) -> None:
    """Print a personal link to the technicians' page: whoever has it is this person there."""
    settings = console.settings()
    sessions = Sessions(_accounts(), FileSecrets(settings.secrets_file))
    account = sessions.accounts.get(name)
    if account is None:
        raise NotFound(f"There is no account {name!r}; see `freehold account list`.")
    token = sessions.link_token(account)
    if json:
        console.print_json({"name": account.name, "key": token, "days": LINK.days})
    else:
        console.out.print(f"{settings.page_url}/link/{token}", soft_wrap=True, markup=False)
        console.say(f"It is valid for {LINK.days} days; hand it to nobody else.")


def _accounts() -> Accounts:
    return Accounts(console.settings().accounts_file)


def _new_password(name: str) -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    given = getpass.getpass(f"Password of {name}: ")
    if getpass.getpass("Once more: ") != given:
        raise BadInput("The two passwords differ; nothing was changed.")
    return given
