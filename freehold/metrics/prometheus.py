"""Asking Prometheus over its HTTP API. Whatever is not a whole answer is one error, in words."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
from pydantic_core import from_json

from freehold.errors import MetricsUnavailable
from freehold.models.usage import Series

TIMEOUT_S = 30.0
"""One question takes milliseconds, or seconds for thousands of instances; longer means that something is ill."""

AHEAD = 2
"""Questions that Prometheus works on at once, which it does on a core each."""


@dataclass(frozen=True, slots=True)
class Row:
    """One series of an answer."""

    labels: Mapping[str, str]
    series: Series


@dataclass(frozen=True, slots=True)
class Span:
    """A question for values at `start` and every `step_s` after it until `end`; where there is none there is a gap."""

    query: str
    start: float
    end: float
    step_s: float


class Prometheus:
    """One server. Use it in one thread, and as a context."""

    def __init__(self, url: str, timeout_s: float = TIMEOUT_S) -> None:
        self._url = url.rstrip("/")
        self._timeout_s = timeout_s
        self._http = httpx.Client(timeout=httpx.Timeout(timeout_s, connect=5), trust_env=False)
        self.asked = 0
        """Questions so far."""

    def __enter__(self) -> Prometheus:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def clock(self) -> float:
        """The time that Prometheus has."""
        match self._ask("query", query="time()"):
            case {"resultType": "scalar", "result": [_, str(value)]} if math.isfinite(float(value)):
                return float(value)
        raise self._no_answer("it does not say what time it is")

    def instant(self, query: str, at: float) -> list[Row]:
        found = self._ask("query", query=query, time=f"{at:.3f}")
        return [
            Row(each["metric"], Series([each["value"][0]], [float(each["value"][1])]))
            for each in self._rows(found, "vector")
        ]

    def range(self, span: Span) -> list[Row]:
        (rows,) = self.ranges([span])
        return rows

    def ranges(self, spans: Sequence[Span]) -> Iterator[list[Row]]:
        """The answer to each, in order. While one is read here, Prometheus looks for the next ones."""
        self.asked += len(spans)
        with ThreadPoolExecutor(AHEAD) as pool:
            coming = deque(pool.submit(self._fetch_range, span) for span in spans[:AHEAD])
            for number, span in enumerate(spans, AHEAD):
                answer = coming.popleft().result()
                coming.extend(pool.submit(self._fetch_range, after) for after in spans[number : number + 1])
                yield self._series(span, answer)

    def _fetch_range(self, span: Span) -> httpx.Response:
        start, end, step = f"{span.start:.3f}", f"{span.end:.3f}", f"{span.step_s:g}"
        return self._fetch("query_range", query=span.query, start=start, end=end, step=step)

    def _series(self, span: Span, answer: httpx.Response) -> list[Row]:
        # Whole series have the same times: one list of them serves thousands of instances.
        known: dict[tuple[int, float, float], list[float]] = {}
        rows = []
        for each in self._rows(self._data(answer), "matrix"):
            values = each["values"]
            reach = len(values), values[0][0], values[-1][0]
            whole = round((reach[2] - reach[1]) / span.step_s) + 1 == reach[0]
            times = known.get(reach) if whole else None
            if times is None:
                times = known[reach] = [time for time, _ in values]
            rows.append(Row(each["metric"], Series(times, [float(value) for _, value in values])))
        return rows

    def _rows(self, found: Any, kind: str) -> list[dict[str, Any]]:
        match found:
            case {"resultType": str(given), "result": list(rows)} if given == kind:
                return rows
        raise self._no_answer("it answered something else than was asked for")

    def _ask(self, path: str, **parameters: str) -> Any:
        self.asked += 1
        return self._data(self._fetch(path, **parameters))

    def _fetch(self, path: str, **parameters: str) -> httpx.Response:
        given = parameters | {"timeout": f"{self._timeout_s:g}s"}
        try:
            return self._http.post(f"{self._url}/api/v1/{path}", data=given)
        except httpx.TimeoutException as error:
            raise self._no_answer(f"no answer in {self._timeout_s:g} s") from error
        except httpx.HTTPError as error:
            raise self._no_answer(str(error) or type(error).__name__) from error

    def _data(self, answer: httpx.Response) -> Any:
        try:
            body = from_json(answer.content, cache_strings="keys")
        except ValueError as error:
            raise self._no_answer(f"HTTP {answer.status_code}, and no JSON") from error
        match body:
            case {"status": "success", "data": data}:
                return data
            case {"error": str(words)}:
                raise self._no_answer(words[:300])
        raise self._no_answer(f"HTTP {answer.status_code}, and not in the words of Prometheus")

    def _no_answer(self, why: str) -> MetricsUnavailable:
        return MetricsUnavailable(f"Prometheus at {self._url} does not answer as it should: {why}.")
