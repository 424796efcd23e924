"""The tables, and how a database comes to have them."""

# Index n holds the statements that lead from version n to version n + 1. Never edit one that was
# released: append. DDL commits by itself in MariaDB, so each statement must bear being run twice.
MIGRATIONS = [
    [
        """CREATE TABLE IF NOT EXISTS bodies (
            id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
            chunk_size INT UNSIGNED NOT NULL,
            expires_at DATETIME(6) NULL COMMENT 'NULL while an object has it',
            KEY by_expiry (expires_at)
        ) ENGINE=InnoDB CHARACTER SET ascii COLLATE ascii_bin""",
        """CREATE TABLE IF NOT EXISTS chunks (
            body BIGINT UNSIGNED NOT NULL,
            seq INT UNSIGNED NOT NULL,
            data LONGBLOB NOT NULL,
            PRIMARY KEY (body, seq),
            CONSTRAINT chunk_of_body FOREIGN KEY (body) REFERENCES bodies (id)
        ) ENGINE=InnoDB CHARACTER SET ascii COLLATE ascii_bin""",
        """CREATE TABLE IF NOT EXISTS objects (
            device VARCHAR(255) NOT NULL,
            policy INT UNSIGNED NOT NULL,
            hash CHAR(32) NOT NULL,
            part INT UNSIGNED NOT NULL,
            name VARBINARY(4096) NOT NULL,
            data_ts VARCHAR(40) NOT NULL,
            tombstone BOOLEAN NOT NULL,
            size BIGINT UNSIGNED NOT NULL,
            etag CHAR(32) NULL,
            body BIGINT UNSIGNED NULL COMMENT 'NULL for tombstones and empty objects',
            metadata LONGBLOB NULL COMMENT 'JSON, as written by PUT',
            meta_ts VARCHAR(40) NULL,
            ctype_ts VARCHAR(40) NULL,
            post_metadata LONGBLOB NULL COMMENT 'JSON, as written by POST',
            PRIMARY KEY (device, policy, hash),
            KEY by_partition (device, policy, part),
            KEY by_tombstone (tombstone, data_ts),
            UNIQUE KEY by_body (body),
            CONSTRAINT body_of_object FOREIGN KEY (body) REFERENCES bodies (id)
        ) ENGINE=InnoDB CHARACTER SET ascii COLLATE ascii_bin""",
        """CREATE TABLE IF NOT EXISTS quarantined (
            id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
            quarantined_at DATETIME(6) NOT NULL,
            reason VARCHAR(1024) CHARACTER SET utf8mb4 NOT NULL,
            device VARCHAR(255) NOT NULL,
            policy INT UNSIGNED NOT NULL,
            hash CHAR(32) NOT NULL,
            part INT UNSIGNED NOT NULL,
            name VARBINARY(4096) NOT NULL,
            data_ts VARCHAR(40) NOT NULL,
            size BIGINT UNSIGNED NOT NULL,
            etag CHAR(32) NULL,
            body BIGINT UNSIGNED NULL,
            metadata LONGBLOB NULL,
            meta_ts VARCHAR(40) NULL,
            ctype_ts VARCHAR(40) NULL,
            post_metadata LONGBLOB NULL,
            KEY by_age (quarantined_at),
            UNIQUE KEY by_body (body),
            CONSTRAINT body_of_quarantined FOREIGN KEY (body) REFERENCES bodies (id)
        ) ENGINE=InnoDB CHARACTER SET ascii COLLATE ascii_bin""",
    ],
]
VERSION = len(MIGRATIONS)
LOCK_NAME = "freehold_mariadb_objects.schema"
LOCK_SECONDS = 60


class SchemaError(Exception):
    """The database cannot be brought to the schema that this program needs."""


def migrate(cursor):
    """Bring the database to VERSION, whoever else tries the same at this moment. Returns the version found."""
    found = _version(cursor)
    if found == VERSION:
        return found
    cursor.execute("SELECT GET_LOCK(%s, %s)", (LOCK_NAME, LOCK_SECONDS))
    if cursor.fetchone()[0] != 1:
        raise SchemaError(f"no schema lock within {LOCK_SECONDS} s: another process is migrating the database")
    try:
        found = _version(cursor)
        if found > VERSION:
            raise SchemaError(f"the database has schema version {found}, this program knows up to {VERSION}")
        for version in range(found, VERSION):
            for statement in MIGRATIONS[version]:
                cursor.execute(statement)
            cursor.execute("INSERT INTO schema_version VALUES (%s, UTC_TIMESTAMP(6))", (version + 1,))
    finally:
        cursor.execute("SELECT RELEASE_LOCK(%s)", (LOCK_NAME,))
        cursor.fetchall()
    return found


def _version(cursor):
    cursor.execute(
        "CREATE TABLE IF NOT EXISTS schema_version "
        "(version INT UNSIGNED NOT NULL PRIMARY KEY, applied_at DATETIME(6) NOT NULL) ENGINE=InnoDB"
    )
    cursor.execute("SELECT COALESCE(MAX(version), 0) FROM schema_version")
    return int(cursor.fetchone()[0])
