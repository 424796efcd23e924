"""What pydantic found wrong, in one sentence that names the field, the value and what is allowed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from freehold.models.names import PATTERNS

SHOWN = 60
"""Longest value that is repeated to whoever gave it."""


def in_words(error: ValidationError) -> str:
    return "; ".join(_fault(each) for each in error.errors(include_url=False))


def _fault(found: Mapping[str, Any]) -> str:
    field = ".".join(str(part) for part in found["loc"])
    given = f" (given: {_shown(found['input'])})"
    match found["type"]:
        case "missing":
            return f"{field} is missing"
        case "extra_forbidden":
            return f"{field} is not a field{given}"
        case "model_type" | "model_attributes_type":
            return f"{field or 'the input'} must be one JSON object{given}"
        case "string_pattern_mismatch":
            allowed = PATTERNS.get(found["ctx"]["pattern"], f"what matches {found['ctx']['pattern']}")
            return f"{field} must be {allowed}{given}"
        case "value_error":
            return f"{field}: {found['ctx']['error']}" if field else str(found["ctx"]["error"])
        case _:
            return f"{field or 'the input'}: {found['msg'].replace('Input should', 'it should')}{given}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
