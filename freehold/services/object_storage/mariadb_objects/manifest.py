"""What this server holds, as one consistent listing."""

import json

from MySQLdb.cursors import SSCursor

from .manager import Router

FIELDS = (
    "device", "policy", "partition", "hash", "data_timestamp", "meta_timestamp", "ctype_timestamp", "tombstone",
    "size", "checksum",
)  # fmt: skip


class Manifest:
    """Prints a JSON line per object and tombstone, by device, policy, hash; the summary counts the lines."""

    def __init__(self, conf, logger):
        self.database = Router(conf, logger).manager.database

    def run_once(self):
        # In a native thread like all that is said to MariaDB; printing there is as good as anywhere.
        return {"rows": self.database.run(self._print), "failures": 0}

    def _print(self, cursor):
        rows = 0
        with cursor.connection.cursor(SSCursor) as listing:
            # One statement sees one moment, and SSCursor streams it.
            listing.execute(
                "SELECT device, policy, part, hash, data_ts, meta_ts, ctype_ts, tombstone, size, etag "
                "FROM objects ORDER BY device, policy, hash"
            )
            for row in listing:
                entry = dict(zip(FIELDS, row, strict=True))
                entry["tombstone"] = bool(entry["tombstone"])
                print(json.dumps(entry))
                rows += 1
        return rows


class Schema:
    """Creates or migrates the tables: connecting does."""

    def __init__(self, conf, logger):
        self.database = Router(conf, logger).manager.database

    def run_once(self):
        return {"version": self.database.run(_version), "failures": 0}


def _version(cursor):
    cursor.execute("SELECT MAX(version) FROM schema_version")
    return int(cursor.fetchone()[0])
