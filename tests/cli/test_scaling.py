"""`freehold scaling simulate`: made histories, recorded ones, and what Prometheus has; under the rules that hold."""

from __future__ import annotations

import json
import time
from pathlib import Path

from tests.cli.test_main import freehold
from tests.metrics.server import fake_prometheus, usage

DAY_S = 86400


def test_a_history_in_prometheus_is_replayed(tmp_path: Path) -> None:
    """Growth by a hundredth of the capacity a day: both ways of deciding make it bigger."""
    start = time.time() - 120 * DAY_S

    def grows(at: float) -> float:
        return 0.3 + 0.01 * max(at - start, 0) / DAY_S

    with fake_prometheus() as server:
        server.instances["acme-1"] = usage(grows, capacity_gib=1000)
        said = freehold(
            "--home", str(tmp_path), "scaling", "simulate", "--prometheus", "120d", "--instance", "acme-1",
            "--capacity-gib", "1000", "--json",
            FREEHOLD_PROMETHEUS_SERVER=server.url,
        )  # fmt: skip
    found = json.loads(said.stdout)
    assert {one["trace"] for one in found} == {"acme-1"}
    assert all(one["decided_at"] for one in found)


def test_the_rules_in_home_hold(tmp_path: Path) -> None:
    (tmp_path / "scaling.yaml").write_text("rules:\n  - nonsense: 1\n")
    said = freehold("--home", str(tmp_path), "scaling", "simulate", code=1)
    assert "scaling.yaml" in said.stderr and "nonsense" in said.stderr


def test_a_range_without_an_instance_is_refused(tmp_path: Path) -> None:
    said = freehold("--home", str(tmp_path), "scaling", "simulate", "--prometheus", "30d", code=1)
    assert "--prometheus takes a range like 12h, 30d or 8w, and --instance says whose" in said.stderr
