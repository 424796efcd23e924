"""Where the programs of the stack come from: what is installed, else our cache, else fetched or built once."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from freehold.errors import BadInput, ProgramMissing
from freehold.locks import file_lock
from freehold.settings import LOOPBACK, Settings

TEMPORAL_VERSION = "1.5.1"
DOWNLOAD_TIMEOUT = timedelta(minutes=3)
BUILD_TIMEOUT = timedelta(minutes=20)

Say = Callable[[str], None]


def find_temporal(settings: Settings, say: Say) -> Path:
    """The `temporal` program; builds it from source when nothing else works."""
    cached = settings.cache / f"temporal-{TEMPORAL_VERSION}" / "temporal"
    if found := _installed("temporal", "TEMPORAL_CLI", cached):
        return found
    with file_lock(cached.with_suffix(".lock")):
        if not cached.exists():
            _fetch_temporal(cached, say)
    return cached


def find_prometheus(settings: Settings, say: Say) -> Path:
    """The `prometheus` program; takes it out of Debian's package, which is not installed."""
    cached = settings.cache / "prometheus" / "prometheus"
    if found := _installed("prometheus", "PROMETHEUS", cached):
        return found
    with file_lock(cached.with_suffix(".lock")):
        if not cached.exists():
            _unpack_prometheus(cached, say)
    return cached


def fetch_all(settings: Settings, say: Say) -> list[Path]:
    """All programs of the stack, so that the first `freehold up` finds them."""
    return [find_temporal(settings, say), find_prometheus(settings, say)]


def find_promtool(settings: Settings, say: Say) -> Path:
    beside = find_prometheus(settings, say).with_name("promtool")
    if found := _installed("promtool", "PROMTOOL", beside):
        return found
    raise ProgramMissing("promtool is not installed; install the Debian package `prometheus`.")


def _installed(name: str, variable: str, cached: Path) -> Path | None:
    if given := os.environ.get(variable):
        if not os.access(given, os.X_OK):
            raise BadInput(f"{variable} is {given!r}, which is no program that can be run.")
        return Path(given)
    if on_path := shutil.which(name):
        return Path(on_path)
    return cached if os.access(cached, os.X_OK) else None


def _fetch_temporal(target: Path, say: Say) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        say(f"Fetching Temporal {TEMPORAL_VERSION} ...")
        built = _download_temporal(Path(folder))
        if not built and (go := shutil.which("go")):
            say(f"It cannot be fetched. Building Temporal {TEMPORAL_VERSION} with Go, once: takes some minutes ...")
            built = _build_temporal(go, Path(folder), say)
        if not built:
            raise ProgramMissing(
                f"Temporal is not here and can be neither fetched nor built; install the Temporal CLI "
                f"{TEMPORAL_VERSION} or newer (or Go, and we build it), or name a server in TEMPORAL_ADDRESS."
            )
        built.replace(target)


def _download_temporal(folder: Path) -> Path | None:
    """The SDK can fetch a server, though only by starting one for a moment."""
    from temporalio.testing import WorkflowEnvironment  # noqa: PLC0415 - slow to import, rarely needed

    async def start_and_stop() -> None:
        async with asyncio.timeout(DOWNLOAD_TIMEOUT.total_seconds()):
            server = await WorkflowEnvironment.start_local(
                ip=LOOPBACK, download_dest_dir=str(folder), dev_server_download_version=f"v{TEMPORAL_VERSION}"
            )
            await server.shutdown()

    try:
        asyncio.run(start_and_stop())
    except (RuntimeError, TimeoutError):
        return None
    return next((path for path in folder.iterdir() if os.access(path, os.X_OK)), None)


def _build_temporal(go: str, folder: Path, say: Say) -> Path | None:
    module = f"github.com/temporalio/cli/cmd/temporal@v{TEMPORAL_VERSION}"
    try:
        built = subprocess.run(
            [go, "install", module],
            env=os.environ | {"GOBIN": str(folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=BUILD_TIMEOUT.total_seconds(),
            check=False,
        )
    except subprocess.TimeoutExpired:
        say(f"`go install {module}` did not end in {BUILD_TIMEOUT}.")
        return None
    if built.returncode:
        last = built.stdout.strip().splitlines()[-1:] or ["no output"]
        say(f"`go install {module}` failed: {last[0]}")
        return None
    return folder / "temporal"


def _unpack_prometheus(target: Path, say: Say) -> None:
    missing = "Prometheus is not here and {}; install the Debian package `prometheus`, or name a binary in PROMETHEUS."
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise ProgramMissing(missing.format("this is no Debian from which we could take it"))
    say("Fetching Prometheus from Debian's package ...")
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        try:
            for command in (["apt-get", "download", "prometheus"], ["sh", "-c", "dpkg-deb -x ./prometheus_*.deb ."]):
                subprocess.run(
                    command,
                    cwd=folder,
                    check=True,
                    capture_output=True,
                    text=True,
                    timeout=DOWNLOAD_TIMEOUT.total_seconds(),
                )
        except subprocess.SubprocessError as error:
            words = str(getattr(error, "stderr", None) or error).strip().splitlines()
            raise ProgramMissing(missing.format(f"cannot be fetched ({words[-1]})")) from error
        programs = Path(folder) / "usr" / "bin"
        (programs / "promtool").replace(target.with_name("promtool"))
        (programs / "prometheus").replace(target)
