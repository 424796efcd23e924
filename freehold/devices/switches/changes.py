"""What changes mean for a switch, what they would do, and doing many callers' changes in one session."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

import structlog
from pydantic import ValidationError

from freehold.devices.base import Switch
from freehold.errors import CommandRejected, Conflict, DeviceError, FreeholdError, ReadBackDiffers
from freehold.models.base import content_hash
from freehold.models.network import PortConfig, PortMode, SwitchChange, SwitchChangeResult, SwitchState
from freehold.models.plan import DeviceDiff

log = structlog.get_logger(__name__)


def preview(switch: Switch, change: SwitchChange) -> DeviceDiff:
    """What `change` would do now. Its `before` is the hash of the touched ports, so that others' work is no news."""
    before = switch.read(touched_ports(change))
    return DeviceDiff(
        device=change.switch,
        before=content_hash(before),
        diff=state_diff(before, target(before, [change])),
        commands=switch.render(before, [change]),
    )


def apply_changes(
    switch: Switch, changes: Sequence[SwitchChange], *, unsaved: bool = False
) -> list[SwitchChangeResult]:
    """Do all changes with one read, one apply, one read-back and one save; answer each, in their order.

    The outcome is that of the changes done one by one, in order. Where two want different things, the later one
    stands (it alone reaches the device) and the earlier one's answer says so. A change that cannot be done is left
    out wholly. When nothing differs, nothing is sent and nothing saved, unless the caller says that an earlier
    attempt that was cut off may have left something `unsaved`. Raises DeviceError when the session itself fails;
    repeating is harmless.
    """
    before = switch.read()
    batch = _Batch(switch, before)
    rest = [_Todo(index, change) for index, change in enumerate(changes)]
    while rest:
        good, rest = batch.sound(rest)
        batch.do(good)
    after = before
    if batch.sent:
        after = switch.read()
    if batch.sent or unsaved:
        switch.save()
    log.info(
        "switch changes", switch=before.switch, changes=len(changes), applies=batch.sent, refused=len(batch.errors)
    )
    return [
        _refusal(change, batch.errors[index])
        if index in batch.errors
        else _answer(change, before, expected=batch.state, after=after)
        for index, change in enumerate(changes)
    ]


def target(before: SwitchState, changes: Iterable[SwitchChange]) -> SwitchState:
    """The state that the changes, one after the other, make of `before`. Raises CommandRejected when one cannot."""
    ports = dict(before.ports)
    for change in changes:
        if change.switch != before.switch:
            raise CommandRejected(f"the change is for {change.switch}, the session is with {before.switch}")
        unknown = sorted(touched_ports(change) - ports.keys())
        if unknown:
            raise _unknown(before.switch, unknown)
        for port_change in change.ports:
            ports[port_change.port] = port_change.config
        for trunk in change.trunks:
            ports[trunk.port] = _trunk(f"{before.switch}/{trunk.port}", ports[trunk.port], trunk.vlan, trunk.present)
    return before.model_copy(update={"ports": ports})


def touched_ports(change: SwitchChange) -> set[str]:
    return {p.port for p in change.ports} | {t.port for t in change.trunks}


def differing_ports(before: SwitchState, after: SwitchState) -> list[str]:
    """Names of the ports that are not the same in both, sorted."""
    names = before.ports.keys() | after.ports.keys()
    return sorted(port for port in names if before.ports.get(port) != after.ports.get(port))


def only(state: SwitchState, ports: Collection[str] | None) -> SwitchState:
    """These ports of a state, or all for None. Raises CommandRejected when one is not there."""
    if ports is None:
        return state
    unknown = sorted(set(ports) - state.ports.keys())
    if unknown:
        raise _unknown(state.switch, unknown)
    return state.model_copy(update={"ports": {port: state.ports[port] for port in sorted(ports)}})


def state_diff(before: SwitchState, after: SwitchState) -> str:
    """Unified diff of the ports that differ, one line each; empty when none does."""
    ports = differing_ports(before, after)
    old, new = ([f"{port}: {describe(s.ports[port])}" for port in ports if port in s.ports] for s in (before, after))
    return "\n".join(difflib.unified_diff(old, new, f"{before.switch} now", f"{after.switch} then", lineterm=""))


def describe(config: PortConfig) -> str:
    """A port's configuration in words, always the same for the same configuration."""
    match config.mode:
        case PortMode.ACCESS:
            words = f"access, VLAN {config.vlan}"
        case PortMode.TRUNK:
            words = f"trunk, VLANs {','.join(map(str, config.trunk_vlans)) or 'none'}"
        case _:
            words = str(config.mode)
    return f"{words}, {config.description!r}" if config.description else words


@dataclass
class _Todo:
    index: int
    change: SwitchChange


