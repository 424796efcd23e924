"""What there is, who holds it, and what was observed."""

from freehold.inventory.halls import ImportCounts
from freehold.inventory.store import DEVICE_KEY, Inventory
from freehold.models.hall import load_hall

__all__ = ["DEVICE_KEY", "ImportCounts", "Inventory", "load_hall"]
