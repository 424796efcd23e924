"""python3 -m freehold_mariadb_objects COMMAND CONF [once|daemon] [--verbose]

replicator   push to the ring's primaries; as a handoff, forget what all of them have
auditor      read and check every body; quarantine broken objects
collector    remove bodies that nobody needs, old tombstones, old quarantine
manifest     print every object and tombstone as a JSON line
schema       create or migrate the tables

Each pass prints one JSON line: on standard output, but for manifest, whose rows are there, on standard error.
The exit code is 0 if all went well, 1 if something failed or was quarantined, 2 for a wrong call.
"""

import argparse
import configparser
import json
import logging
import os
import sys
import time

import eventlet

eventlet.monkey_patch(all=False, socket=True, select=True, thread=True)

from swift.common.swob import HTTPException  # noqa: E402 - what it imports must find the patched modules
from swift.common.utils import drop_privileges, get_logger, readconf  # noqa: E402

from .auditor import Auditor  # noqa: E402
from .collector import Collector  # noqa: E402
from .manifest import Manifest, Schema  # noqa: E402
from .replicator import Replicator  # noqa: E402

COMMANDS = {
    "replicator": Replicator,
    "auditor": Auditor,
    "collector": Collector,
    "manifest": Manifest,
    "schema": Schema,
}
DEFAULT_INTERVAL = 600


def main():
    parser = argparse.ArgumentParser(
        prog="freehold_mariadb_objects", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument(
        "conf", help="the object server's configuration file; the replicator's is that of the server which receives"
    )
    parser.add_argument("mode", nargs="?", choices=["once", "daemon"], default="once")
    parser.add_argument("--verbose", action="store_true", help="log to standard error, too")
    arguments = parser.parse_args()
    try:
        conf = _conf(arguments.conf, arguments.command)
    except (OSError, ValueError, configparser.Error) as error:
        parser.error(str(error))
    if os.geteuid() == 0:
        # MariaDB knows the caller by its user.
        drop_privileges(conf.get("user", "swift"))
    logger = get_logger(conf, log_route=f"mariadb-{arguments.command}", log_to_console=False)
    if arguments.verbose:
        logging.basicConfig(stream=sys.stderr, level=logging.INFO)
    command = COMMANDS[arguments.command](conf, logger)
    while True:
        good = _pass(command, arguments.command)
        if arguments.mode == "once":
            return 0 if good else 1
        eventlet.sleep(float(conf.get("interval", DEFAULT_INTERVAL)))


def _conf(path, command):
    """The object server's settings, overridden by those of the section [mariadb-<command>], if there is one."""
    conf = readconf(path, "app:object-server", log_name=f"mariadb-{command}")
    sections = readconf(path)
    return {**conf, **sections.get(f"mariadb-{command}", {})}


def _pass(command, name):
    started = time.monotonic()
    try:
        summary = command.run_once()
    except HTTPException as error:
        summary = {"failures": 1, "error": str(error)}
    summary = {"command": name, **summary, "seconds": round(time.monotonic() - started, 3)}
    print(json.dumps(summary), file=sys.stderr if name == "manifest" else sys.stdout, flush=True)
    return not summary["failures"] and not (name == "auditor" and summary["quarantined"])


if __name__ == "__main__":
    sys.exit(main())
