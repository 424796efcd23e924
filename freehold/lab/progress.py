"""Progress of many machines at once: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.table import Table


@contextmanager
def watched(console: Console) -> Iterator[Callable[[str, str], None]]:
    """Gives a function that is told of each device and what it does now."""
    if not console.is_terminal:
        yield lambda device, what: console.print(f"{device}: {what}", markup=False, soft_wrap=True)
        return
    seen: dict[str, str] = {}
    lock = threading.Lock()
    with Live(console=console, refresh_per_second=8) as live:

        def tell(device: str, what: str) -> None:
            with lock:
                seen[device] = what
                table = Table.grid(padding=(0, 2))
                for row in seen.items():
                    table.add_row(*row)
                live.update(table)

        yield tell
