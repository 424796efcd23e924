"""How people prove who they are at a provider's own single sign-on (OpenID Connect)."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from freehold.models.base import Model
from freehold.models.people import Role

LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")


def _issuer(given: str) -> str:
    parts = urlsplit(given)
    if not parts.hostname or parts.query or parts.fragment:
        raise ValueError("an issuer is an address like https://id.example.com/realms/staff")
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK_HOSTS):
        raise ValueError("an issuer is reached by https (http only on this computer)")
    return given


class OpenId(Model):
    """The OpenID provider, and how its words become ours."""

    issuer: Annotated[str, AfterValidator(_issuer)] = Field(description="exactly as the provider writes it in tokens")
    client_id: str = Field(min_length=1)
    client_secret: str = Field(default="", description="name of the secret that holds it; empty: a public client")
    scope: str = "openid profile email"
    name_claim: str = Field(default="preferred_username", description="the name that stands in the record")
    roles_claim: str = Field(default="groups", description="a list of groups; dots lead into objects")
    roles: dict[str, Role] = Field(min_length=1, description="the provider's groups, and the role that each gives")
    label: str = Field(default="single sign-on", max_length=40, description="what the login page calls it")
