"""What an operator may set: `FREEHOLD_*` in the environment, or `freehold.toml` in the configuration folder.

The connection to a Temporal server that is not ours comes from the standard `TEMPORAL_*` variables and
profiles instead (`freehold.stack.client`).
"""

from __future__ import annotations

import getpass
import json
import socket
from pathlib import Path
from typing import Annotated, Any, Self

import platformdirs
from pydantic import AfterValidator, AliasChoices, Field, FilePath, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from freehold.errors import BadInput
from freehold.models.base import Choice
from freehold.models.login import OpenId
from freehold.models.names import Person

Port = Annotated[int, Field(ge=1, le=65535, description="a TCP port on the loopback address")]
Folder = Annotated[Path, AfterValidator(lambda path: path.expanduser().absolute())]

LOOPBACK = "127.0.0.1"


class LogLevel(Choice):
    debug = "debug"
    info = "info"
    warning = "warning"
    error = "error"


class MailSecurity(Choice):
    none = "none"
    starttls = "starttls"
    tls = "tls"


def whoami() -> str:
    """`user@host` of this process, also for a user id without an entry in the password database."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"[:64]


class Settings(BaseSettings):
    """Frozen; pass it on, do not read it a second time."""

    model_config = SettingsConfigDict(
        env_prefix="FREEHOLD_",
        env_nested_delimiter="__",
        env_ignore_empty=True,
        frozen=True,
        extra="ignore",
        populate_by_name=True,
        toml_file=platformdirs.user_config_path("freehold") / "freehold.toml",
    )

    home: Folder = Field(
        default_factory=lambda: platformdirs.user_state_path("freehold"),
        description="where Freehold keeps its inventory, Temporal's database, metrics and logs",
    )
    cache: Folder = Field(
        default_factory=lambda: platformdirs.user_cache_path("freehold"),
        description="programs and images that can be fetched or built again",
    )
    database_url: str = Field(
        default="", repr=False, description="of the inventory, e.g. of a PostgreSQL; empty: an SQLite file in home"
    )

    identity: Person = Field(
        default_factory=whoami,
        validation_alias=AliasChoices("identity", "FREEHOLD_OPERATOR"),
        description="the name under which commands connect to Temporal; stands in every event they cause",
    )

    temporal_port: Port = Field(default=7233, description="our own Temporal server; all ports are on loopback")
    temporal_ui_port: Port = Field(default=8233, description="its Web UI")
    temporal_http_port: Port = Field(default=7243, description="its HTTP API")
    temporal_metrics_port: Port = Field(default=7235, description="its metrics")
    temporal_namespace: str = Field(default="default", description="the namespace of our procedures")
    temporal_retention_days: int = Field(default=30, ge=1, description="days a run is kept after its end")
    temporal_ui_url: str | None = Field(default=None, description="the Web UI of a server that is not ours")
    task_queue: str = Field(default="freehold", description="on which the workers take work")
    worker_module: str = Field(default="workers.main", description="what `freehold up` runs as its workers")

    worker_metrics_port: Port = Field(default=9466, description="the workers' metrics")
    prometheus_port: Port = Field(default=9090, description="our own Prometheus")
    prometheus_server: str | None = Field(
        default=None, description="another Prometheus that scaling is decided from; else our own"
    )
    prometheus_retention_days: int = Field(
        default=90, ge=1, description="days that metrics are kept; forecasts look back 56"
    )
    scrape_interval_s: int = Field(default=15, ge=1, description="seconds between looks at Temporal and the workers")
    instance_scrape_interval_s: int = Field(
        default=15, ge=1, description="seconds between looks at an instance; 5 in the demo"
    )

    login_port: Port = 8234
    login_host: str = Field(
        default=LOOPBACK,
        description="where the login in front of the Temporal Web UI listens; elsewhere only behind TLS",
    )

    login_url: str | None = Field(
        default=None, description="where browsers reach that login: a TLS proxy of yours in front of login_port"
    )
    openid: OpenId | None = Field(
        default=None, description="an OpenID provider to log in at: a table `[openid]` in the file, or JSON"
    )

    web_port: Port = 8235
    web_url: str | None = Field(
        default=None, description="where phones reach the technicians' page: a TLS proxy of yours in front of web_port"
    )

    policies: FilePath | None = Field(
        default=None, description="rules of approvals; else policies.yaml in the home, else those that come with it"
    )

    mail_server: str = Field(default="localhost:25", description="an SMTP server that takes our mail: host:port")
    mail_security: MailSecurity = Field(
        default=MailSecurity.none,
        description="none; starttls (usually port 587); tls (usually 465). The server's certificate is checked",
    )
    mail_ca: FilePath | None = Field(
        default=None, description="certificates (PEM) that the mail server's is signed by; else those of the system"
    )
    mail_login: str = Field(default="", description="name to log in to the mail server with; empty: no login")
    mail_secret: str = Field(
        default="mail/password", description="secret that holds its password: `freehold secret put mail/password`"
    )
    mail_from: str = Field(default="freehold@localhost", description="sender of our mail")

    scaling_rules: FilePath | None = Field(
        default=None, description="rules of scaling; else scaling.yaml in the home, else those that come with it"
    )
    scaling_every_s: int = Field(
        default=300, ge=0, description="seconds between looks at what instances need; 0: nobody looks"
    )

    cable_watch_s: int = Field(
        default=60, ge=0, description="seconds between looks at the cables of all instances; 0: nobody looks"
    )

    log_level: LogLevel = Field(default=LogLevel.info, description="debug, info, warning or error")

    @model_validator(mode="before")
    @classmethod
    def _default_database(cls, values: dict[str, Any]) -> dict[str, Any]:
        # Frozen: the value that depends on another one is filled in before validation.
        if not values.get("database_url"):
            home = Path(values.get("home") or platformdirs.user_state_path("freehold"))
            values["database_url"] = f"sqlite:///{home.expanduser().absolute()}/freehold.db"
        return values

    @model_validator(mode="after")
    def _password_is_not_sent_in_clear(self) -> Self:
        if self.mail_login and self.mail_security is MailSecurity.none:
            raise ValueError(
                f"mail_login is {self.mail_login!r} and mail_security none, which would send its password in clear; "
                "use starttls or tls"
            )
        return self

    @model_validator(mode="after")
    def _ports_differ(self) -> Self:
        seen: dict[int, str] = {}
        for name, port in self.ports().items():
            if port in seen:
                raise ValueError(f"{seen[port]} and {name} are both {port}; give each its own port")
            seen[port] = name
        return self

    def environment(self) -> dict[str, str]:
        """These settings for a process that we start; who runs a command is not the workers' identity."""
        dumped = self.model_dump(mode="json", exclude={"identity"}, exclude_none=True)
        return {
            f"FREEHOLD_{name.upper()}": json.dumps(value) if isinstance(value, dict) else str(value)
            for name, value in dumped.items()
        }

    def ports(self) -> dict[str, int]:
        return {name: value for name, value in self if name.endswith("_port") and isinstance(value, int)}

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def scrape_targets(self) -> Path:
        """One JSON file per instance, read by Prometheus."""
        return self.home / "prometheus" / "targets"

    @property
    def secrets_file(self) -> Path:
        """The encrypted secret store; its key lies beside it, unless FREEHOLD_SECRETS_KEY holds it."""
        return self.home / "secrets.json"

    @property
    def login_address(self) -> str:
        """The login in front of the Temporal Web UI, as browsers reach it."""
        return (self.login_url or f"http://{LOOPBACK}:{self.login_port}").rstrip("/")

    @property
    def page_url(self) -> str:
        """The technicians' page, as it stands in links and QR codes."""
        return (self.web_url or f"http://{LOOPBACK}:{self.web_port}").rstrip("/")

    @property
    def accounts_file(self) -> Path:
        """Who may log in, in which roles; written by `freehold account`."""
        return self.home / "accounts.yaml"

    @property
    def policies_file(self) -> Path:
        """Who must agree to what; where there is none, the rules that come with Freehold hold."""
        return self.policies or self.home / "policies.yaml"

    @property
    def scaling_file(self) -> Path:
        """When to scale; where there is none, the rules that come with Freehold hold."""
        return self.scaling_rules or self.home / "scaling.yaml"

    @property
    def prometheus_url(self) -> str:
        """Our own Prometheus."""
        return f"http://{LOOPBACK}:{self.prometheus_port}"

    @property
    def metrics_url(self) -> str:
        """The Prometheus that knows the instances."""
        return (self.prometheus_server or self.prometheus_url).rstrip("/")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def load_settings(**overrides: Any) -> Settings:
    """The settings of this process; `None` among `overrides` means not given."""
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        problems = [
            f"{'.'.join(map(str, problem['loc'])) or 'settings'}: {problem['msg']} (given: {_shown(problem)})"
            if problem["loc"]
            else problem["msg"].removeprefix("Value error, ")
            for problem in error.errors()
        ]
        raise BadInput(f"The settings cannot be used: {'; '.join(problems)}.") from error


def _shown(problem: Any) -> str:
    return "hidden" if "database_url" in problem["loc"] else repr(problem["input"])
