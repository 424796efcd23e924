"""One pass: remove bodies that nobody needs, tombstones past their age, and what was quarantined long ago."""

from . import bodies, objects
from .manager import Router

BATCH = 100
DEFAULT_QUARANTINE_AGE = 30 * 24 * 3600


class Collector:
    def __init__(self, conf, logger):
        self.manager = Router(conf, logger).manager
        self.database = self.manager.database
        self.quarantine_age = int(conf.get("quarantine_age", DEFAULT_QUARANTINE_AGE))

    def run_once(self):
        return {
            "tombstones": until_none(self.database, objects.reclaim_tombstones, self.manager.reclaim_age, BATCH),
            "quarantined": until_none(self.database, objects.drop_quarantined, self.quarantine_age, BATCH),
            # One body a transaction: a large one is thousands of chunks.
            "bodies": until_none(self.database, bodies.collect, 1),
            "leased": self.database.run(bodies.count_leased),
            "failures": 0,
        }


def until_none(database, work, *args):
    """Repeat a transaction that says how many it removed until there are none. How many there were."""
    total = 0
    while done := database.run(work, *args):
        total += done
    return total
