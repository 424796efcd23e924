"""Many at once, in threads and in processes: one wins, the others are told, nothing is half done."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from freehold.errors import Conflict, LeaseHeld
from freehold.inventory import Inventory
from freehold.models.hall import Hall
from freehold.planning.provision import plan_instance
from tests.halls import COMPACT, request, small_hall

RACERS = 8
# Plans, says so, waits for the start, reserves.
RACER = """
import sys
from freehold.errors import Conflict
from freehold.inventory import Inventory
from freehold.planning.provision import plan_instance
from tests.halls import COMPACT, request
inventory = Inventory(sys.argv[1])
plan = plan_instance(request(sys.argv[2]), COMPACT, inventory.snapshot())
print("ready", flush=True)
sys.stdin.readline()
try:
    inventory.reserve(plan)
    print("won")
except Conflict as refusal:
    print(refusal)
"""


@pytest.fixture
def last_server(inventory: Inventory) -> Inventory:
    hall = small_hall(servers=0)
    hall.server("last", "r1", ("leaf1", "leaf1"))
    inventory.import_hall(hall.build(), {})
    return inventory


def together(work: Callable[[int], str]) -> list[str]:
    start = Barrier(RACERS)

    def racer(number: int) -> str:
        start.wait(30)
        return work(number)

    with ThreadPoolExecutor(RACERS) as pool:
        return list(pool.map(racer, range(RACERS)))


def check_one_winner(inventory: Inventory, told: list[str]) -> None:
    assert told.count("won") == 1
    (winner,) = inventory.instances()
    assert {who for _, who in inventory.holds()} == {winner.name}
    assert all(t == "won" or f"is held by {winner.name};" in t for t in told)
    assert len(inventory.holds()) == len(winner.plan.holds)


def test_threads_race_for_the_last_server(last_server: Inventory) -> None:
    plans = [plan_instance(request(f"acme-{n}"), COMPACT, last_server.snapshot()) for n in range(RACERS)]

    def reserve(number: int) -> str:
        try:
            last_server.reserve(plans[number])
        except Conflict as refusal:
            return str(refusal)
        return "won"

    check_one_winner(last_server, together(reserve))


def test_processes_race_for_the_last_server(last_server: Inventory, url: str) -> None:
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, url, f"acme-{n}"],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in range(4)
    ]
    try:
        for racer in racers:
            assert racer.stdout is not None
            assert racer.stdout.readline() == "ready\n"
        for racer in racers:
            assert racer.stdin is not None
            racer.stdin.write("go\n")
            racer.stdin.flush()
        told = [racer.communicate(timeout=60)[0].strip() for racer in racers]
    finally:
        for racer in racers:
            racer.kill()
            racer.wait(10)
    check_one_winner(last_server, told)


def test_the_same_request_many_times_gives_one_instance(inventory: Inventory) -> None:
    plan = plan_instance(request(), COMPACT, inventory.snapshot())

    def reserve(_: int) -> str:
        inventory.reserve(plan)
        return "fine"

    assert together(reserve) == ["fine"] * RACERS
    assert [hold for hold, _ in inventory.holds()] == list(plan.holds)


def test_one_procedure_gets_the_lease(inventory: Inventory) -> None:
    def take(number: int) -> str:
        try:
            inventory.take_lease("acme-1", "ScaleUp", f"workflow-{number}", "run")
        except LeaseHeld:
            return "held"
        return "taken"

    assert Counter(together(take)) == {"taken": 1, "held": RACERS - 1}


def test_who_loses_plans_again_until_the_hall_is_full(inventory: Inventory) -> None:
    def provision(number: int) -> str:
        for _ in range(RACERS):
            try:
                inventory.reserve(plan_instance(request(f"acme-{number}"), COMPACT, inventory.snapshot()))
            except Conflict:
                continue
            except Exception as refusal:
                return type(refusal).__name__
            return "placed"
        return "gave up"

    assert Counter(together(provision)) == {"placed": 6, "CannotPlace": RACERS - 6}
    assert len({s.server for i in inventory.instances() for s in i.plan.servers}) == 6


def test_an_empty_database_is_migrated_once_by_many(url: str, hall: Hall) -> None:
    def opens(_: int) -> str:
        opened = Inventory(url)
        opened.import_hall(hall, {})
        found = opened.fingerprint()
        opened.close()
        return found

    assert len(set(together(opens))) == 1
