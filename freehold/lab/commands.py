"""Running the kernel's own tools: always with a time-out, and with an error that says what they said."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable

from freehold.errors import FreeholdError


class LabError(FreeholdError):
    """The lab cannot do what was asked; says what and why."""


def run(*command: str, stdin: str | None = None, check: bool = True, timeout_s: float = 30) -> str:
    """Run a command and return what it printed. Raises LabError with its words when it fails."""
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout_s, check=False)
    except FileNotFoundError as error:
        raise LabError(f"{command[0]} is not installed; run scripts/setup as root") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"`{' '.join(command)}` gave no answer in {timeout_s:.0f} s") from error
    if check and done.returncode:
        said = " ".join((done.stderr or done.stdout).split())[:300]
        raise LabError(f"`{' '.join(command)}` failed: {said}")
    return done.stdout


def batch(tool: str, lines: Iterable[str], *options: str) -> None:
    """Hand many lines to one run of `ip` or `tc`; stops at the first that fails."""
    text = "\n".join(lines)
    if text:
        run(tool, *options, "-batch", "-", stdin=text + "\n")
