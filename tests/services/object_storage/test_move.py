"""How often a storage server passes on what belongs elsewhere."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from freehold.services.object_storage.errands import move

Moves = Callable[..., int]


@pytest.fixture
def moves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Moves:
    """How many passes are made by a server with this many objects left after each of them."""

    def made(*left: int, empties: bool = True, failed: tuple[str, ...] = ()) -> int:
        passes = []

        def run(given: object) -> list[str]:
            for number in range(max(left)):
                file = tmp_path / "d1" / "objects" / "7" / "abc" / f"{number:032x}" / "1700000000.00000.data"
                file.parent.mkdir(parents=True, exist_ok=True)
                file.touch() if number < left[len(passes)] else file.unlink(missing_ok=True)
            passes.append(given)
            return list(failed)

        monkeypatch.setattr(move, "NODE", tmp_path)
        monkeypatch.setattr(move, "run_passes", run)
        monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps({"empties": ["d1"] if empties else []})))
        move.main()
        return len(passes)

    return made


def test_who_is_to_be_empty_tries_again_as_long_as_it_helps(moves: Moves) -> None:
    assert moves(0) == 1
    assert moves(5, 2, 0) == 3
    assert moves(5, 5, 0) == 2, "others must do something first"


def test_who_stays_makes_one_pass(moves: Moves) -> None:
    assert moves(5, 0, empties=False) == 1


def test_what_failed_is_for_the_next_round(moves: Moves, capsys: pytest.CaptureFixture[str]) -> None:
    assert moves(5, 0, failed=("passes: not through",)) == 1
    assert json.loads(capsys.readouterr().out)["failed"] == ["passes: not through"]
