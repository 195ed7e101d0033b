"""Reads what a browser's form sends: a few short fields, in time, and nothing of another shape.

Rule: a body is read no further than a form may be long, and what is wrong is told as a Refused with the way out.
"""

from urllib.parse import parse_qsl

from aiohttp import web

from gateway.edge.admin_access import Refused
from gateway.edge.admin_requests import read_body

MAX_BODY = 8192
"""Bytes; a reason of 200 letters of Korean takes 1,800."""

MAX_FIELDS = 20
BODY_TIMEOUT = 5.0
"""Seconds for all of the body."""

FORM = "application/x-www-form-urlencoded"


async def read_form(request: web.BaseRequest) -> dict[str, str]:
    """Return the fields of a form; of one that is there twice, the first.

    Raises Refused: 400 for no form, 408 for one that does not come, 413 for a long one, 415 for another type.
    """
    if request.content_type != FORM:
        raise Refused(415, f"this takes what a form of its page sends, `Content-Type: {FORM}`")
    body = await read_body(request, "a form of this door", MAX_BODY, BODY_TIMEOUT)
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, strict_parsing=bool(body), errors="strict",
            max_num_fields=MAX_FIELDS,
        )  # fmt: skip
    except ValueError:
        raise Refused(400, "that is not what a form of this page sends; load the page again") from None
    fields: dict[str, str] = {}
    for name, value in pairs:
        fields.setdefault(name, value)
    return fields
