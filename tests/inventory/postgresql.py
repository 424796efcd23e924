"""A real PostgreSQL for tests: own folder, only a Unix socket, gone with pytest however that ends."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

# Ends the server and removes its folder when pytest ends (a closed pipe is noticed also after SIGKILL).
_KEEPER = """
folder=$1
shift
"$@" -D "$folder/data" -k "$folder" -c listen_addresses= -c fsync=off -c max_connections=40 \
    >"$folder/log" 2>&1 </dev/null &
cat >/dev/null
kill -QUIT $!
wait $!
rm -rf "$folder"
"""


def _programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3]))
    if found:
        return found[-1].parent
    if on_path := shutil.which("initdb"):
        return Path(on_path).parent
    pytest.skip("PostgreSQL's server is not installed (Debian package: postgresql)")


@contextmanager
def postgresql() -> Iterator[str]:
    """URL of the server's database `postgres`."""
    programs = _programs()
    folder = Path(tempfile.mkdtemp(prefix="freehold-postgresql-"))
    # PostgreSQL refuses to run as root, and only root may remove a folder from anywhere but /tmp.
    ordinary: list[str] = []
    if os.geteuid() == 0:
        shutil.chown(folder, "nobody", "nogroup")
        ordinary = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"]
    made = subprocess.run(
        [
            *ordinary,
            programs / "initdb",
            "-D",
            folder / "data",
            "-U",
            "freehold",
            "--auth=trust",
            "--no-sync",
            "-E",
            "UTF8",
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if made.returncode:
        shutil.rmtree(folder)
        raise RuntimeError(f"initdb: {made.stderr}")
    keeper = subprocess.Popen(
        ["sh", "-c", _KEEPER, "sh", folder, *ordinary, programs / "postgres"],
        cwd="/",
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    assert keeper.stdin is not None
    try:
        _wait(folder)
        yield f"postgresql://freehold@/postgres?host={folder}"
    finally:
        keeper.stdin.close()
        keeper.wait(30)
        assert not folder.exists()


def _wait(folder: Path) -> None:
    until = time.monotonic() + 30
    while True:
        try:
            psycopg.connect(host=str(folder), user="freehold", dbname="postgres", connect_timeout=2).close()
            return
        except psycopg.OperationalError:
            if time.monotonic() > until:
                raise RuntimeError((folder / "log").read_text()) from None
            time.sleep(0.05)
