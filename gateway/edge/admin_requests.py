"""What requests under /api/ say, read with limits: path, query and body; and how they are answered.

Rule: a name in a path is written as it is, without percent signs, so that nobody in between reads another path than we
do; an unknown key or parameter is a mistake of whoever sent it, and is told.
"""

import asyncio
import re
from collections.abc import Collection, Mapping
from typing import Any

import msgspec
from aiohttp import web

from gateway.edge.admin_access import Refused

MAX_BODY = 4096
"""Bytes of an order's body; a reason and its braces."""

MAX_REASON = 200
"""Characters."""

BODY_TIMEOUT = 5.0
"""Seconds for the body of an order."""

WRONG_BODY = 'the body of an order is nothing, or like {"reason": "new disk"}'

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_PLAIN = re.compile(r"[A-Za-z0-9._/-]*")


def path_of(request: web.BaseRequest, prefix: str) -> list[str]:
    """Return the parts of a path after a prefix; [] where it does not begin so or is none of ours."""
    path = request.rel_url.raw_path
    if not path.startswith(prefix) or not _PLAIN.fullmatch(path):
        return []
    parts = path.removeprefix(prefix).split("/")
    return [] if {"", ".", ".."} & set(parts) else parts


def is_name(text: str) -> bool:
    """Return whether a wallet or a daemon could be called so."""
    return _NAME.fullmatch(text) is not None


def only(request: web.BaseRequest, *methods: str) -> None:
    """Refuse (405) all other methods."""
    if request.method not in methods:
        raise Refused(405, f"this takes {' and '.join(methods)}", {"Allow": ", ".join(methods)})


def known(what: str, name: str, names: Collection[str], of: str) -> None:
    """Refuse (404) a name that is not there, and tell which are."""
    if name not in names:
        raise Refused(404, f"{of} has no {what} of that name; there are {', '.join(names)}", known=list(names))


def query(request: web.BaseRequest, *names: str) -> dict[str, str]:
    """Return the parameters of a request.  Raises Refused (400) for others, and for one that is given twice."""
    given = request.rel_url.query
    for name in given:
        if name not in names:
            there = f"there are {', '.join(names)}" if names else "there are none"
            raise Refused(400, f"a parameter is not known here; {there}", known=list(names))
        if len(given.getall(name)) > 1:
            raise Refused(400, f"the parameter {name} is given twice")
    return dict(given)


def whole(given: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    """Return a parameter that is a whole number.  Raises Refused (400)."""
    text = given.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 9 or not least <= int(text) <= most:
        raise Refused(400, f"{name} is a whole number from {least} to {most}")
    return int(text)


async def body_of(request: web.BaseRequest) -> bytes:
    """Return the body, no more of it and no later than an order needs.  Raises Refused (400, 408, 413)."""
    return await read_body(request, "the body of an order", MAX_BODY, BODY_TIMEOUT)


async def read_body(request: web.BaseRequest, what: str, most: int, patience: float) -> bytes:
    """Return the body of a request, read no further and no longer than it may be.

    Args:
        what: it is, for whoever sent too much or too slowly.
        most: bytes.
        patience: seconds.

    Raises Refused: 400 for one that is not as its headers say, 408 and 413 for what came too slowly or is too long.
    """
    too_much = Refused(413, f"{what} has at most {most} bytes")
    if (request.content_length or 0) > most:
        raise too_much
    body = b""
    try:
        async with asyncio.timeout(patience):
            async for piece in request.content.iter_any():
                body += piece
                if len(body) > most:
                    raise too_much
    except TimeoutError:
        raise Refused(408, f"{what} has to come within {patience:g} s") from None
    except web.RequestPayloadError:
        raise Refused(400, "the body is not as its headers say") from None
    return body


def fields_of(body: bytes, content_type: str, kinds: Mapping[str, type], example: str) -> dict[str, Any]:
    """Return what a JSON body says; {} where there is none.  Raises Refused (400, 415).

    Args:
        kinds: the keys there may be and what each holds.
        example: what would be right, for whoever sent something else.
    """
    if not body.strip():
        return {}
    if content_type != "application/json":
        # this a form on a page of another site cannot say
        raise Refused(415, f"send it as `Content-Type: application/json`; {example}")
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Refused(400, example) from None
    if not isinstance(found, dict) or any(type(found[key]) is not kinds.get(key) for key in found):
        raise Refused(400, example)
    return found


def reason_of(fields: Mapping[str, Any]) -> str:
    """Return why an order is given, "" where nothing is said.  Raises Refused (400)."""
    return checked_reason(fields.get("reason", ""))


def checked_reason(text: str) -> str:
    """Return a reason as it goes into the log: one line, not too long.  Raises Refused (400)."""
    reason = text.strip()
    if len(reason) > MAX_REASON or not reason.isprintable():
        raise Refused(400, f"a reason is one line of at most {MAX_REASON} characters")
    return reason


def json_answer(body: object) -> web.Response:
    """Return an answer that holds a value as JSON."""
    return web.Response(body=msgspec.json.encode(body) + b"\n", content_type="application/json")
