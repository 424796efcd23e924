"""Swift's object server with its objects in MariaDB: the storage of the compact tier.

It stands at Swift's DiskFile seam, so the object server's own code, the container updates and both ends of SSYNC are
Swift's (2.35.1 of Debian 13; the manager that SSYNC calls is not a published API, so the version is pinned). Objects
move between this and the disk object server by Swift's replication, with their timestamps and tombstones.

The package imports nothing but Swift, eventlet, MySQLdb and the standard library. On a server it lies in
/usr/lib/python3/dist-packages/freehold_mariadb_objects/, and the object server's configuration says

    [app:object-server]
    paste.app_factory = freehold_mariadb_objects.server:app_factory

Its commands are `python3 -m freehold_mariadb_objects replicator|auditor|collector|manifest|schema CONF [once|daemon]`.

Settings
--------
In [app:object-server] or [DEFAULT]; a section [mariadb-<command>] overrides them for one command.

    mariadb_socket      /run/mysqld/mysqld.sock
    mariadb_user        swift               vouched for by the operating system (unix_socket); see setup.sql
    mariadb_database    swift_objects
    mariadb_timeout     60                  seconds to wait for an answer
    mariadb_chunk_size  1048576             bytes; may change at any time, each body remembers its own
    lease_seconds       300                 see "The life of a body"
    reclaim_age         604800              Swift's own setting: how old a tombstone must be to be forgotten
    quarantine_age      2592000             how long broken objects are kept for an operator to look at
    bytes_per_second    10000000            how fast the auditor reads; 0 for no limit
    concurrency         4                   partitions that the replicator pushes at once
    interval            600                 seconds between a daemon's passes

Tables
------
    schema_version  one row per migration; made and migrated by whoever connects first, under a named lock
    objects         a row per object or tombstone and device: its timestamps, what PUT said, what POST said, its body
    bodies          a row per stored body: the size of its chunks, and when it may go
    chunks          the bytes, in rows of one chunk
    quarantined     rows of `objects` that were found broken, with the reason; they keep their bodies

Foreign keys hold chunks to bodies and bodies to those who have them: bytes that no row of `bodies` knows cannot be,
and a body that an object has cannot be removed. Each change of an object's state is one transaction that locks its
row, compares timestamps and writes: the newest wins, at the same time a tombstone wins over data, and POST metadata
and its content type win each by their own timestamp, as they do in a disk's .data, .meta and .ts files. A transaction
that lost a race is run again.

The life of a body
------------------
1. Upload. A body of at most one chunk is written in the transaction that writes its object. A larger one gets a row in
   `bodies` that expires one lease from now, and its chunks. The process renews the leases of all the bodies that it
   writes or reads, five times per lease, however slow its clients are.
2. An object's. `put` takes the expiry away and writes the object's row in one transaction, so a reader sees the old
   object or the new one, whole.
3. Superseded by PUT or DELETE, or forgotten as a handoff: the same transaction makes it expire one lease from now. Who
   opened the object before reads on, and renews the lease for as long as that takes.
4. Collected. The collector removes bodies that have expired: what was superseded and is read no more, and what a
   process left that was killed in the middle of an upload.

If MariaDB is away, requests get 503 and the next one after its return works: a connection that failed is closed, and
an idle one is asked before it is used. A full database is 507.

Limits
------
A statement carries one chunk or the metadata of one object. A connection is refused, with a sentence that says so,
unless max_allowed_packet holds two chunks (as text, every byte may need another) and 64 KiB. Objects are as large as
Swift allows (max_file_size, 5 GiB). The partition power cannot be changed in place, and only replication policies work.

Broken objects
--------------
The auditor reads every body and compares size and MD5 with the metadata; so does every GET of a whole object, before
its last chunk leaves. A broken object goes to `quarantined` in one transaction, if it is still the one that was
found broken. The next read gets 404, and the proxy asks another replica.

Leaving a server
----------------
As a handoff the replicator pushes to all primaries of a partition, asks each again what it has, and forgets in one
transaction what all of them have, if data and metadata are still of the timestamps that they have. `manifest` lists
what is left, as of one moment.
"""