class _Batch:
    """Many changes on their way to one switch; knows what the switch should be now and which changes it refused."""

    def __init__(self, switch: Switch, state: SwitchState) -> None:
        self.switch, self.state = switch, state
        self.errors: dict[int, DeviceError] = {}
        self.sent = 0

    def sound(self, todo: Sequence[_Todo]) -> tuple[list[_Todo], list[_Todo]]:
        """The changes that can be sent now, and those that must wait for what becomes of them.

        What needs no device to be judged bad is taken out, each by itself; but what is bad only because of a change
        before it is judged when the switch has had its say about that one.
        """
        state, touched = self.state, set[str]()
        good: list[_Todo] = []
        for number, one in enumerate(todo):
            try:
                self.switch.render(state, [one.change])
                state = target(state, [one.change])
            except CommandRejected as error:
                if touched & touched_ports(one.change):
                    return good, list(todo[number:])
                self.errors[one.index] = error
            else:
                good.append(one)
                touched |= touched_ports(one.change)
        return good, []

    def do(self, todo: list[_Todo]) -> None:
        """Send all at once; what the device rejects is halved until each bad change stands alone."""
        changes = [t.change for t in todo]
        try:
            wanted = target(self.state, changes)
            commands = self.switch.render(self.state, changes)
            if commands:
                self.switch.apply(commands)
                self.sent += 1
            self.state = wanted
        except CommandRejected as error:
            if len(todo) == 1:
                self.errors[todo[0].index] = error
                return
            half = len(todo) // 2
            self.do(todo[:half])
            self.do(todo[half:])


def _answer(
    change: SwitchChange, before: SwitchState, *, expected: SwitchState, after: SwitchState
) -> SwitchChangeResult:
    """What is true of one change now: which of its parts hold, and what these changed."""
    lost = [part for part in _parts(change) if not _holds(part, after)]
    diff = state_diff(before, _effect(before, after, [part for part in _parts(change) if part not in lost]))
    result = SwitchChangeResult(switch=change.switch, changed=bool(diff), diff=diff)
    if not lost:
        return result
    (port,) = touched_ports(lost[0])
    found = describe(after.ports[port]) if port in after.ports else "no longer there"
    error: FreeholdError
    if _holds(lost[0], expected):
        error = ReadBackDiffers(f"{change.switch}/{port}: it was set but reads back as: {found}")
    else:
        error = Conflict(f"{change.switch}/{port}: a later change in the same session wanted it otherwise: {found}")
    return result.model_copy(update={"error_type": error.type, "error": str(error)})


def _refusal(change: SwitchChange, error: FreeholdError) -> SwitchChangeResult:
    return SwitchChangeResult(switch=change.switch, error_type=error.type, error=str(error))


def _parts(change: SwitchChange) -> Iterator[SwitchChange]:
    """One change per port and per VLAN of a trunk; of several for one port of the same caller, the last."""
    for port in {p.port: p for p in change.ports}.values():
        trunks = tuple(t for t in change.trunks if t.port == port.port)
        yield SwitchChange(switch=change.switch, ports=(port,), trunks=trunks)
    whole = {p.port for p in change.ports}
    for trunk in {(t.port, t.vlan): t for t in change.trunks if t.port not in whole}.values():
        yield SwitchChange(switch=change.switch, trunks=(trunk,))


def _holds(part: SwitchChange, state: SwitchState) -> bool:
    try:
        return target(state, [part]) == state
    except CommandRejected:
        return False


def _effect(before: SwitchState, after: SwitchState, parts: Sequence[SwitchChange]) -> SwitchState:
    """What these parts alone made of `before`: a trunk's other VLANs are not theirs."""
    try:
        return target(before, parts)
    except CommandRejected:  # a trunk that only became one in this session
        ports = {port for part in parts for port in touched_ports(part)}
        return before.model_copy(update={"ports": {**before.ports, **{port: after.ports[port] for port in ports}}})


def _trunk(where: str, config: PortConfig, vlan: int, present: bool) -> PortConfig:
    if config.mode is not PortMode.TRUNK:
        if not present and config.mode is not PortMode.OTHER and config.vlan != vlan:
            return config
        raise CommandRejected(f"{where}: it is not a trunk ({describe(config)}), VLAN {vlan} cannot be changed on it")
    vlans = set(config.trunk_vlans) | {vlan} if present else set(config.trunk_vlans) - {vlan}
    try:
        return PortConfig(mode=PortMode.TRUNK, trunk_vlans=tuple(sorted(vlans)), description=config.description)
    except ValidationError as error:
        raise CommandRejected(f"{where}: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from error


def _unknown(switch: str, ports: Sequence[str]) -> CommandRejected:
    return CommandRejected(f"{switch} has no port {', '.join(ports)}")
