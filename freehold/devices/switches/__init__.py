"""Switches by dialect. A new dialect is a module here with `open_switch`, a folder of templates, and a line below."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

from freehold.devices.base import Secrets, Switch
from freehold.devices.switches import arista_eos, ovs
from freehold.errors import BadInput
from freehold.models.access import Access

DIALECTS: Mapping[str, Callable[[Access, Secrets], AbstractContextManager[Switch]]] = {
    "ovs": ovs.open_switch,
    "arista-eos": arista_eos.open_switch,
}


def open_switch(access: Access, secrets: Secrets) -> AbstractContextManager[Switch]:
    """A session with a switch, in the dialect that the inventory names. Raises DeviceError."""
    opener = DIALECTS.get(access.dialect or "")
    if opener is None:
        raise BadInput(f"{access.device}: dialect {access.dialect!r} is not known; known are {', '.join(DIALECTS)}")
    return opener(access, secrets)
