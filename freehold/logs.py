"""Structured logs: JSON lines for files and collectors, colours for a person at a terminal.

log = structlog.get_logger(__name__)
with bound(instance="acme-1", run=run_id):
    log.info("port opened", port="swp7")
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, TextIO

import structlog

from freehold.settings import LogLevel

# A last net under the rule that secrets are passed by reference.
_SECRET = ("password", "secret", "token", "api_key", "private_key", "passphrase", "credential_value")

LOG_BYTES, LOG_FILES = 10_000_000, 5

bound = structlog.contextvars.bound_contextvars
bind = structlog.contextvars.bind_contextvars


def configure_logs(
    level: LogLevel = LogLevel.info,
    *,
    file: Path | None = None,
    stream: TextIO | None = None,
    as_json: bool | None = None,
) -> None:
    """Send everything, also what libraries log with `logging`, to `file` (rotated) or `stream` (stderr)."""
    stream = stream or sys.stderr
    if as_json is None:
        as_json = bool(file) or not stream.isatty()
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _hide_secrets,
    ]
    last: list[structlog.typing.Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]
        if as_json
        else [structlog.dev.ConsoleRenderer(colors=stream.isatty())]
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = rotating(file) if file else logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for chatty in ("paramiko", "netmiko", "httpx", "httpcore", "botocore", "alembic", "asyncio"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLevelName(level.upper())))


def rotating(file: Path) -> RotatingFileHandler:
    return RotatingFileHandler(file, maxBytes=LOG_BYTES, backupCount=LOG_FILES, errors="replace")


def _hide_secrets(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key in event:
        if any(word in key.lower() for word in _SECRET):
            event[key] = "***"
    return event
