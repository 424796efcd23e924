"""What a storage server says of updates that listings have not heard of."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from freehold.services.object_storage.errands import hold

HASH = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("written_s_ago", "refused_s_ago", "late"),
    [
        (5, 5, True),
        (2 * hold.LATE_S, 5, True),  # an upload of two hours
        (-60, 0, False),  # after all listings were in place: the next pass brings it
        (2 * hold.LATE_S, 2 * hold.LATE_S, False),  # refused for long, by what does not move
    ],
)
def test_an_update_is_late_when_it_is_refused_although_the_copy_is_there(
    tmp_path: Path, written_s_ago: float, refused_s_ago: float, late: bool
) -> None:
    now = time.time()
    for name in (f"{HASH}-{now - written_s_ago:.5f}", f"{HASH}-{now - written_s_ago:.5f}_0000000000000001"):
        file = tmp_path / name
        file.touch()
        os.utime(file, (now - refused_s_ago, now - refused_s_ago))
        assert hold.is_late(file, began=now) is late


@pytest.mark.parametrize("name", [f"{HASH}-1700000000.00000", "whatever"])
def test_what_is_gone_or_nobodys_is_not_late(tmp_path: Path, name: str) -> None:
    assert not hold.is_late(tmp_path / name, began=time.time())
