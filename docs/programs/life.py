"""A picture of `freehold demo --full` while data moves, and what its client counted: `python -m docs.programs.life`.

Runs the demo in a terminal of its own (some minutes, needs root and the computer for itself), keeps the screen as it
was half-way through copying data, the result in benchmarks/results, and writes the table of docs/scaling.md.
"""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pyte
from rich.style import Style
from rich.text import Text

from docs.programs.marked import fill, table
from docs.programs.terminal import save
from freehold.cli.demo import LifeResult

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "docs" / "pictures" / "life.svg"
RESULT, PAGE = ROOT / "benchmarks" / "results" / "life.json", ROOT / "docs" / "scaling.md"
COMMAND = "freehold demo --full"
COLUMNS, LINES = 118, 60
MOMENT, PARTS = "copy data", ("requests", "holds")
"""The step that is under way in the picture, and what else its screen has."""
UNNAMED = {"brown": "yellow", "brightbrown": "bright_yellow", "default": None}
"""Colours that the terminal calls otherwise than the picture."""
SHORT_S = 1.0
"""Phases below it have too few requests to say anything."""


def main() -> None:
    screen = pyte.Screen(COLUMNS, LINES)
    stream = pyte.ByteStream(screen)
    ours, theirs = pty.openpty()
    words = [sys.executable, "-m", "freehold.cli.main", "demo", "--full", "--json"]
    environment = os.environ | {"COLUMNS": str(COLUMNS), "LINES": str(LINES), "TERM": "xterm-256color"}
    frames: list[list[Text]] = []
    with tempfile.TemporaryFile("w+") as printed:
        demo = subprocess.Popen(words, stdout=printed, stderr=theirs, env=environment, cwd=ROOT)
        os.close(theirs)
        while told := _read(ours):
            stream.feed(told)
            if _is_the_moment(screen):
                frames.append(_lines(screen))
        code = demo.wait()
        printed.seek(0)
        result = printed.read()
    if result:
        RESULT.write_text(result)
    if "client" not in json.loads(result or "{}") or not frames:
        print("\n".join(line.rstrip() for line in screen.display), file=sys.stderr)
        raise SystemExit(f"the demo ended with {code}, and {len(frames)} screens of it were of use")
    save("freehold-life", PICTURE, COMMAND, *frames[len(frames) // 2], width=COLUMNS)
    fill(PAGE, {"life": counted(LifeResult.model_validate_json(result))})


def counted(result: LifeResult) -> str:
    """What the client has to say, part by part."""
    client = result.client
    rows = [
        (
            *(phase.name, f"{phase.seconds:.0f} s", phase.requests, sum(phase.wrong.values())),
            *(f"{phase.p50_ms:.0f} ms", f"{phase.p99_ms:.0f} ms", phase.p99_ratio, f"{phase.cpu:.0%}"),
        )
        for phase in result.phases
        if phase.seconds >= SHORT_S and phase.requests
    ]
    wrong = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in client.wrong.items())
    told = table(("part", "time", "requests", "wrong", "p50", "p99", "p99 against quiet", "CPU"), rows)
    whole = f"{client.requests:,} requests in {client.seconds:.0f} s: {wrong}. p99 {client.p99_ratio} times"
    return f"{told}\n\n{whole} that of the quiet part, on {os.cpu_count()} cores that also carry all machines."


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # the other side is closed
        return b""


def _is_the_moment(screen: pyte.Screen) -> bool:
    text = "\n".join(screen.display)
    return all(part in text for part in PARTS) and any(MOMENT in line and "running" in line for line in screen.display)


def _lines(screen: pyte.Screen) -> list[Text]:
    lines = [_line(screen.buffer[number]) for number in range(screen.lines)]
    while lines and not lines[-1].plain.strip():
        lines.pop()
    return lines


def _line(cells: Any) -> Text:
    text = Text()
    for column in range(COLUMNS):
        cell = cells[column]
        colour = UNNAMED.get(cell.fg, cell.fg)
        if colour and colour.startswith("bright") and "_" not in colour:
            colour = f"bright_{colour.removeprefix('bright')}"
        if colour and len(colour) == 6 and all(c in "0123456789abcdef" for c in colour):
            colour = f"#{colour}"
        text.append(cell.data, Style(color=colour, bold=cell.bold))
    text.rstrip()
    return text


if __name__ == "__main__":
    main()
