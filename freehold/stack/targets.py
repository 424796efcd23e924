"""What Prometheus scrapes of the instances: one file per instance, which Prometheus watches by itself."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from pydantic import Field

from freehold.models.base import Model
from freehold.models.names import Name
from freehold.settings import Settings


class TargetGroup(Model):
    """Addresses (`host:port`) that share labels. `__scheme__` and `__metrics_path__` are labels to Prometheus."""

    targets: tuple[str, ...]
    labels: dict[str, str] = Field(default_factory=dict)


class TargetsChange(Model):
    changed: bool
    path: Path


def write_targets(settings: Settings, instance: Name, groups: list[TargetGroup]) -> TargetsChange:
    """Have `instance` scraped at exactly these addresses, labelled with its name. Repeating it changes nothing."""
    content = json.dumps(
        [
            {"targets": sorted(group.targets), "labels": {**group.labels, "freehold_instance": instance}}
            for group in groups
        ],
        indent=2,
        sort_keys=True,
    )
    path = settings.scrape_targets / f"{instance}.json"
    if path.exists() and path.read_text() == content:
        return TargetsChange(changed=False, path=path)
    write_atomically(path, content)
    return TargetsChange(changed=True, path=path)


def remove_targets(settings: Settings, instance: Name) -> TargetsChange:
    """Stop scraping `instance`; done already is fine."""
    path = settings.scrape_targets / f"{instance}.json"
    existed = path.exists()
    path.unlink(missing_ok=True)
    return TargetsChange(changed=existed, path=path)


def write_atomically(path: Path, content: str) -> None:
    """Readers see the old file or the new one, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".", delete=False) as file:
        file.write(content)
    Path(file.name).replace(path)
