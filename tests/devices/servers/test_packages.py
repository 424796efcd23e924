"""Packages from a repository on the machine itself: installed without starting anything, gone without a trace."""

from __future__ import annotations

import pytest

from freehold.errors import CommandRejected
from freehold.models.server import ServerIntent, Unit
from tests.devices.servers.conftest import Bench

pytestmark = pytest.mark.lab

# A package `alpha` with a unit that enables and starts itself, as Debian's do, and `beta` that depends on it.
REPOSITORY = r"""
set -e
mkdir -p /opt/repo/{alpha,beta}/DEBIAN /opt/repo/alpha/usr/lib/systemd/system /opt/repo/kept
cd /opt/repo
cat >alpha/usr/lib/systemd/system/alpha.service <<'END'
[Service]
ExecStart=/usr/bin/sleep infinity
[Install]
WantedBy=multi-user.target
END
cat >alpha/DEBIAN/postinst <<'END'
#!/bin/sh -e
systemctl daemon-reload
systemctl enable alpha.service
deb-systemd-invoke start alpha.service
mkdir -p /var/lib/alpha
END
cat >alpha/DEBIAN/prerm <<'END'
#!/bin/sh -e
systemctl disable --now alpha.service
END
cat >alpha/DEBIAN/postrm <<'END'
#!/bin/sh -e
[ "$1" != purge ] || rm -rf /var/lib/alpha
systemctl daemon-reload
END
chmod 755 alpha/DEBIAN/p*
for name in alpha beta; do
    {
        echo "Package: $name"
        [ $name = alpha ] || echo "Depends: alpha"
        printf 'Version: 1\nArchitecture: all\nMaintainer: t <t@example.org>\nDescription: t\n'
    } >$name/DEBIAN/control
    dpkg-deb --build $name $name.deb >/dev/null
    {
        cat $name/DEBIAN/control
        echo "Filename: ./$name.deb"
        echo "Size: $(stat -c %s $name.deb)"
        echo "SHA256: $(sha256sum $name.deb | cut -d' ' -f1)"
        echo
    } >>Packages
done
mv /etc/apt/sources.list* /opt/repo/kept/ 2>/dev/null || true
mkdir -p /etc/apt/sources.list.d
echo 'deb [trusted=yes] copy:/opt/repo ./' >/etc/apt/sources.list.d/test.list
"""

TAKE_AWAY = r"""
rm -rf /etc/apt/sources.list.d; mv /opt/repo/kept/sources.list* /etc/apt/ 2>/dev/null
rm -rf /opt/repo /var/lib/apt/lists/*
"""


def test_packages_come_without_starting_and_go_without_a_trace(bench: Bench) -> None:
    bench.shell(REPOSITORY)
    try:
        with bench.session() as server:
            before = server.snapshot()
        intent = ServerIntent(server="s1", packages=("beta",))
        assert bench.apply(intent) == "+ package beta"
        assert bench.shell("dpkg-query -W -f '${Package} ' alpha beta") == "alpha beta"
        assert bench.shell("systemctl is-active alpha || true; systemctl is-enabled alpha || true").split() == [
            "inactive",
            "disabled",
        ]
        assert bench.apply(intent) == ""
        assert bench.apply(intent.model_copy(update={"units": (Unit(name="alpha.service"),)})) == (
            "~ unit alpha.service: enable, start"
        )
        with bench.session() as server:
            removed = server.remove(intent)
            assert "- package alpha\n- package beta" in removed.diff
            assert server.snapshot() == before
        with pytest.raises(
            CommandRejected, match=r"packages gamma cannot be installed.*Unable to locate package gamma"
        ):
            bench.apply(ServerIntent(server="s1", packages=("gamma",)))
    finally:
        bench.shell(TAKE_AWAY)
