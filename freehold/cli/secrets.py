"""`freehold secret`: passwords that Freehold is given, e.g. of the mail server. They are put in, never shown."""

from __future__ import annotations

import getpass
import sys
from typing import Annotated

import typer

from freehold.cli import console
from freehold.cli.console import JsonOption
from freehold.errors import BadInput, NotFound
from freehold.secrets import FileSecrets

app = typer.Typer(no_args_is_help=True, help="Passwords that Freehold is given.")

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="What settings refer to, e.g. mail/password.")]


@app.command()
def put(name: NameArgument) -> None:
    """Keep a secret under a name. It is asked for, or read from standard input."""
    value = getpass.getpass(f"{name}: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
    if not value:
        raise BadInput(f"{name}: an empty secret is none; nothing was changed.")
    _secrets().put(name, value)
    console.out.print(f"{name} is kept.", markup=False)


@app.command("list")
def list_(json: JsonOption = False) -> None:
    """The names of all secrets, those that Freehold made for itself, too."""
    names = _secrets().names()
    if json:
        console.print_json(names)
        return
    console.print_rows(["secret"], [(name,) for name in names], empty="There are no secrets.")


@app.command()
def remove(name: NameArgument) -> None:
    """Forget a secret."""
    if not _secrets().delete(name):
        raise NotFound(f"There is no secret {name!r}; see `freehold secret list`.")
    console.out.print(f"{name} is forgotten.", markup=False)


def _secrets() -> FileSecrets:
    return FileSecrets(console.settings().secrets_file)
