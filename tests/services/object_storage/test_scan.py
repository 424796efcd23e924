"""The scan behind both probes finds what is open, and only that."""

from __future__ import annotations

import socket

from freehold.services.object_storage.probes.scan import answering, open_ports, sees_an_open_port

HERE, ELSEWHERE = "127.0.0.7", "127.0.0.8"


def test_it_finds_every_open_port_among_all() -> None:
    with socket.create_server((HERE, 0)) as one, socket.create_server((HERE, 0)) as other:
        ports = {one.getsockname()[1], other.getsockname()[1]}
        assert ports <= set(open_ports(HERE))
    assert not ports & set(open_ports(HERE, ports))


def test_addresses_are_told_apart() -> None:
    with socket.create_server((HERE, 0)) as listener:
        port = listener.getsockname()[1]
        assert answering([(HERE, port), (ELSEWHERE, port)]) == [(HERE, port)]


def test_it_checks_itself() -> None:
    assert sees_an_open_port()
