"""The lab as a pair of hands reaches it: cables, power buttons."""

from __future__ import annotations

from collections.abc import Sequence

from freehold.lab.lab import Lab
from freehold.lab.models import PowerAction
from freehold.models.hall import Cable


class LabInReach:
    """What the technician does, done in a lab."""

    def __init__(self, lab: Lab) -> None:
        self._lab, self.hall = lab, lab.hall

    def cables(self) -> Sequence[Cable]:
        return self._lab.cables()

    def plug(self, a: str, b: str, label: str) -> object:
        return self._lab.plug(a, b, label)

    def unplug(self, end: str) -> Cable:
        return self._lab.unplug(end)

    def switch_on(self, device: str) -> None:
        self._lab.power(device, PowerAction.ON)

    def switch_off(self, device: str) -> None:
        self._lab.power(device, PowerAction.OFF)

    def is_on(self, device: str) -> bool:
        return self._lab.machine(device).running()
