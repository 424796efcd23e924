"""The `freehold` command. Each command's module is imported only when it is asked for, so all start fast."""

from __future__ import annotations

import gc
import importlib
import importlib.util
import logging
import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from freehold.cli import console

# command at the top level -> the module in freehold.cli whose `app` has it, as a command or as a whole group
COMMANDS = {
    "up": ("stack", "Start Temporal, Prometheus and the workers, and keep them running."),
    "down": ("stack", "Stop them all, and check that nothing is left."),
    "status": ("stack", "What runs, since when, where."),
    "logs": ("stack", "What the programs of the stack have to say."),
    "demo": ("demo", "The main job from nothing: a small data centre, a private instance, its proof."),
    "instance": ("instance", "Private instances: ask for one, see it, use it, end it."),
    "inbox": ("approvals", "What waits for people, with the command to answer."),
    "approve": ("approvals", "Approve a plan."),
    "reject": ("approvals", "Reject a plan."),
    "withdraw": ("approvals", "Take an approval back."),
    "accept": ("approvals", "Start what a recommendation recommends."),
    "dismiss": ("approvals", "Say no to a recommendation."),
    "retry": ("approvals", "Let a parked procedure try its step again."),
    "pause": ("approvals", "Let data that a procedure moves rest."),
    "resume": ("approvals", "Let it go on."),
    "abort": ("approvals", "Have a procedure undo what it did."),
    "confirm": ("confirm", "Say what you did in the hall."),
    "checklist": ("sheet", "Work for technicians: what is to be done, on the screen or on paper."),
    "inventory": ("inventory", "What hardware there is, and who holds it."),
    "cables": ("cables", "Whether everything is plugged where it should be."),
    "evidence": ("evidence", "What was observed that proves what a procedure claims."),
    "policy": ("policy", "Who must agree to what, within what time."),
    "scaling": ("scaling", "When instances change their size by schedule, and why."),
    "schedule": ("schedule", "What is started from time to time: pause it, resume it, start it now."),
    "count": ("count", "Use an instance as its customer would, and count what goes wrong."),
    "account": ("accounts", "Who may log in, in which roles."),
    "secret": ("secrets", "Passwords that Freehold is given, e.g. of the mail server."),
    "lab": ("lab", "A data centre in one machine: build it, switch it, cable it."),
}


class Later(TyperCommand):
    """A command known by name; its module is imported when it runs or is completed, not when it is listed."""

    def __init__(self, name: str, module: str, words: str) -> None:
        super().__init__(name, help=words)
        self.module = module

    def load(self) -> Any:
        gc.disable()  # nothing that is loaded here is garbage, and looking for some takes a seventh of the start
        module = importlib.import_module(f"freehold.cli.{self.module}")
        gc.freeze()
        gc.enable()
        group = typer.main.get_group(module.app)
        found = group.commands.get(str(self.name), group)
        found.name = self.name
        return found

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        return self.load().make_context(info_name, args, parent, **extra)


class Commands(TyperGroup):
    """The table above as a group."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [name for name, (module, _) in COMMANDS.items() if importlib.util.find_spec(f"freehold.cli.{module}")]

    def get_command(self, ctx: Any, cmd_name: str) -> Later | None:
        return Later(cmd_name, *COMMANDS[cmd_name]) if cmd_name in self.list_commands(ctx) else None


app = typer.Typer(cls=Commands, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="rich")


def _print_version(wanted: bool) -> None:
    if wanted:
        console.out.print(f"freehold {version('freehold')}")
        raise typer.Exit


@app.callback()
def freehold(
    identity: Annotated[
        str | None, typer.Option("--as", metavar="NAME", help="Who you are (else FREEHOLD_OPERATOR).")
    ] = None,
    home: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where Freehold keeps its state (else FREEHOLD_HOME).")
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the whole trace of an error.")] = False,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Private copies of a provider's services, on hardware that nobody else touches."""
    console.configure(debug=debug, identity=identity, home=home)


def run() -> None:
    """The entry point. Leaves without the interpreter's own end, in which Temporal's SDK at times crashes."""
    code = _run()
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            code = code or 1
    os._exit(code)


def _run() -> int:
    try:
        try:
            app(prog_name="freehold")
        except Exception as error:
            console.fail(error)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    run()
