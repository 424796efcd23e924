"""Documents in the database as models. A text is read once: models are frozen, so all readers may share one."""

from __future__ import annotations

from functools import lru_cache
from typing import TypeVar

from pydantic import BaseModel

M = TypeVar("M", bound=BaseModel)

KEPT = 2**16
"""More than a hall of 10,000 servers has, with their cables."""


def parsed(model: type[M], document: str) -> M:
    found: M = _parsed(model, document)
    return found


@lru_cache(maxsize=KEPT)
def _parsed(model: type[M], document: str) -> M:
    return model.model_validate_json(document)
