"""A real Prometheus that has known thousands of instances for weeks; its memory is made beforehand by `promtool`."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from freehold.errors import MetricsUnavailable
from freehold.metrics.prometheus import Prometheus
from freehold.metrics.reading import MEASURED_AT, PEAKS, SEEN_SHARE, SERIES
from freehold.models.units import DAY_S
from freehold.models.usage import Usage
from freehold.stack import prometheus as server
from freehold.stack.binaries import find_prometheus, find_promtool
from freehold.stack.targets import write_atomically
from tests.conftest import own_settings, running

SCRAPED_S = 60
BACK_S, AHEAD_S = 2700, 1800
"""How far back recent values go, and how far ahead: making all this takes minutes."""
VALUES_A_DAY = 4
"""Of each series that rules keep for the long history. They keep 24, but then this would take half an hour."""
UNTIL_READY = Retrying(
    retry=retry_if_exception_type(MetricsUnavailable), stop=stop_after_delay(60), wait=wait_fixed(0.1), reraise=True
)
NAMED = re.compile(r"([a-z:_0-9]+)(?:\{(.*)\})?")


@contextmanager
def remembering(fleet: Iterable[tuple[str, Usage]], now: float) -> Iterator[str]:
    """The address of a Prometheus with all this in its blocks; it dies with this process, however that ends."""
    with tempfile.TemporaryDirectory(prefix="freehold-history-") as folder:
        settings, text = own_settings(Path(folder)), Path(folder) / "history.txt"
        with text.open("w") as out:
            for instance, usage in fleet:
                write(out, instance, usage, now)
            out.write("# EOF\n")
        # Neither targets nor rules: what is remembered is all there is.
        write_atomically(server.config_file(settings), "{}\n")
        # One block: made of blocks of two hours it would read the text once for each.
        whole = ("--quiet", "--max-block-duration=8760h", "openmetrics", text, server.data_folder(settings))
        subprocess.run([find_promtool(settings, print), "tsdb", "create-blocks-from", *whole], check=True)
        text.unlink()
        with running(server.server_command(settings, find_prometheus(settings, print))):
            with Prometheus(settings.metrics_url) as asked:
                UNTIL_READY(asked.clock)
            yield settings.metrics_url


def write(out: TextIO, instance: str, usage: Usage, now: float) -> None:
    """What rules have kept of an instance, as lines of OpenMetrics."""

    def values(query: str, rows: Iterable[tuple[float, float]], suffix: str = "") -> None:
        name, more = NAMED.fullmatch(query).groups()  # type: ignore[union-attr]  # ours all fit
        labels = ",".join(filter(None, (f'instance="{instance}",customer="bench"', more)))
        out.writelines(f"{name}{suffix}{{{labels}}} {value:.9g} {at:.3f}\n" for at, value in rows)

    lately = [now + at for at in range(-BACK_S, AHEAD_S, SCRAPED_S)]
    for measure, query in SERIES.items():
        seen = usage.measures[measure]
        values(query, [(at, seen.recent.values[-1]) for at in lately])
        if measure in PEAKS:
            days = zip(seen.peaks.times, seen.peaks.values, strict=True)
            values(query, [row for end, peak in days for row in a_day(end, peak)], ":max1h")
    # Each stands for as many hours as are left out.
    hours = 24 / VALUES_A_DAY
    values(SEEN_SHARE, [(at, hours) for end in usage.coverage.times for at, _ in a_day(end, 1)])
    values(MEASURED_AT, [(at, at) for at in lately])


def a_day(end: float, peak: float) -> list[tuple[float, float]]:
    """The values of a day with this peak, in its last hours."""
    step = DAY_S / VALUES_A_DAY
    return [(end - step * n, peak * (1 - 0.02 * n)) for n in range(VALUES_A_DAY - 1, -1, -1)]
