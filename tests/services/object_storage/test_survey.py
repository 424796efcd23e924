"""What the survey of a customer's buckets finds, with servers of Swift's that exist only here."""

from __future__ import annotations

import io
import json
import sys
from typing import Any

import pytest
from swift.common.exceptions import ClientException

from freehold.services.base import Service
from freehold.services.object_storage.errands import survey
from tests.services.object_storage.conftest import make_plan
from tests.services.object_storage.test_way import HALL_OF_NINE

Headers = dict[str, str]


class Swift:
    """Two servers of everything; `away` does not answer."""

    def __init__(self, containers: dict[str, list[Headers | None]], account: Headers | None = None) -> None:
        self.containers, self.account = containers, account or {}
        self.away: set[int] = set()

    def get_nodes(self, *_: str) -> tuple[int, list[dict[str, Any]]]:
        return 0, [{"ip": f"10.0.0.{n}", "n": n} for n in (0, 1)]

    def get_account(self, node: dict[str, Any], _: int, __: str, marker: str = "", **___: Any) -> Any:
        self._answers(node)
        names = sorted(n for n, heads in self.containers.items() if n > marker and heads[node["n"]])
        return self.account, [{"name": name} for name in names[: survey.PAGE]]

    def head_container(self, node: dict[str, Any], _: int, __: str, name: str, **___: Any) -> Headers:
        self._answers(node)
        found = self.containers[name][node["n"]]
        if found is None:
            raise ClientException("not here", http_status=404)
        return {"X-Container-Object-Count": "0", "X-Container-Bytes-Used": "0", **found}

    def _answers(self, node: dict[str, Any]) -> None:
        if node["n"] in self.away:
            raise ConnectionRefusedError("refused")


def holding(objects: int, size: int, **more: str) -> Headers:
    counts = {"X-Container-Object-Count": str(objects), "X-Container-Bytes-Used": str(size)}
    return counts | {name.replace("_", "-"): value for name, value in more.items()}


def surveyed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], storage: Service, at: Swift) -> Any:
    (errand,) = storage.survey(make_plan(HALL_OF_NINE))
    assert errand.given["account"] == "AUTH_acme"
    monkeypatch.setattr(survey, "Ring", lambda *_, **__: at)
    monkeypatch.setattr(survey, "direct_get_account", at.get_account)
    monkeypatch.setattr(survey, "direct_head_container", at.head_container)
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(errand.given)))
    survey.main()
    return storage.contents(json.loads(capsys.readouterr().out))


@pytest.fixture
def survey_of(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], storage: Service) -> Any:
    return lambda at: surveyed(monkeypatch, capsys, storage, at)


def test_buckets_with_what_is_kept_beside_them(survey_of: Any) -> None:
    plain, other = holding(2, 100), holding(3, 100)
    found = survey_of(
        Swift({"a": [plain, other], "a+segments": [holding(9, 5000)] * 2, "b": [None, holding(1, 7)], "c": [plain] * 2})
    )
    assert [(p.name, p.objects, p.size_bytes) for p in found.parts] == [
        ("bucket a", 3, 5100),
        ("bucket b", 1, 7),
        ("bucket c", 2, 100),
    ]
    assert not found.users("versioning")


@pytest.mark.parametrize(
    ("feature", "containers"),
    [
        ("versioning", {"a": [holding(1, 1, x_container_sysmeta_versions_enabled="True"), holding(1, 1)]}),
        ("versioning", {"a": [holding(0, 0)] * 2, "\0versions\0a": [holding(4, 9), holding(0, 0)]}),
        ("static-sites", {"a": [holding(1, 1), holding(1, 1, X_Container_Meta_Web_Index="index.html")]}),
        ("quotas", {"a": [holding(1, 1, X_Container_Meta_Quota_Bytes="100")] * 2}),
    ],
)
def test_one_server_that_knows_of_a_use_is_enough(survey_of: Any, feature: str, containers: Any) -> None:
    found = survey_of(Swift({**containers, "z": [holding(1, 1)] * 2}))
    assert found.users(feature) == ("bucket a",)


def test_what_was_used_once_is_not_in_use(survey_of: Any) -> None:
    suspended = holding(0, 0, x_container_sysmeta_versions_enabled="False")
    assert not survey_of(Swift({"a": [suspended] * 2, "\0versions\0a": [holding(0, 0)] * 2})).users("versioning")


def test_an_account_may_have_a_quota_itself(survey_of: Any) -> None:
    assert survey_of(Swift({}, {"X-Account-Meta-Quota-Bytes": "5"})).users("quotas") == ("the account as a whole",)


def test_more_buckets_than_a_page_has(survey_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "PAGE", 2)
    assert len(survey_of(Swift({name: [holding(1, 1)] * 2 for name in "abcde"})).parts) == 5


def test_one_of_two_servers_may_be_away_but_not_both(survey_of: Any) -> None:
    at = Swift({"a": [holding(1, 1)] * 2})
    at.away = {0}
    assert len(survey_of(at).parts) == 1
    at.away = {0, 1}
    with pytest.raises(SystemExit, match="no server answers"):
        survey_of(at)
