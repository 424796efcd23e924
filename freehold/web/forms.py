"""Forms that only our own pages can send: read within limits, with a key bound to the reader's cookie."""

from __future__ import annotations

import hashlib
import hmac
from urllib.parse import parse_qsl

from fastapi import Request

from freehold.errors import BadInput

LARGEST_BODY = 64 * 1024
MOST_FIELDS = 50


class Foreign(BadInput):
    """A form that did not come from our page, or from one that is too old."""


def form_key(cookie: str) -> str:
    """Whoever cannot read the cookie cannot make it."""
    return hmac.new(cookie.encode(), b"a form of freehold", hashlib.sha256).hexdigest()


async def read_form(request: Request, cookie: str) -> dict[str, str]:
    """The fields of a form. Raises Foreign, or BadInput when it is too large or not a form."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
        raise BadInput("Send the form of the page; this is none.")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            raise BadInput(f"The form has more than {LARGEST_BODY // 1024} KiB; write less.")
    try:
        fields = dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS))
    except ValueError as error:
        raise BadInput("The form cannot be read; load the page again.") from error
    if not cookie or not hmac.compare_digest(fields.pop("form_key", "").encode(), form_key(cookie).encode()):
        raise Foreign("This form is too old or not from this page; load the page again.")
    return fields
