"""Reading what Prometheus knows: from a real one, and from one that is ill."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from freehold.errors import MetricsUnavailable
from freehold.metrics.prometheus import Prometheus
from freehold.metrics.reading import PEAKS, SERIES, questions, read_usage
from freehold.models.scaling import Measure
from freehold.models.scaling_policy import DataRules, Pace, ScalingPolicy
from freehold.settings import Settings
from freehold.stack import prometheus as ours
from freehold.stack.binaries import find_prometheus
from freehold.stack.targets import TargetGroup, write_targets
from tests.conftest import running
from tests.metrics.server import GIB, FakePrometheus, fake_prometheus, usage

DATA = DataRules(step_s=1, peak_step_s=5, history_s=50, most_age_s=30, most_skew_s=5)
SHORT = ScalingPolicy(data=DATA, up=Pace(window_s=10, cool_down_s=1), down=Pace(window_s=20, cool_down_s=1))


@pytest.fixture
def fake() -> Iterator[FakePrometheus]:
    with fake_prometheus() as made:
        yield made


def read(fake: FakePrometheus, *instances: str, policy: ScalingPolicy = SHORT, timeout_s: float = 5) -> Any:
    with Prometheus(fake.url, timeout_s) as prometheus:
        return read_usage(prometheus, instances, policy, time.time())


def test_each_gets_its_own(fake: FakePrometheus) -> None:
    fake.instances = {"acme-1": usage(0.5), "beta-1": usage(0.25, 4), "other-1": usage(1)}
    found = read(fake, "acme-1", "beta-1")
    assert set(found) == {"acme-1", "beta-1"}
    stored = found["beta-1"].measures[Measure.STORED]
    assert stored.recent.values[-1] == GIB
    assert len(stored.recent.times) == 11
    assert [b - a for a, b in zip(stored.peaks.times, stored.peaks.times[1:], strict=False)] == [5] * 10
    assert stored.peaks.times[-1] >= found["beta-1"].read_at
    assert found["acme-1"].measures[Measure.CAPACITY].recent.values[-1] == GIB
    assert not found["acme-1"].complaints


def test_what_is_not_foreseen_is_read_only_as_far_back_as_decisions_look(fake: FakePrometheus) -> None:
    fake.instances = {"acme-1": usage(0.5, cpu_ratio=0.2)}
    found = read(fake, "acme-1")["acme-1"]
    peaks = found.measures[Measure.CPU].peaks.times
    assert len(peaks) == 6
    assert peaks[0] <= found.read_at - SHORT.down.window_s
    assert peaks[-1] == found.measures[Measure.STORED].peaks.times[-1]


@pytest.mark.parametrize(
    "changed", [{"up": Pace(window_s=11, cool_down_s=1)}, {"down": Pace(window_s=50, cool_down_s=1)}]
)
def test_other_windows_are_other_questions(fake: FakePrometheus, changed: dict[str, Pace]) -> None:
    """Else the one who looks further back would take what was not asked for to be unknown."""
    fake.instances = {"acme-1": usage(0.5, cpu_ratio=0.2)}
    other = SHORT.model_copy(update=changed)
    seen = [read(fake, "acme-1", policy=policy)["acme-1"].measures[Measure.CPU] for policy in (SHORT, other)]
    assert len({(len(each.recent.times), len(each.peaks.times)) for each in seen}) == 2
    assert questions(SHORT) != questions(other)
    rests = Pace(window_s=SHORT.down.window_s, cool_down_s=99)
    assert questions(SHORT) == questions(SHORT.model_copy(update={"down": rests}))


@pytest.mark.parametrize("count", [1, 300])
def test_the_number_of_questions_does_not_depend_on_the_instances(fake: FakePrometheus, count: int) -> None:
    fake.instances = {f"acme-{n}": usage(0.5) for n in range(count)}
    assert len(read(fake, *fake.instances)) == count
    assert len(fake.asked) == 1 + len(SERIES) + len(PEAKS) + 2


def test_long_steps_are_read_from_what_rules_keep_of_every_hour(fake: FakePrometheus) -> None:
    fake.instances = {"acme-1": usage(0.5)}
    read(fake, "acme-1", policy=ScalingPolicy())
    assert "max_over_time(freehold:instance_stored_bytes:max1h[86400s])" in fake.asked
    assert "sum_over_time(freehold:instance_seen:share1h[86400s]) / 24 < 0.9" in fake.asked


def test_one_without_metrics_is_there_without_values(fake: FakePrometheus) -> None:
    fake.instances = {"acme-1": usage(0.5)}
    found = read(fake, "acme-1", "beta-1")
    assert not found["beta-1"].measures[Measure.STORED].recent.values
    assert found["beta-1"].measured_at is None
    assert found["acme-1"].measures[Measure.STORED].recent.values


def test_nan_stays_nan(fake: FakePrometheus) -> None:
    fake.instances = {"acme-1": usage(math.nan)}
    assert all(math.isnan(v) for v in read(fake, "acme-1")["acme-1"].measures[Measure.STORED].recent.values)


def test_two_series_are_a_complaint(fake: FakePrometheus) -> None:
    fake.instances, fake.twice = {"acme-1": usage(0.5)}, True
    assert any(
        "two series for the stored bytes of acme-1" in words for words in read(fake, "acme-1")["acme-1"].complaints
    )


def test_another_time_is_refused(fake: FakePrometheus) -> None:
    fake.instances = {"acme-1": usage(0.5)}
    for skew in (-60, 60):
        fake.clock = lambda skew=skew: time.time() + skew  # type: ignore[misc]
        with pytest.raises(MetricsUnavailable, match=r"clock and ours are (59|60|61) s apart"):
            read(fake, "acme-1")


@pytest.mark.parametrize(
    ("raw", "code", "words"),
    [
        (b"<html>gateway</html>", 502, "HTTP 502, and no JSON"),
        (b'{"status":"error","error":"query processing would load too many samples"}', 422, "too many samples"),
        (b"{}", 200, "not in the words of Prometheus"),
        (b'{"status":"success","data":{"resultType":"matrix","result":[]}}', 200, "does not say what time"),
        (b'{"status":"success","data":{"resultType":"scalar","result":[1,"NaN"]}}', 200, "does not say what time"),
    ],
)
def test_what_is_no_answer_is_said_in_words(fake: FakePrometheus, raw: bytes, code: int, words: str) -> None:
    fake.raw, fake.code = raw, code
    with pytest.raises(MetricsUnavailable, match=words):
        read(fake, "acme-1")


def test_one_that_is_too_slow_is_given_up(fake: FakePrometheus) -> None:
    fake.slow_s = 3
    began = time.monotonic()
    with pytest.raises(MetricsUnavailable, match=r"no answer in 0.3 s"):
        read(fake, "acme-1", timeout_s=0.3)
    assert time.monotonic() - began < 3


def test_one_that_is_stopped_is_named() -> None:
    with (
        Prometheus("http://127.0.0.1:9") as prometheus,
        pytest.raises(MetricsUnavailable, match=r"127.0.0.1:9 .*refused"),
    ):
        read_usage(prometheus, ["acme-1"], SHORT, time.time())


@pytest.fixture
def exporter() -> Iterator[tuple[int, dict[str, float]]]:
    """What an instance's exporters say, as text that tests change."""
    told = {"bytes": 0.25 * GIB}

    class Exporter(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if told["bytes"] else 500)
            self.end_headers()
            lines = {
                "freehold_account_bytes": told["bytes"],
                "freehold_account_objects": 7,
                "freehold_account_capacity_bytes": GIB,
                "freehold_account_read_timestamp_seconds": time.time(),
                'haproxy_frontend_http_requests_total{proxy="s3"}': time.time() * 3,
            }
            self.wfile.write("".join(f"{name} {value}\n" for name, value in lines.items()).encode())

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Exporter) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port, told
        server.shutdown()


