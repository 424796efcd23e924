"""A site of ours on a real port, and people who are logged in to it."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

import httpx
import uvicorn
from argon2 import PasswordHasher
from starlette.applications import Starlette

from freehold.models.people import Role
from freehold.secrets import FileSecrets
from freehold.web.accounts import Accounts
from freehold.web.sessions import Sessions

PASSWORD = "correct horse"
PEOPLE = {
    "olivia": (Role.OPERATOR,),
    "amir": (Role.APPROVER,),
    "tess": (Role.TECHNICIAN,),
    "audrey": (Role.AUDITOR,),
    "root": (Role.ADMIN,),
}


def make_sessions(home: Path) -> Sessions:
    """Accounts for all of `PEOPLE`, with the same password."""
    home.mkdir(parents=True, exist_ok=True)
    file = home / "accounts.yaml"
    rows = [{"name": name, "roles": list(map(str, roles)), "password_hash": _hash()} for name, roles in PEOPLE.items()]
    file.touch(0o600)
    file.write_text(json.dumps({"accounts": rows}))
    return Sessions(Accounts(file), FileSecrets(home / "secrets.json"))


@cache
def _hash() -> str:
    return PasswordHasher(time_cost=1, memory_cost=64).hash(PASSWORD)  # real ones are slow on purpose


@asynccontextmanager
async def served(app: Starlette, port: int = 0) -> AsyncIterator[str]:
    """The app behind a real socket of this process; its address."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", port))
        listener.listen()
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="on", timeout_graceful_shutdown=2))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving


@asynccontextmanager
async def browser_of(url: str, name: str | None) -> AsyncIterator[httpx.AsyncClient]:
    """A client that did what a browser does: logged in, loaded the UI, and sends its CSRF cookie back."""
    # There is no TLS here, and the list of authorities takes a while to load.
    async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False, verify=False) as http:
        if name is not None:
            answer = await http.post("/freehold/login", data={"name": name, "password": PASSWORD})
            assert answer.status_code == 303, answer.text
            (await http.get("/api/v1/settings")).raise_for_status()
            http.headers["X-CSRF-TOKEN"] = http.cookies["_csrf"]
            # The UI marks its cookie as secure, which a browser lets pass on the loopback address.
            http.headers["Cookie"] = "; ".join(f"{c.name}={c.value}" for c in http.cookies.jar)
        yield http
