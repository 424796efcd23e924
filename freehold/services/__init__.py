"""The services that Freehold can build private copies of."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from freehold.errors import BadInput
from freehold.services.base import Service


def _object_storage() -> Service:
    from freehold.services.object_storage.service import ObjectStorage  # noqa: PLC0415 (only what is asked for is read)

    return ObjectStorage()


_SERVICES: dict[str, Callable[[], Service]] = {"object-storage": _object_storage}


def load_all() -> None:
    """Import every service now, in the calling thread. Workers do so in their main thread (see rings.py)."""
    for name in _SERVICES:
        service(name)


def all_rules() -> dict[str, str]:
    """What the metrics of every service mean, by its name."""
    return {name: service(name).rules() for name in _SERVICES}


@cache
def service(name: str) -> Service:
    """The service of that name. Raises BadInput that names the ones there are."""
    make = _SERVICES.get(name)
    if make is None:
        raise BadInput(f"service {name!r} is not known; allowed: {', '.join(sorted(_SERVICES))}")
    return make()