def test_a_real_prometheus_with_the_shipped_rules(settings: Settings, exporter: tuple[int, dict[str, float]]) -> None:
    """From a scrape over the rules to what a decision is made of."""
    port, told = exporter
    settings = settings.model_copy(update={"instance_scrape_interval_s": 1})
    labels = {"instance": "acme-1", "customer": "acme", "server": "srv-1", "job": "server"}
    write_targets(settings, "acme-1", [TargetGroup(targets=(f"127.0.0.1:{port}",), labels=labels)])
    ours.write_config(settings)
    with running(ours.server_command(settings, find_prometheus(settings, print))):
        found = _until(settings, lambda u: len(u.measures[Measure.REQUESTS].recent.values) >= 3)
        assert found.measures[Measure.STORED].recent.values[-1] == 0.25 * GIB
        assert found.measures[Measure.OBJECTS].recent.values[-1] == 7
        assert found.measures[Measure.CAPACITY].recent.values[-1] == GIB
        assert 0 < found.measures[Measure.REQUESTS].recent.values[-1] < 4, "it was seen for a part of the window only"
        assert abs(found.measured_at - time.time()) < 10
        told["bytes"] = 0.5 * GIB
        higher = _until(settings, lambda u: u.measures[Measure.STORED].peaks.values[-1] == 0.5 * GIB)
        assert higher.measures[Measure.STORED].recent.values[0] == 0.25 * GIB
        told["bytes"] = 0
        gone = _until(settings, lambda u: u.coverage.values)
        assert max(gone.coverage.values) < DATA.least_coverage, "only what was seen too seldom is told"


def _until(settings: Settings, holds: Any) -> Any:
    end, seen = time.monotonic() + 60, None
    while time.monotonic() < end:
        try:
            with Prometheus(settings.metrics_url) as prometheus:
                seen = read_usage(prometheus, ["acme-1"], SHORT, time.time())["acme-1"]
            if seen.measures[Measure.STORED].recent.values and holds(seen):
                return seen
        except MetricsUnavailable as error:
            seen = error
        time.sleep(0.3)
    raise AssertionError(f"not so in time: {seen}")
