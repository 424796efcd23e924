"""What customers keep in an instance, and where it may be taken before the instance ends."""

from __future__ import annotations

from pydantic import Field

from freehold.models.base import Model
from freehold.models.names import Folder, Name
from freehold.models.units import GIB

NAMED_MOST = 10
"""Parts that are named in words; of the rest only the number is."""


class Part(Model):
    """A part of what customers keep, named in the service's words, e.g. `bucket photos`."""

    name: str
    objects: int = 0
    size_bytes: int = 0
    features: tuple[Name, ...] = Field(default=(), description="features that it uses")


class Contents(Model):
    """All that customers keep in an instance, as it was counted."""

    parts: tuple[Part, ...] = ()
    unknown: str = Field(default="", description="why it could not be counted")

    def users(self, feature: str) -> tuple[str, ...]:
        return tuple(part.name for part in self.parts if feature in part.features)

    def words(self) -> str:
        if self.unknown:
            return f"what could not be counted ({self.unknown})"
        size = sum(p.size_bytes for p in self.parts)
        total = f"{sum(p.objects for p in self.parts):,} objects, {size / GIB:.2f} GiB"
        biggest = sorted(self.parts, key=lambda p: (-p.size_bytes, p.name))
        parts = [f"{p.name} ({p.objects:,} objects, {p.size_bytes / GIB:.2f} GiB)" for p in biggest]
        return f"{total}: {some_of(parts)}" if parts else "nothing"

    def outlined(self) -> Contents:
        """The same in so few parts that a history may carry it."""
        biggest = sorted(self.parts, key=lambda p: (-p.size_bytes, p.name))
        rest = biggest[NAMED_MOST:]
        if not rest:
            return self
        others = Part(
            name=f"{len(rest)} more",
            objects=sum(p.objects for p in rest),
            size_bytes=sum(p.size_bytes for p in rest),
        )
        return self.model_copy(update={"parts": (*biggest[:NAMED_MOST], others)})


def some_of(names: list[str]) -> str:
    more = len(names) - NAMED_MOST
    return ", ".join(names[:NAMED_MOST]) + (f" and {more} more" if more > 0 else "")


class ExportTarget(Model):
    """Where everything is written before it is destroyed: a folder of a host of the customer."""

    host: Name = Field(description="a host of the customer, as the inventory calls it")
    folder: Folder = Field(description="a folder there; one of the instance's name is made in it")

    def __str__(self) -> str:
        return f"{self.host}:{self.folder}"
