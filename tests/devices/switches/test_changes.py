"""Many callers' changes in one session: what every batch promises, whatever is in it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from freehold.devices.switches.changes import apply_changes, differing_ports, only, preview, target, touched_ports
from freehold.errors import CommandRejected
from freehold.models.network import (
    MacEntry,
    Neighbour,
    PortChange,
    PortConfig,
    SwitchChange,
    SwitchState,
    TrunkChange,
)
from tests.devices.switches.ports import CLOSED, access, port, trunk, vlan

PORTS = ("swp1", "swp2", "swp3", "swp4")
BROKEN = "swp4"
"""The device rejects all that is to change on this port."""
REFUSED_VLAN = 7


class MemorySwitch:
    """A switch of port models. Commands are `port=<json>`, all or nothing; counts what it is asked."""

    def __init__(self, ports: dict[str, PortConfig]) -> None:
        self.ports = dict(ports)
        self.reads = self.applies = self.saves = 0
        self.forgets: set[str] = set()
        """Ports that take a change without an error and do not keep it."""

    def read(self, ports: Collection[str] | None = None) -> SwitchState:
        self.reads += 1
        return only(SwitchState(switch="leaf1", ports=dict(self.ports)), ports)

    def render(self, before: SwitchState, changes: Sequence[SwitchChange]) -> tuple[str, ...]:
        after = target(before, changes)
        for name in differing_ports(before, after):
            if after.ports[name].vlan == REFUSED_VLAN:
                raise CommandRejected(f"leaf1/{name}: VLAN {REFUSED_VLAN} cannot be rendered")
        return tuple(f"{p}={after.ports[p].model_dump_json()}" for p in differing_ports(before, after))

    def apply(self, commands: Sequence[str]) -> None:
        self.applies += 1
        wanted = dict(command.split("=", 1) for command in commands)
        if BROKEN in wanted:
            raise CommandRejected(f"leaf1: port {BROKEN} is broken")
        self.ports |= {
            name: PortConfig.model_validate_json(text) for name, text in wanted.items() if name not in self.forgets
        }

    def save(self) -> None:
        self.saves += 1

    def neighbours(self) -> tuple[Neighbour, ...]:
        return ()

    def mac_table(self) -> tuple[MacEntry, ...]:
        return ()


vlans = st.integers(5, 9)
configs = st.one_of(
    st.just(CLOSED),
    st.builds(access, vlans, st.none() | st.just("acme 1")),
    st.sets(vlans, max_size=3).map(lambda chosen: trunk(*sorted(chosen))),
)
states = st.fixed_dictionaries(dict.fromkeys(PORTS, configs))
names = st.sampled_from((*PORTS, "nope"))
port_changes = st.builds(PortChange, port=names, config=configs)
trunk_changes = st.builds(TrunkChange, port=names, vlan=vlans, present=st.booleans())
switch_changes = st.builds(
    SwitchChange,
    switch=st.just("leaf1"),
    ports=st.lists(port_changes, max_size=2).map(tuple),
    trunks=st.lists(trunk_changes, max_size=2).map(tuple),
)
batches = st.lists(switch_changes, max_size=6)


@given(states, batches)
def test_a_batch_ends_as_its_changes_one_by_one(ports: dict[str, PortConfig], batch: list[SwitchChange]) -> None:
    # Of two that contradict each other only the later is sent: a device has no say about the earlier one.
    assume(sum(BROKEN in touched_ports(change) for change in batch) <= 1)
    together, alone = MemorySwitch(ports), MemorySwitch(ports)
    results = apply_changes(together, batch)
    single = [apply_changes(alone, [change])[0] for change in batch]
    assert together.ports == alone.ports
    assert [r.error_type == "CommandRejected" for r in results] == [r.error_type == "CommandRejected" for r in single]
    assert [r.error for r in results if r.error_type == "CommandRejected"] == [
        r.error for r in single if r.error_type == "CommandRejected"
    ]


@given(states, batches)
def test_an_answer_without_error_is_true_and_one_with_conflict_too(
    ports: dict[str, PortConfig], batch: list[SwitchChange]
) -> None:
    switch = MemorySwitch(ports)
    results = apply_changes(switch, batch)
    state = switch.read()
    for change, result in zip(batch, results, strict=True):
        if result.error_type == "CommandRejected":
            assert not result.changed
        else:
            assert result.ok == (_left_to_do(state, change) is False)
            assert result.error_type in ("", "Conflict")
        assert result.changed == bool(result.diff)


@given(states, batches)
def test_one_read_one_apply_one_read_back_one_save(ports: dict[str, PortConfig], batch: list[SwitchChange]) -> None:
    sound = [c for c in batch if BROKEN not in touched_ports(c)]
    switch = MemorySwitch(ports)
    results = apply_changes(switch, sound)
    # What is bad only because of a neighbour's change waits for what the switch says of that one.
    assume(not any(r.error_type == "CommandRejected" for r in results))
    did_something = switch.ports != ports
    assert (switch.reads, switch.applies, switch.saves) == ((2, 1, 1) if did_something else (1, 0, 0))
    assert did_something or not any(r.changed for r in results)


@given(states, batches)
def test_the_second_time_nothing_is_sent(ports: dict[str, PortConfig], batch: list[SwitchChange]) -> None:
    switch = MemorySwitch(ports)
    done = [change for change, result in zip(batch, apply_changes(switch, batch), strict=True) if result.ok]
    before = dict(switch.ports)
    again = apply_changes(switch, done)
    assert switch.ports == before and all(r.ok and not r.changed for r in again)


@given(states, batches)
def test_undo_restores(ports: dict[str, PortConfig], batch: list[SwitchChange]) -> None:
    switch = MemorySwitch({**ports, BROKEN: CLOSED})
    before = dict(switch.ports)
    apply_changes(switch, batch)
    undo = [port(name, config) for name, config in before.items() if config.vlan != REFUSED_VLAN]
    assert all(r.ok for r in apply_changes(switch, undo))
    assert {n: c for n, c in switch.ports.items() if before[n].vlan != REFUSED_VLAN} == {
        n: c for n, c in before.items() if c.vlan != REFUSED_VLAN
    }


def test_one_bad_change_among_many_is_found_in_a_few_steps() -> None:
    switch = MemorySwitch({f"swp{n}": CLOSED for n in range(1, 61)})
    results = apply_changes(switch, [port(f"swp{n}", access(100 + n)) for n in range(1, 61)])
    assert [n for n, r in enumerate(results, 1) if not r.ok] == [4]
    assert (switch.reads, switch.saves) == (2, 1) and switch.applies <= 13


def test_the_later_of_two_wins_and_both_are_told_the_truth() -> None:
    switch = MemorySwitch({"swp1": CLOSED, "swp2": CLOSED})
    both = SwitchChange(
        switch="leaf1",
        ports=(PortChange(port="swp1", config=access(10)), PortChange(port="swp2", config=access(10))),
    )
    first, second = apply_changes(switch, [both, port("swp1", access(20))])
    assert switch.ports == {"swp1": access(20), "swp2": access(10)} and switch.applies == 1
    assert first.error_type == "Conflict" and "leaf1/swp1: a later change" in first.error and "VLAN 20" in first.error
    assert first.changed and "swp2" in first.diff and "swp1" not in first.diff
    assert second.ok and "+swp1: access, VLAN 20" in second.diff


def test_callers_on_one_trunk_see_only_their_own_vlan() -> None:
    switch = MemorySwitch({"swp1": trunk(5)})
    results = apply_changes(switch, [vlan("swp1", 6), vlan("swp1", 8), vlan("swp1", 5, present=False)])
    assert switch.ports["swp1"] == trunk(6, 8) and switch.applies == 1
    assert [r.diff.splitlines()[-1] for r in results] == [
        "+swp1: trunk, VLANs 5,6",
        "+swp1: trunk, VLANs 5,8",
        "+swp1: trunk, VLANs none",
    ]


def test_what_does_not_read_back_is_told_to_the_one_who_wanted_it() -> None:
    switch = MemorySwitch({"swp1": CLOSED, "swp2": CLOSED})
    switch.forgets = {"swp1"}
    first, second = apply_changes(switch, [port("swp1", access(10)), port("swp2", access(10))])
    assert first.error_type == "ReadBackDiffers" and "leaf1/swp1" in first.error and not first.changed
    assert second.ok and second.changed


def test_what_an_earlier_attempt_may_have_left_is_saved() -> None:
    switch = MemorySwitch({"swp1": CLOSED})
    apply_changes(switch, [port("swp1", CLOSED)], unsaved=True)
    assert (switch.applies, switch.saves) == (0, 1)


def test_preview_shows_the_commands_and_changes_nothing() -> None:
    switch = MemorySwitch({"swp1": trunk(10), "swp2": CLOSED})
    shown = preview(switch, vlan("swp1", 20))
    assert shown.diff.splitlines() == [
        "--- leaf1 now",
        "+++ leaf1 then",
        "@@ -1 +1 @@",
        "-swp1: trunk, VLANs 10",
        "+swp1: trunk, VLANs 10,20",
    ]
    assert len(shown.commands) == 1 and switch.applies == 0
    switch.ports["swp2"] = access(99)
    assert preview(switch, vlan("swp1", 20)).before == shown.before
    switch.ports["swp1"] = trunk(11)
    assert preview(switch, vlan("swp1", 20)).before != shown.before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (port("swp9", CLOSED), "leaf1 has no port swp9"),
        (vlan("swp2", 10), r"leaf1/swp2: it is not a trunk \(closed\)"),
        (vlan("swp1", 4094), "leaf1/swp1: vlan 4094 is the quarantine"),
        (port("swp1", CLOSED, switch="leaf2"), "the change is for leaf2"),
    ],
)
def test_what_cannot_be_done_is_said(change: SwitchChange, words: str) -> None:
    with pytest.raises(CommandRejected, match=words):
        target(SwitchState(switch="leaf1", ports={"swp1": trunk(10), "swp2": CLOSED}), [change])


def _left_to_do(state: SwitchState, change: SwitchChange) -> bool:
    try:
        return target(state, [change]) != state
    except CommandRejected:
        return True
