"""A register that behaves is never accused, whatever happens at the same time; one that does not is."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from freehold.lab.client.program.truth import Truth, Version


@dataclass
class Register:
    """One key of a service that behaves, with one writer and many readers whose requests overlap as they like."""

    truth: Truth = field(default_factory=Truth)
    holds: str | None = None
    writes: int = 0
    version: Version | None = None
    wanted: str | None = None
    reads: list[tuple[int, str | None]] = field(default_factory=list)
    """Begun and not yet answered, with what the key held at the beginning."""

    def __post_init__(self) -> None:
        self.key = self.truth.key("k")

    def begin_write(self, delete: bool) -> None:
        if self.version is None:
            self.writes += 1
            self.wanted = None if delete else f"v{self.writes}"
            self.version = self.truth.begin_write(self.key, self.wanted)

    def take_effect(self) -> None:
        if self.version is not None:
            self.holds = self.wanted

    def end_write(self, known: bool) -> None:
        if self.version is None:
            return
        if known:
            self.holds = self.wanted
        self.truth.end_write(self.version, known)
        self.version = None

    def begin_read(self) -> None:
        self.reads.append((self.truth.begin_read(self.key), self.holds))

    def end_read(self, late: bool) -> str | None:
        """What is found wrong; the service had looked at the beginning of the request, or just now."""
        if not self.reads:
            return None
        floor, held = self.reads.pop(0)
        return self.truth.judge(self.key, floor, self.holds if late else held)


STEPS = st.lists(
    st.sampled_from(["put", "delete", "effect", "acknowledge", "fail", "read", "answer", "answer late"]),
    min_size=5,
    max_size=60,
)


def play(steps: list[str]) -> Register:
    register = Register()
    for step in steps:
        match step:
            case "put" | "delete":
                register.begin_write(step == "delete")
            case "effect":
                register.take_effect()
            case "acknowledge" | "fail":
                register.end_write(step == "acknowledge")
            case "read":
                register.begin_read()
            case _:
                assert register.end_read(late=step == "answer late") is None
    while register.reads:
        assert register.end_read(late=False) is None
    return register


@given(STEPS)
def test_a_service_that_behaves_is_never_accused(steps: list[str]) -> None:
    play(steps)


@given(STEPS)
def test_any_other_version_than_the_acknowledged_one_is_found(steps: list[str]) -> None:
    register = play(steps)
    register.end_write(known=True)
    register.begin_write(delete=False)
    register.end_write(known=True)
    truth, key = register.truth, register.key
    floor = truth.begin_read(key)
    assert truth.judge(key, floor, None) == "lost"
    for older in key.versions[:-1]:
        if older.digest is not None:
            assert truth.judge(key, floor, older.digest) == "stale"
    register.begin_write(delete=True)
    register.end_write(known=True)
    floor = truth.begin_read(key)
    assert truth.judge(key, floor, None) is None
    for older in key.versions:
        if older.digest is not None:
            assert truth.judge(key, floor, older.digest) == "resurrected"
