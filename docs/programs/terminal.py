"""A picture of `freehold instance watch NAME` while a step runs: `python -m docs.programs.terminal NAME FILE.svg`."""

from __future__ import annotations

import asyncio
import io
import re
import sys
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console, RenderableType

from freehold.cli import procedures
from freehold.models.procedure import ProcedureView, StepState

STEP = "install object storage"
WIDTH = 84
# Rich's own picture loads a font over the network; the reader's own monospaced font does as well.
FORMAT = re.sub(r"@font-face \{\{.*?\}\}\n", "", CONSOLE_SVG_FORMAT, flags=re.S).replace("Fira Code, ", "")


async def seen(name: str) -> ProcedureView:
    """The run as it stands while the step runs, or at its end when the step was too quick."""
    handle = (await procedures.client()).get_workflow_handle(f"provision-{name}")
    async for view in procedures.views(handle):
        if any(s.name == STEP and s.state is StepState.RUNNING for s in view.steps):
            return view
    return view


def save(picture: str, file: Path, command: str, *shown: RenderableType, width: int = WIDTH) -> None:
    """What a terminal shows behind a command, as a file; `picture` tells it from others on the same page."""
    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True, highlight=False)
    console.print(f"$ {command}")
    for each in shown:
        console.print(each)
    svg = console.export_svg(title="freehold", code_format=FORMAT, unique_id=picture)
    file.write_text(re.sub(r"[ \t]+$", "", svg, flags=re.M))


def main(name: str, file: str) -> None:
    view = asyncio.run(seen(name))
    save("freehold-watch", Path(file), f"freehold instance watch {name}", procedures.steps_table(view))


if __name__ == "__main__":
    main(*sys.argv[1:])
