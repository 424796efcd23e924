"""Guessing passwords is slowed down: a few wrong ones per name, then a pause. Other ways to log in go on working."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from freehold.errors import Conflict

MOST_WRONG, WITHIN_S, NAMES_KEPT = 8, 300.0, 10_000


class Attempts:
    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._wrong: OrderedDict[str, list[float]] = OrderedDict()

    def refuse_more(self, name: str) -> None:
        """Raises Conflict while too many passwords for this name were wrong lately."""
        if len(self._lately(name)) >= MOST_WRONG:
            raise Conflict(f"Too many wrong passwords for this name; wait {WITHIN_S / 60:g} minutes.")

    def failed(self, name: str) -> None:
        self._wrong[_key(name)] = [*self._lately(name), self._now()]
        self._wrong.move_to_end(_key(name))
        while len(self._wrong) > NAMES_KEPT:
            self._wrong.popitem(last=False)

    def forget(self, name: str) -> None:
        self._wrong.pop(_key(name), None)

    def _lately(self, name: str) -> list[float]:
        return [at for at in self._wrong.get(_key(name), ()) if self._now() - at < WITHIN_S]


def _key(name: str) -> str:
    return name.strip().casefold()
