"""Names that may reach a device's command line. Only a safe alphabet passes, so no template has to quote."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Annotated

from pydantic import AfterValidator, Field, PlainSerializer, StringConstraints

_NAME = r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$"
_PERSON = r"^[A-Za-z0-9][A-Za-z0-9 ._@+-]*$"
_FOLDER = r"^(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+$"
PATTERNS = {
    _NAME: "lower-case letters, digits and single dashes, beginning with a letter, at most 32",
    _PERSON: "a name of letters, digits, space and . _ @ + -, at most 64",
    _FOLDER: "an absolute path of letters, digits and . _ -, at most 200, in which no name begins with a dot",
}
"""What a pattern that people meet allows, in words."""

Name = Annotated[
    str,
    StringConstraints(pattern=_NAME, min_length=1, max_length=32),
    Field(description=PATTERNS[_NAME]),
]
PortName = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9/._-]*$", max_length=32),
    Field(description="a port as its device calls it, e.g. swp7, Ethernet1/3, eth1"),
]
Label = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._:/#-]*$", max_length=64),
    Field(description="letters, digits, space and . _ : / # -, at most 64"),
]
Serial = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]*$", max_length=64)]
Mac = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{2}:){5}[0-9a-f]{2}$")]
Vlan = Annotated[int, Field(ge=1, le=4094, description="IEEE 802.1Q VLAN id")]
Person = Annotated[
    str,
    StringConstraints(pattern=_PERSON, max_length=64, strip_whitespace=True),
    Field(description=f"who is speaking: {PATTERNS[_PERSON]}"),
]

Folder = Annotated[
    str,
    StringConstraints(pattern=_FOLDER, max_length=200),
    Field(description=PATTERNS[_FOLDER]),
]


def _no_host_bits(value: IPv4Network) -> IPv4Network:
    if value.prefixlen > 30:
        raise ValueError(f"{value} has no room for hosts; use a prefix of /30 or shorter")
    return value


Address = Annotated[IPv4Address, PlainSerializer(str, return_type=str)]
Interface = Annotated[IPv4Interface, PlainSerializer(str, return_type=str)]
Prefix = Annotated[IPv4Network, AfterValidator(_no_host_bits), PlainSerializer(str, return_type=str)]
