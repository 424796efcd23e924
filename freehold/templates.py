"""Texts that are rendered for devices and people, from the folder `templates/` beside this package."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

TEMPLATES = Path(__file__).resolve().parents[1] / "templates"


@cache
def environment(folder: str) -> Environment:
    """The templates below `templates/<folder>`; a name that a template is not given is an error."""
    return Environment(
        loader=FileSystemLoader(TEMPLATES / folder),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 (configuration files and commands, no HTML)
    )


def render(folder: str, template: str, **given: object) -> str:
    return environment(folder).get_template(template).render(**given)
