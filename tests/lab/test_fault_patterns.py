"""Twenty faults drawn at random, several at a time: found, named and cured, and two customers' frames never meet.

Two customers get hardware at the same time. Its ports are closed until its cables are proven, opened as the plan says,
and closed again before anybody pulls a cable. `FREEHOLD_TEST_SEED=N` draws the same faults again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from freehold.lab.testing import small_lab
from tests.lab.customers import HOSTS, SWITCHES, TwoCustomers
from tests.lab.frames import Frames
from tests.lab.hands import Hands, forget_soon
from tests.lab.patterns import PATTERNS, Bench
from tests.lab.waiting import until

pytestmark = [pytest.mark.lab, pytest.mark.timeout(400)]

SERVERS = ("srv-1", "srv-2", "srv-3", "srv-4")
EACH = 2
FREE = [f"{switch}/swp{n}" for switch in SWITCHES for n in range(9, 23)]


@pytest.fixture
def customers(tmp_path: Path) -> Iterator[TwoCustomers]:
    on = [*SWITCHES, *SERVERS]
    with small_lab("flrandom", "198.18.112.0/24", [*on, *HOSTS.values()]) as lab:
        forget_soon(lab, *SWITCHES)
        hands = Hands(lab, tmp_path, on)
        yield TwoCustomers(hands, servers=2)
        hands.inventory.close()


def test_twenty_random_faults_are_found_named_and_cured_and_customers_never_meet(customers: TwoCustomers) -> None:
    seed = int(os.environ.get("FREEHOLD_TEST_SEED") or Random().randrange(100_000))
    print(f"FREEHOLD_TEST_SEED={seed}")
    rng, hands = Random(seed), customers.hands
    todo = [*PATTERNS] * EACH
    with Frames(hands.lab, customers.everybody(), customers.vlans()) as frames:
        hands.finds({})
        while todo:
            bench = Bench(hands, rng, customers.owner, list(FREE), died=frames.stop, revived=frames.start)
            with bench.faults:
                expected = bench.spoil(todo)
                found = hands.finds(expected, bench.silent)
                rings = {frozenset((f.cable.label, *f.swapped_with)) for f in found if f.swapped_with}
                assert rings == set(bench.rings)
            hands.follow(found)
            hands.finds({}, [])
            assert hands.as_planned()
            customers.open()
            frames.arrive(customers.ways())
            frames.listen()
            assert not frames.met
            customers.close()
        frames.listen()
        assert not frames.met
        customers.mix()
        until(lambda: frames.met, 10)
        customers.close()
