"""Run as Swift's user on a storage server: one pass of each of its replicators and updaters, in the order given.

One interpreter for all of them: on a small server, reading Swift's code five times takes more of the processor than the
passes themselves. Each runs in a child, as its own command would. A server makes one pass at a time, whoever asks for
it: its own timer or a procedure. The argument is JSON: the `passes`, each `[MODULE, ARGUMENT, ...]`, and how long all
rests when the last time ended well (`rest_s`). Prints JSON: what those that failed said last, by module.
"""

import fcntl
import importlib
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SAID_MOST = 200
TURN = Path("/var/cache/swift/freehold-passes")
"""Locked while passes run; says when they last ended well."""


def main() -> None:
    given = json.loads(sys.argv[1])
    with TURN.open("a+") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        turn.seek(0)
        rests = abs(time.time() - float(turn.read() or 0)) < given["rest_s"]
        failed = {} if rests else run_all(given["passes"])
        if not rests and not failed:
            turn.truncate(0)
            turn.write(str(time.time()))
    print(json.dumps(failed))


def run_all(passes: list[list[str]]) -> dict[str, str]:
    """What those that failed said last."""
    modules = [(importlib.import_module(name), arguments) for name, *arguments in passes]
    said = {module.__name__: run(module, arguments) for module, arguments in modules}
    return {name: words for name, words in said.items() if words is not None}


def run(module: Any, arguments: list[str]) -> str | None:
    """What it said last, if it failed."""
    with tempfile.TemporaryFile() as output:
        child = os.fork()
        if not child:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
            as_command(module, arguments)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        output.seek(0)
        return output.read().decode(errors="replace").strip()[-SAID_MOST:] if code else None


def as_command(module: Any, arguments: list[str]) -> None:
    """Ends this process: it never goes on with what its parent does."""
    code: Any = 1
    try:
        sys.argv = [module.__name__, *arguments]
        # Swift's would begin a session of its own, which stands behind nobody, and which nobody who cuts us off ends.
        os.setsid = lambda: None
        code = module.main()
    except SystemExit as end:
        code = end.code
    except BaseException as error:
        print(f"{type(error).__name__}: {error}")
    finally:
        sys.stdout.flush()
        os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    main()
