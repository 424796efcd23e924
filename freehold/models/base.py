"""What every model of Freehold is: frozen, strict about fields, hashable by content."""

from __future__ import annotations

import hashlib
import json
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """Frozen base of all models. Unknown fields are errors, so a typing mistake never passes in silence."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class Message(BaseModel):
    """Base of what people send. Frozen, but forgiving: fields it does not know are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", str_strip_whitespace=True)


class Choice(StrEnum):
    """Base of closed sets; the value is what people read and type."""


def content_hash(value: BaseModel | dict[str, Any] | list[Any]) -> str:
    """SHA-256 over the canonical JSON of `value`: same content, same hash, on every machine."""
    data = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
    canonical = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
