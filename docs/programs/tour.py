"""Run the tour's commands in a lab and write their real output into the documents: `python -m docs.programs.tour`.

A block that begins with ```console holds one command after `$ ` and below it the output, which is replaced. A line
`<!-- first N lines -->` above the block shortens the output. Blocks of other documents with a command of the tour get
the same output. Needs root, and neither a lab named `lab` nor a stack of this checkout may run.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import platformdirs

from freehold.settings import Settings
from freehold.stack.ports import free_ports, is_free

ROOT = Path(__file__).parents[2]
TOUR, FOLLOWERS = ROOT / "docs/tour.md", (ROOT / "README.md",)
BLOCK = re.compile(r"(?:<!-- first (\d+) lines -->\n)?```console\n\$ ([^\n]*)\n((?:(?!```)[^\n]*\n)*)```")
PICTURE = {"freehold instance watch acme-1": "docs/pictures/watch.svg"}
COLUMNS = 100
TIMEOUT_S = 300
CLEAN_UP = ("freehold down", "freehold lab down")


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="freehold-tour-") as home:
        environment, shown = _environment(Path(home))
        outputs: dict[str, str] = {}
        try:
            for block in BLOCK.finditer(TOUR.read_text()):
                command = block[2]
                print(f"$ {command}", file=sys.stderr, flush=True)
                outputs[command] = shown(_run(command, environment))
        finally:
            for command in CLEAN_UP:
                _run(command, environment)
    for document in (TOUR, *FOLLOWERS):
        document.write_text(BLOCK.sub(lambda block: _filled(block, outputs), document.read_text()))


def _run(command: str, environment: dict[str, str]) -> str:
    picture = None
    if command in PICTURE:
        words = [sys.executable, "-m", "docs.programs.terminal", "acme-1", PICTURE[command]]
        picture = subprocess.Popen(words, env=environment, cwd=ROOT)
    done = subprocess.run(
        ["bash", "-c", command],
        env=environment,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    if picture is not None and picture.wait(TIMEOUT_S):
        raise SystemExit(f"no picture was made of: {command}")
    return done.stdout


def _filled(block: re.Match[str], outputs: dict[str, str]) -> str:
    first, command, _ = block.groups()
    if command not in outputs:
        return block[0]
    lines = [line.rstrip() for line in outputs[command].strip().splitlines()]
    head = ""
    if first is not None:
        head = f"<!-- first {first} lines -->\n"
        if (more := len(lines) - int(first)) > 0:
            lines = [*lines[: int(first)], f"... {more} lines more"]
    return "\n".join([f"{head}```console", f"$ {command}", *lines, "```"])


def _environment(home: Path) -> tuple[dict[str, str], Callable[[str], str]]:
    """A home and state folder of this run's own; what differs from a reader's is put back in what is shown."""
    usual = {n: f.default for n, f in Settings.model_fields.items() if n.endswith("_port")}
    ports = {name: port if is_free(port) else free_ports(1)[0] for name, port in usual.items()}
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("FREEHOLD_", "TEMPORAL_", "XDG_"))
    }
    environment |= {f"FREEHOLD_{name.upper()}": str(port) for name, port in ports.items()}
    environment |= {
        "HOME": str(home),
        "XDG_CACHE_HOME": platformdirs.user_cache_dir(),
        "PATH": f"{ROOT}/.venv/bin:{os.environ['PATH']}",
        "COLUMNS": str(COLUMNS),
        "TERM": "dumb",
    }

    def shown(text: str) -> str:
        for name, port in ports.items():
            text = text.replace(f":{port}", f":{usual[name]}")
        return text.replace(str(home), "~").replace(f"{ROOT}/", "")

    return environment, shown


if __name__ == "__main__":
    main()
