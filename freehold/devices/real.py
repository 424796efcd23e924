"""Sessions with real devices, over SSH."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from freehold.devices.base import Secrets, Server, Switch
from freehold.devices.servers.driver import SshServer
from freehold.devices.ssh import connect
from freehold.models.access import Access


class RealDevices:
    """Implements `Devices`. Holds no connection itself: each session is one login."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets

    def switch(self, access: Access) -> AbstractContextManager[Switch]:
        from freehold.devices.switches import open_switch  # noqa: PLC0415  netmiko takes long to load

        return open_switch(access, self._secrets)

    @contextmanager
    def server(self, access: Access) -> Iterator[Server]:
        client = connect(access, self._secrets)
        try:
            server = SshServer(client, access, self._secrets)
            try:
                yield server
            finally:
                server.close()
        finally:
            client.close()
