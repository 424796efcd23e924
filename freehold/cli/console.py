"""What all commands share: the terminal, `--json`, the settings of this call, and how errors are told."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Coroutine, Iterable, Sequence
from typing import Annotated, Any, NoReturn, TypeVar

import typer
from pydantic import BaseModel, TypeAdapter
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from freehold.errors import FreeholdError
from freehold.logs import configure_logs
from freehold.settings import LogLevel, Settings, load_settings

UNBROKEN = 1000
"""Width for a pipe or file: no row is broken, so that other programs can take it line by line."""
READABLE = 24
"""A column of sentences is not made narrower than this while another column can be left out."""

out = Console(highlight=False, width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else UNBROKEN)
err = Console(stderr=True, highlight=False)

T = TypeVar("T")

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]

_given: dict[str, Any] = {}
_shown = {"trace": False}


def configure(*, debug: bool, **overrides: Any) -> None:
    """What the options before the command said."""
    _given.update(overrides)
    _shown.update(trace=debug)
    # On standard error, so that a log line never mixes with a result.
    configure_logs(LogLevel.debug if debug else LogLevel.warning)


def debugging() -> bool:
    return _shown["trace"]


def settings() -> Settings:
    return load_settings(**_given)


def print_json(value: Any) -> None:
    """`value` may hold models, dates and paths; nothing else is on standard output."""
    print(TypeAdapter(Any).dump_json(value, indent=2).decode(), flush=True)


def print_rows(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    title: str | None = None,
    empty: str,
    spare: Sequence[str] = (),
) -> None:
    """A table where there are rows, else one sentence.

    Columns in `spare` are left out when they are empty, and in this order when the terminal is narrow.
    """
    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    if not cells:
        out.print(empty)
        return
    if title:
        out.print(title, style="italic")
    hollow = [name for name in spare if not any(row[columns.index(name)] for row in cells)]
    for count in range(len(spare) + 1):
        table = _table(columns, cells, [*hollow, *spare[:count]])
        if Measurement.get(out, out.options.update(width=UNBROKEN), table).minimum <= out.width:
            break
    out.print(table)


def _table(columns: Sequence[str], cells: Sequence[Sequence[str]], without: Sequence[str]) -> Table:
    """Names, addresses and numbers stay whole; only columns that hold sentences may wrap."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    shown = [i for i, column in enumerate(columns) if column not in without]
    for i in shown:
        texts = [Text.from_markup(row[i]).plain for row in cells]
        wraps = any(" " in text for text in texts)
        widest = max(map(len, (columns[i], *texts)))
        table.add_column(columns[i], overflow="fold", no_wrap=not wraps, min_width=min(widest, READABLE))
    for row in cells:
        table.add_row(*(row[i] for i in shown))
    return table


def show(value: BaseModel | Sequence[BaseModel], as_json: bool, *human: Any) -> None:
    """JSON for programs, or what a person reads."""
    if as_json:
        print_json(value)
    else:
        for part in human:
            out.print(part, soft_wrap=isinstance(part, str))


def say(sentence: str) -> None:
    """Progress for a person; on standard error, so that it never mixes with a result."""
    err.print(sentence, markup=False, soft_wrap=True)


def run_async(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def fail(error: BaseException) -> NoReturn:
    """One sentence and exit code 1; the trace only for who asks for it with `--debug`."""
    known = isinstance(error, FreeholdError | OSError)
    message = _sentence(error)
    if _shown["trace"]:
        err.print_exception()
    elif not known:
        message += " This is a mistake in Freehold; `freehold --debug ...` shows where."
    if "--json" in sys.argv:
        kind = error.type if isinstance(error, FreeholdError) else type(error).__name__
        print(json.dumps({"error": {"type": kind, "message": message}}), flush=True)
    else:
        err.print(message, style="red", markup=False, soft_wrap=True)
    raise SystemExit(1)


def _sentence(error: BaseException) -> str:
    if isinstance(error, FreeholdError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}." if error.filename else f"{error.strerror}."
    return f"{type(error).__name__}: {error}."
