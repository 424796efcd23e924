"""One look at the ports of all instances: which to close, which to open again, and what differs."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from freehold import cables
from freehold.devices.base import Devices
from freehold.devices.sights import look
from freehold.inventory import Inventory
from freehold.models.cabling import CablesInput, Verdict
from freehold.models.network import PortChange, PortConfig, PortRef, SwitchChange
from freehold.models.watch import PortDeed, WatchReport
from freehold.planning.watching import Plugged, Watched, plugged, strange_words, watched

CLOSED = PortConfig()


def watch(inventory: Inventory, devices: Devices, opened: Collection[PortDeed] = ()) -> WatchReport:
    """Look once. Switches are asked only; servers too where something differs, so that it can be named.

    Changes nothing. A port is to be closed when something else is plugged there, and when it was `opened` for an
    instance that is being ended meanwhile: procedures take an instance out of service before they close its ports.
    """
    ports = watched(inventory.instances())
    switches = {w.port.device for w in ports}
    asked = [d for d in inventory.hall().devices if d.name in switches] if switches else []
    answers = look(devices, inventory.access, asked, [w.port for w in ports], configured=True)
    sights = {s.port: s for a in answers for s in a.sights}
    now = {PortRef(device=a.device, port=port): config for a in answers for port, config in a.configs.items()}
    closes, opens = _ended(opened, ports), []
    differs: dict[str, list[str]] = {}
    for port in ports:
        seen, config = plugged(port, sights.get(port.port)), now.get(port.port)
        if seen is Plugged.STRANGE:
            words = strange_words(port, sights[port.port])
            differs.setdefault(port.instance, []).append(f"{words} and is closed.")
            if config != CLOSED:
                closes.append(_deed(port.instance, port.port, CLOSED, words))
        elif seen is Plugged.NOTHING and port.serves:
            differs.setdefault(port.instance, [])
        elif seen is Plugged.RIGHT and port.serves and config == CLOSED:
            opens.append(_deed(port.instance, port.port, port.open, f"{port.port} sees {port.card} again"))
    return WatchReport(
        closes=tuple(closes),
        opens=tuple(opens),
        differs={
            name: " ".join([*words, *_to_do(inventory, devices, name)]) for name, words in sorted(differs.items())
        },
        unanswered=tuple(f"{a.device}: {a.error}" for a in answers if a.error),
    )


def _deed(instance: str, port: PortRef, config: PortConfig, words: str) -> PortDeed:
    change = SwitchChange(switch=port.device, ports=(PortChange(port=port.port, config=config),))
    return PortDeed(instance=instance, port=port, change=change, words=words)


def _ended(opened: Iterable[PortDeed], ports: Iterable[Watched]) -> list[PortDeed]:
    serving = {(p.instance, p.port) for p in ports if p.serves}
    return [
        _deed(deed.instance, deed.port, CLOSED, f"{deed.instance} is being changed or ended")
        for deed in opened
        if (deed.instance, deed.port) not in serving
    ]


def _to_do(inventory: Inventory, devices: Devices, instance: str) -> list[str]:
    """What is where now and what to move where, with servers asked too."""
    report = cables.check(inventory, devices, CablesInput(instance=instance))
    return [finding.words for finding in report.findings if finding.verdict is not Verdict.OK]
