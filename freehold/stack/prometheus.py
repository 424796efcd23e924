"""Our Prometheus: its configuration from the template, its rules, its command line."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

import freehold
from freehold.services import all_rules
from freehold.settings import LOOPBACK, Settings
from freehold.stack.client import owns_server
from freehold.stack.targets import write_atomically

TEMPLATES = Path(freehold.__file__).parents[1] / "templates" / "prometheus"


def config_file(settings: Settings) -> Path:
    return settings.home / "prometheus" / "prometheus.yml"


def data_folder(settings: Settings) -> Path:
    return settings.home / "prometheus" / "data"


def rules_folder(settings: Settings) -> Path:
    return settings.home / "prometheus" / "rules"


def rule_files() -> dict[str, str]:
    """Recording rules and alerts by the name of their file: those of all services, and what each adds."""
    common = {path.stem: path.read_text() for path in sorted((TEMPLATES / "rules").glob("*.yml"))}
    return {f"{name}.yml": text for name, text in (common | all_rules()).items()}


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
        rules=rules_folder(settings),
    )


def write_config(settings: Settings) -> bool:
    """Bring configuration and rules up to date; True when something had to change."""
    settings.scrape_targets.mkdir(parents=True, exist_ok=True, mode=0o700)
    rules = {rules_folder(settings) / name: text for name, text in rule_files().items()}
    stale = set(rules_folder(settings).glob("*.yml")) - set(rules)
    for path in stale:
        path.unlink()
    files = rules | {config_file(settings): render_config(settings)}
    old = {path: text for path, text in files.items() if not path.exists() or path.read_text() != text}
    for path, text in old.items():
        write_atomically(path, text)
    return bool(old or stale)


def server_command(settings: Settings, prometheus: Path) -> tuple[str, ...]:
    return (
        str(prometheus),
        f"--config.file={config_file(settings)}",
        f"--storage.tsdb.path={data_folder(settings)}",
        f"--storage.tsdb.retention.time={settings.prometheus_retention_days}d",
        f"--web.listen-address={LOOPBACK}:{settings.prometheus_port}",
        "--log.format=json",
    )
