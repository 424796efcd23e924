"""An instance changes on real machines while customers use it: every waypoint reached and proven, there and back.

The tests tell one story and run in the order of the file. Procedures are not in it: what orders the work is the test.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator

import pytest

from freehold.lab.client import QUIET, Load
from tests.services.object_storage.mover import Mover, moving

pytestmark = [
    pytest.mark.lab,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif("FREEHOLD_LIFE" not in os.environ, reason="it needs a computer for itself: `make life`"),
]


@pytest.fixture(scope="module")
def mover(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mover]:
    if os.geteuid() != 0:
        pytest.skip("only root can boot machines")
    with (
        moving("change", "198.18.47.0/24", tmp_path_factory.mktemp("change")) as mover,
        mover.counting(Load(requests_per_s=4)) as client,
    ):
        mover.client = client
        client.phase(QUIET)
        time.sleep(20)
        yield mover


def test_one_server_becomes_five(mover: Mover) -> None:
    mover.changed(tier="distributed")


def test_one_storage_server_more(mover: Mover) -> None:
    mover.changed(storage_servers=4)


def test_a_feature_is_switched_on(mover: Mover) -> None:
    mover.changed(features=("versioning",))


def test_one_storage_server_less(mover: Mover) -> None:
    mover.changed(storage_servers=3)


def test_five_servers_become_one(mover: Mover) -> None:
    mover.changed(tier="compact", features=())


def test_customers_noticed_nothing(mover: Mover) -> None:
    assert mover.client
    mover.client.phase("after")
    time.sleep(10)
    result = mover.client.stop()
    print(json.dumps(result.model_dump(exclude={"phases"}), indent=1))
    for phase in result.phases:
        wrong = {what: count for what, count in phase.wrong.items() if count}
        print(
            f"{phase.name:30} {phase.seconds:6.1f} s {phase.requests:5} requests, p99 {phase.p99_ms} "
            f"({phase.p99_ratio}), cpu {phase.cpu:.2f}, wrong {wrong}"
        )
    wrong = {what: count for what, count in result.wrong.items() if count}
    # The two cores carry this data centre, its customer and perhaps other tests: a time-out is not the service's.
    assert wrong.keys() <= {"failed"}, result.findings
    assert result.failed <= result.requests / 200, result.findings
