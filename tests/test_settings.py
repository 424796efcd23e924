"""Settings, and the logs and command line that are made from them."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from freehold.errors import BadInput
from freehold.logs import bound, configure_logs
from freehold.settings import LogLevel, Settings, load_settings


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"FREEHOLD_{name.upper()}", raising=False)
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path))
    return monkeypatch


def test_defaults_follow_home(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = load_settings()
    assert settings.database_url == f"sqlite:///{tmp_path}/freehold.db"
    assert settings.logs == tmp_path / "logs"
    assert "@" in settings.identity


def test_environment_and_options_are_read(bare: pytest.MonkeyPatch) -> None:
    bare.setenv("FREEHOLD_OPERATOR", "maria")
    bare.setenv("FREEHOLD_PROMETHEUS_PORT", "9999")
    assert load_settings().identity == "maria"
    assert load_settings(identity="otto").identity == "otto"
    assert load_settings(identity=None).prometheus_port == 9999


def test_a_child_reads_the_same_settings(bare: pytest.MonkeyPatch) -> None:
    settings = load_settings(prometheus_port=9191, log_level="debug", temporal_retention_days=3, identity="maria")
    for name, value in settings.environment().items():
        bare.setenv(name, value)
    assert load_settings(identity="maria") == settings
    assert "FREEHOLD_IDENTITY" not in settings.environment()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"prometheus_port": "x"}, r"prometheus_port: .* valid integer.* \(given: 'x'\)"),
        ({"prometheus_port": 7233}, "temporal_port and prometheus_port are both 7233"),
        ({"identity": "a;b"}, r"identity: .*given: 'a;b'"),
        ({"log_level": "loud"}, "log_level: .*'debug', 'info'.*given: 'loud'"),
    ],
)
def test_a_wrong_value_is_one_sentence(bare: pytest.MonkeyPatch, values: dict[str, object], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        load_settings(**values)


def test_the_database_password_is_not_shown(bare: pytest.MonkeyPatch) -> None:
    settings = load_settings(database_url="postgresql://freehold:hunter2@db/freehold")
    assert "hunter2" not in repr(settings)


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Logs written here; what the tests had configured before comes back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_logs_are_json_lines_with_what_is_bound(stream: io.StringIO) -> None:
    configure_logs(LogLevel.info, stream=stream)
    with bound(instance="acme-1", run="7"):
        structlog.get_logger("x").info("port opened", port="swp7", password="hunter2")
        logging.getLogger("library").warning("slow by %s s", 3)
    structlog.get_logger("x").debug("unheard")
    ours, theirs = map(json.loads, stream.getvalue().splitlines())
    assert ours["event"] == "port opened"
    assert (ours["instance"], ours["run"], ours["port"]) == ("acme-1", "7", "swp7")
    assert theirs["event"] == "slow by 3 s"
    assert theirs["instance"] == "acme-1"
    assert "hunter2" not in stream.getvalue()


def test_logs_for_a_person_are_no_json(stream: io.StringIO) -> None:
    configure_logs(stream=stream, as_json=False)
    structlog.get_logger("x").info("port opened", port="swp7")
    assert "port opened" in stream.getvalue()
    assert not stream.getvalue().startswith("{")
