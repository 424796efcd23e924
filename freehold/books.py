"""Books of rules: YAML files that operators keep, checked as they are read, and read again when they change."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from freehold.errors import BadInput
from freehold.models.wording import in_words
from freehold.services import service

M = TypeVar("M", bound=BaseModel)


class Kept(Generic[M]):
    """The book in the operator's file; where there is none, the shipped one."""

    def __init__(self, path: Path, shipped: Path, read: Callable[[Path], M]) -> None:
        self._path, self._shipped, self._read = path, shipped, read
        self._last: tuple[tuple[Path, int, int], M] | None = None

    @property
    def path(self) -> Path:
        """The file that holds now."""
        return self._path if self._path.exists() else self._shipped

    def book(self) -> M:
        """The same object as long as the file stays as it is. Raises BadInput in one sentence."""
        path = self.path
        found = path.stat()
        as_of = (path, found.st_mtime_ns, found.st_size)
        if self._last is None or self._last[0] != as_of:
            self._last = as_of, self._read(path)
        return self._last[1]


def read_yaml(path: Path, model: type[M]) -> M:
    """Raises BadInput that names the file, the place in it, the value and what is allowed."""
    try:
        given = yaml.safe_load(path.read_text())
        return model.model_validate({} if given is None else given)
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} is no YAML: {' '.join(str(error).split())[:300]}.") from error
    except ValidationError as error:
        raise BadInput(f"{path}: {_counted(in_words(error))}.") from error


def check_tier(where: str, service_name: str | None, tier: str | None) -> None:
    """What a rule is for must exist. Raises BadInput that says where it stands."""
    if service_name is None:
        return
    try:
        tiers = service(service_name).tiers()
    except BadInput as error:
        raise BadInput(f"{where}: {error}.") from error
    if tier is not None and tier not in tiers:
        raise BadInput(f"{where}: tier {tier!r} of {service_name} is not known; allowed: {', '.join(tiers)}.")


def _counted(words: str) -> str:
    """Rules are counted from one, as people do."""
    return re.sub(r"rules\.(\d+)(\.|: |)", lambda found: f"rule {int(found[1]) + 1}: ", words)
