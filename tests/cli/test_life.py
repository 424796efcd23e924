"""What `freehold demo --full` shows of where the data is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from rich.console import Console

from freehold.cli.life import where_data_is


def proof(**holds: int) -> SimpleNamespace:
    """As it is kept of a waypoint's last round."""
    found = {server: {"objects": size, "bytes": size << 20} for server, size in holds.items()}
    return SimpleNamespace(observed={"words": "all is well", "observed": {"holds": found}})


def test_each_server_holds_what_was_last_seen_of_it() -> None:
    servers = tuple(SimpleNamespace(server=name, roles=("storage",)) for name in ("srv1", "srv2", "srv3"))
    instance = SimpleNamespace(change=None, plan=SimpleNamespace(servers=servers))
    seen = [proof(srv1=40), proof(srv1=40, srv2=20), proof(srv1=0)]
    inventory: Any = SimpleNamespace(instance=lambda _: instance, evidence=lambda *_: seen)
    console = Console(width=100)
    with console.capture() as shown:
        console.print(where_data_is(inventory, "acme-1"))
    rows = {line.split()[0]: line for line in shown.get().splitlines()[1:]}
    assert "0 objects, 0 MiB" in rows["srv1"] and "█" not in rows["srv1"]
    assert "20 objects, 20 MiB" in rows["srv2"] and "█" in rows["srv2"]
    assert "objects" not in rows["srv3"]
