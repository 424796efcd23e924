"""What a storage server says of updates that listings have not heard of."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from freehold.services.object_storage.errands import hold

HASH = "0123456789abcdef0123456789abcdef"
NOW = time.time()


@pytest.mark.parametrize(
    ("name", "refused_s_ago", "late"),
    [
        (f"{HASH}-{NOW - 5:.5f}", 5, True),
        (f"{HASH}-{NOW - 5:.5f}_0000000000000001", 5, True),
        (f"{HASH}-{NOW - 2 * hold.LATE_S:.5f}", 5, True),  # an upload of two hours
        (f"{HASH}-{NOW + 60:.5f}", 0, False),  # after all listings were in place: the next pass brings it
        (f"{HASH}-{NOW - 2 * hold.LATE_S:.5f}", 2 * hold.LATE_S, False),  # refused for long, by what does not move
        ("whatever", 5, False),
    ],
)
def test_an_update_is_late_when_it_is_refused_although_the_copy_is_there(
    tmp_path: Path, name: str, refused_s_ago: float, late: bool
) -> None:
    file = tmp_path / name
    file.touch()
    os.utime(file, (NOW - refused_s_ago, NOW - refused_s_ago))
    assert hold.is_late(file, began=time.time()) is late


def test_one_that_has_just_arrived_is_not_late(tmp_path: Path) -> None:
    assert not hold.is_late(tmp_path / f"{HASH}-{NOW - 5:.5f}", began=time.time())
