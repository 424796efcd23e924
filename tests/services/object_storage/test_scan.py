"""The scan behind both probes finds what is open, and only that."""

from __future__ import annotations

import socket

import pytest

from freehold.services.object_storage.probes.scan import PacketsLost, answering, open_ports

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


def test_silence_proves_nothing_where_a_port_that_is_open_is_not_heard() -> None:
    with socket.create_server((HERE, 0)) as listener:
        port = listener.getsockname()[1]
        assert answering([(ELSEWHERE, port)], control=(HERE, port)) == []
    with pytest.raises(PacketsLost, match=f"port {port} of {HERE} must answer and did so 0 of 2 times"):
        answering([(ELSEWHERE, port)], control=(HERE, port))
