"""Who listens to all process lists and reads all files afterwards, in search of secrets."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self

from freehold.secrets import FileSecrets
from freehold.settings import Settings
from freehold.stack.client import connect

SHORTEST = 12
PAUSE_S = 0.25


class Eavesdropper:
    """Looks at every command line and environment of this computer all the time, the machines' included.

    What is heard is kept, because the secrets are made only while it listens.
    """

    def __init__(self) -> None:
        self._heard: set[bytes] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="eavesdropper")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)

    def hears(self, word: str) -> bool:
        return any(word.encode() in text for text in self._heard.copy())

    def _listen(self) -> None:
        while not self._stop.wait(PAUSE_S):
            for process in Path("/proc").glob("[0-9]*"):
                for name in ("cmdline", "environ"):
                    try:
                        self._heard.add((process / name).read_bytes())
                    except OSError:
                        continue


def secret_words(secrets: FileSecrets) -> dict[str, set[str]]:
    """What must be heard nowhere, by the secret's name: each secret, and each line of a private key."""
    return {name: words for name in secrets.names() if (words := set(_words(secrets.get(name))))}


def _words(secret: str) -> Iterator[str]:
    lines = secret.strip().splitlines()
    if len(lines) == 1 and len(secret) >= SHORTEST:
        yield secret.strip()
    private = False
    for line in lines:
        if line.startswith("-----"):
            private = line.startswith("-----BEGIN") and "PRIVATE" in line
        elif private and len(line) >= SHORTEST:
            yield line


def files_with(words: Iterable[str], folder: Path, besides: Iterable[Path]) -> list[str]:
    """Files below a folder in which one of the words stands, as text or inside a database."""
    wanted, left_out = [word.encode() for word in words], set(besides)
    return [
        str(file)
        for file in folder.rglob("*")
        if file.is_file() and file not in left_out
        for content in (file.read_bytes(),)
        if any(word in content for word in wanted)
    ]


def histories(settings: Settings) -> dict[str, bytes]:
    """Every history of the server with its payloads decoded, by workflow id and run."""

    async def read() -> dict[str, bytes]:
        client, found = await connect(settings, "test"), {}
        async for run in client.list_workflows():
            history = await client.get_workflow_handle(run.id, run_id=run.run_id).fetch_history()
            found[f"{run.id}/{run.run_id}"] = b"\n".join(event.SerializeToString() for event in history.events)
        return found

    return asyncio.run(read())
