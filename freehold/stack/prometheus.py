"""Our Prometheus: its configuration from the template, its command line."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

import freehold
from freehold.settings import LOOPBACK, Settings
from freehold.stack.client import owns_server
from freehold.stack.targets import write_atomically

TEMPLATES = Path(freehold.__file__).parents[1] / "templates" / "prometheus"


def config_file(settings: Settings) -> Path:
    return settings.home / "prometheus" / "prometheus.yml"


def render_config(settings: Settings) -> str:
    jinja = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        autoescape=False,  # noqa: S701 - YAML, from our own settings
    )
    return jinja.get_template("prometheus.yml.j2").render(
        scrape_interval_s=settings.scrape_interval_s,
        instance_scrape_interval_s=settings.instance_scrape_interval_s,
        prometheus=f"{LOOPBACK}:{settings.prometheus_port}",
        workers=f"{LOOPBACK}:{settings.worker_metrics_port}",
        temporal=f"{LOOPBACK}:{settings.temporal_metrics_port}" if owns_server() else None,
        targets=settings.scrape_targets,
    )


def write_config(settings: Settings) -> bool:
    """Bring the configuration file up to date; True when it had to change."""
    settings.scrape_targets.mkdir(parents=True, exist_ok=True, mode=0o700)
    path, content = config_file(settings), render_config(settings)
    if path.exists() and path.read_text() == content:
        return False
    write_atomically(path, content)
    return True


def server_command(settings: Settings, prometheus: Path) -> tuple[str, ...]:
    return (
        str(prometheus),
        f"--config.file={config_file(settings)}",
        f"--storage.tsdb.path={settings.home / 'prometheus' / 'data'}",
        f"--storage.tsdb.retention.time={settings.prometheus_retention_days}d",
        f"--web.listen-address={LOOPBACK}:{settings.prometheus_port}",
        "--log.format=json",
    )
