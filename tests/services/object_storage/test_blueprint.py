"""What the blueprint allows, and how it refuses the rest and its own mistakes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from freehold.errors import BadInput
from freehold.services import service
from freehold.services.base import Service
from freehold.services.object_storage.blueprint import PATH, blueprint, load_blueprint
from tests.services.object_storage.conftest import request


def test_the_least_request_is_allowed(storage: Service) -> None:
    storage.check(request())


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"tier": "huge"}, "tier 'huge' is not known; allowed: compact, distributed"),
        ({"tier": "distributed"}, "tier 'distributed' cannot be provisioned directly; begin with: compact"),
        ({"capacity_gib": 513}, "capacity_gib 513 is outside tier 'compact'; allowed: 1 to 512"),
        ({"web": "shared"}, "web 'shared' is not possible in tier 'compact'; allowed: dedicated"),
        ({"storage": "shared"}, "storage 'shared' is not possible in tier 'compact'; allowed: dedicated"),
        (
            {"features": ["versioning"]},
            "feature 'versioning' is not possible in tier 'compact'; this tier has no optional features",
        ),
    ],
)
def test_refusals_are_one_sentence_with_what_is_allowed(
    storage: Service, changes: dict[str, Any], refusal: str
) -> None:
    with pytest.raises(BadInput) as refused:
        storage.check(request(**changes))
    assert str(refused.value) == refusal


def test_an_unknown_service_names_the_known_ones() -> None:
    with pytest.raises(BadInput, match="service 'mail' is not known; allowed: object-storage"):
        service("mail")


@given(st.integers(min_value=1, max_value=512))
def test_a_disk_has_room_for_the_capacity(capacity: int) -> None:
    (need,) = service("object-storage").needs(request(capacity_gib=capacity))
    assert need.disk_gib > capacity
    assert (need.count, need.disks) == (1, 1)


def test_servers_of_the_distributed_tier_share_the_replicas(storage: Service) -> None:
    web, kept = storage.needs(request(tier="distributed", capacity_gib=300))
    assert (web.count, web.disks, web.disk_gib) == (2, 0, 0)
    assert kept.count == 3
    assert 3 * kept.disk_gib >= 2 * 300


@pytest.mark.parametrize(
    ("tier", "rate", "web", "workers"),
    [
        ("compact", None, 1, 1),
        ("compact", 60, 1, 1),
        ("compact", 61, 1, 2),
        ("compact", 120, 1, 2),
        ("distributed", 200, 2, 1),
        ("distributed", 201, 2, 2),
        ("distributed", 401, 3, 2),
        ("distributed", 3200, 16, 2),
    ],
)
def test_a_rate_takes_workers_first_and_then_servers(
    storage: Service, tier: str, rate: int | None, web: int, workers: int
) -> None:
    asked = request(tier=tier, requests_per_s=rate)
    blueprint().check_size(asked)
    assert (storage.needs(asked)[0].count, blueprint().tiers[tier].software(asked).workers) == (web, workers)


@given(st.integers(min_value=1, max_value=3200), st.integers(min_value=1, max_value=96_000))
def test_what_is_asked_for_is_what_a_size_carries(rate: int, capacity: int) -> None:
    asked = request(tier="distributed", requests_per_s=rate, capacity_gib=capacity)
    blueprint().check_size(asked)
    assert service("object-storage").size(asked).requests_per_s >= rate
    kept = service("object-storage").needs(asked)[1]
    assert kept.count * 8000 >= capacity * 2, "no server holds more than it may"


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"requests_per_s": 121}, "requests_per_s 121 is outside tier 'compact'; allowed: 1 to 120"),
        ({"tier": "distributed", "requests_per_s": 3201}, "requests_per_s 3201 is outside tier 'distributed'; allowed"),
        (
            {"tier": "distributed", "capacity_gib": 96_001},
            "capacity_gib 96001 takes 25 storage servers; tier 'distributed'",
        ),
    ],
)
def test_more_than_a_tier_carries_is_refused(changes: dict[str, Any], refusal: str) -> None:
    with pytest.raises(BadInput, match=refusal):
        blueprint().check_size(request(**changes))


def test_features_bring_their_middleware() -> None:
    plain, versioned = blueprint().middleware(()), blueprint().middleware(("versioning",))
    assert "versioned_writes" not in plain
    assert set(versioned) - set(plain) == {"versioned_writes", "symlink"}
    assert [m for m in versioned if m in plain] == list(plain)


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        (("ports", "proxy"), 99999, r"ports.proxy: .*less than or equal to 65535 \(given: 99999\)"),
        (("ports", "proxy"), 6201, "ports: container and proxy are both 6201; each port must be used once"),
        (("tiers", "compact", "features"), ["magic"], "'magic' is not one of quotas, static-sites, versioning"),
        (("tiers", "compact", "objects"), "tape", r"tiers.compact.objects: .*'mariadb' or 'disk' \(given: 'tape'\)"),
        (("tiers", "compact", "replicas"), 2, "replicas: 2 need as many storage servers"),
        (("tiers", "compact", "servers", 0, "disks"), 0, "a server with the role storage needs at least 1 disk"),
        (("tiers", "compact", "servers", 0, "roles"), ["web"], "no server has the role endpoint, storage"),
        (("tiers", "compact", "capacity_gib"), {"least": 5, "most": 4}, "least 5 must not be above most 4"),
        (("features", "quotas", "middleware"), ["nothing"], "middleware 'nothing' is not in pipeline"),
        (("colour",), "grey", "colour: Extra inputs are not permitted"),
    ],
)
def test_mistakes_in_the_file_are_named(tmp_path: Path, path: tuple[Any, ...], value: Any, complaint: str) -> None:
    data = yaml.safe_load(PATH.read_text())
    place = data
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    edited = tmp_path / "blueprint.yaml"
    edited.write_text(yaml.safe_dump(data))
    with pytest.raises(BadInput, match=complaint) as refused:
        load_blueprint(edited)
    assert str(refused.value).startswith(f"{edited}: ")
    assert "\n" not in str(refused.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"none\.yaml: cannot be read"):
        load_blueprint(tmp_path / "none.yaml")
