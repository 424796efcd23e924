"""The counting client: S3 clients on a customer's host that judge the service they use."""

from freehold.lab.client.controller import QUIET, CountingClient
from freehold.lab.client.models import ClientResult, Counts, Latencies, Load, PhaseResult, Progress

__all__ = ["QUIET", "ClientResult", "CountingClient", "Counts", "Latencies", "Load", "PhaseResult", "Progress"]
