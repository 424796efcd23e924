"""A data centre in one machine. `Lab` builds, switches, cables and removes it."""

from freehold.lab.lab import Lab
from freehold.lab.models import DeviceStatus, LabStatus, PowerAction

__all__ = ["DeviceStatus", "Lab", "LabStatus", "PowerAction"]
