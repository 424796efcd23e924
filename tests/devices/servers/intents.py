"""An intent with something of every kind, and how to vary it."""

from __future__ import annotations

from freehold.models.server import (
    Directory,
    File,
    Filesystem,
    ServerIntent,
    Setup,
    Unit,
    User,
    secret_token,
)

SECRET = "instances/acme-1/password"
VALUE = "correct-horse-battery-staple-4711"
MARKER = "/srv/objects/made"

UNIT_FILE = """\
[Unit]
Description=A service for the test
[Service]
User=objects
ExecStartPre=+/bin/sh -c 'mkdir -p /var/log/objects && echo started >>/var/log/objects/log'
ExecStart=/usr/bin/sleep infinity
ExecReload=+/bin/sh -c 'echo reloaded >>/var/log/objects/log'
[Install]
WantedBy=multi-user.target
"""

WHOLE = ServerIntent(
    server="s1",
    packages=("memcached",),
    users=(User(name="objects", home="/srv/objects", groups=("adm",)),),
    filesystems=(
        Filesystem(
            disk="vdb", mountpoint="/srv/objects", label="objects", owner="objects", group="objects", mode=0o750
        ),
    ),
    directories=(Directory(path="/srv/objects/deep/er", owner="objects", group="objects", mode=0o700),),
    files=(
        File(path="/etc/memcached.conf", content="-m 32\n-p 11211\n-u memcache\n-l 127.0.0.1\n"),
        File(
            path="/etc/objects/main.conf", content=f"password = {secret_token(SECRET)}\n", mode=0o640, group="objects"
        ),
        File(path="/etc/objects/reloaded.conf", content="one\n"),
        File(path="/etc/objects/ring", content="AAEC/w==", base64=True),
        File(path="/etc/systemd/system/objects.service", content=UNIT_FILE),
    ),
    setups=(
        Setup(name="marker", check=("test", "-e", MARKER), apply=("touch", MARKER), undo=("rm", "-f", MARKER)),
        Setup(
            name="late",
            check=("test", "-e", "/var/lib/late"),
            apply=("sh", "-c", "systemctl is-active objects && touch /var/lib/late"),
            undo=("rm", "-f", "/var/lib/late"),
            after_units=True,
        ),
    ),
    units=(
        Unit(
            name="memcached.service",
            restart_on=("/etc/memcached.conf",),
            ready=("bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/11211"),
        ),
        Unit(name="objects.service", restart_on=("/etc/objects/main.conf",), reload_on=("/etc/objects/reloaded.conf",)),
    ),
    purge=("/var/log/objects",),
)


def with_file(intent: ServerIntent, path: str, content: str) -> ServerIntent:
    """The intent with another content of one of its files."""
    files = tuple(f.model_copy(update={"content": content}) if f.path == path else f for f in intent.files)
    return intent.model_copy(update={"files": files})


def with_setup(intent: ServerIntent, command: str, *, late: bool = False) -> ServerIntent:
    """The intent with a setup more, which runs after the files or, if late, after the units."""
    setup = Setup(name="extra", check=("false",), apply=("sh", "-c", command), after_units=late)
    return intent.model_copy(update={"setups": (*intent.setups, setup)})
