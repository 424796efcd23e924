"""Programs of ours that run on a device, in its memory: nothing is written there, nothing shows in its process list."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import resources

import paramiko

# Takes the modules from standard input, one line of JSON; what follows on it is the program's own.
_START = """
import json, sys, types
package = sys.modules["{name}"] = types.ModuleType("{name}")
package.__path__ = []
for name, source in json.loads(sys.stdin.buffer.readline()):
    module = sys.modules["{name}." + name] = types.ModuleType("{name}." + name)
    module.__package__ = "{name}"
    setattr(package, name, module)
    exec(compile(source, name + ".py", "exec"), module.__dict__)
"""

LAST_WORDS_S = 2
"""The exit code comes after the end of the output."""


def command(name: str, then: str = "") -> str:
    """The shell command that waits for the modules of package `name`, takes them in, and goes on with `then`."""
    return f"python3 -c '{_START.replace('{name}', name)}{then}'"


def modules(package: str, names: Sequence[str]) -> bytes:
    """The line that the command waits for: the package's modules, in the order in which they need one another."""
    folder = resources.files(package)
    return json.dumps([(name, (folder / f"{name}.py").read_text()) for name in names]).encode() + b"\n"


def last_words(channel: paramiko.Channel) -> str:
    """What a program that has ended said last on its standard error; its exit code is known behind this."""
    channel.status_event.wait(LAST_WORDS_S)
    words = b""
    while channel.recv_stderr_ready():
        words += channel.recv_stderr(1 << 16)
    return words.decode(errors="replace").strip().rpartition("\n")[2]
