"""From where a request comes, as far as a browser tells.

Rule: what a page of another site could let a browser send is known by its Host, its Origin and its Sec-Fetch headers,
which no page can choose; a tool sends none of them but Host.
"""

import ipaddress
import re
from collections.abc import Collection
from urllib.parse import urlsplit

from aiohttp import web

from gateway.rules.kinds import blot

NOT_PUBLIC = (".localhost", ".local", ".internal")
"""Ends of names that no public name server answers for, so that nobody can let one point at this door."""

BY_ITSELF = "X-By-Itself"
"""Header by which our page says that nobody has pressed anything."""


def is_own_host(host: str, names: Collection[str]) -> bool:
    """Return whether a Host header may name this door.

    A page whose name is made to point at 127.0.0.1 has the origin of this door in the eyes of a browser; only that
    name gives it away.  So names that anybody could own are refused.

    Args:
        host: as it was sent, with a port or without.
        names: what this door is called, in small letters.
    """
    try:
        parts = urlsplit(f"//{host}")
        name = parts.hostname
    except ValueError:
        return False
    if not name or parts.netloc != host or parts.username is not None:
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return "." not in name or name.endswith(NOT_PUBLIC) or name in names
    return True


def is_own_origin(origin: str, host: str) -> bool:
    """Return whether an Origin header names the very door that the Host header names."""
    return origin.lower() in (f"http://{host.lower()}", f"https://{host.lower()}")


def is_foreign(request: web.BaseRequest, host: str) -> bool:
    """Return whether a page of another site, or of another port, let a browser send a request to `host`."""
    origin = request.headers.get("Origin")
    return _site(request) not in ("same-origin", "none") or (origin is not None and not is_own_origin(origin, host))


def is_followed_link(request: web.BaseRequest) -> bool:
    """Return whether somebody went to this door by a link on a foreign page, in a window of its own.

    That shows nothing to the foreign page, and a link in a message about an alert is such a one.  A browser sends no
    cookie along that is SameSite=Strict.
    """
    is_window = (
        request.headers.get("Sec-Fetch-Mode") == "navigate" and request.headers.get("Sec-Fetch-Dest") == "document"
    )
    is_look = request.method in ("GET", "HEAD") and "Origin" not in request.headers
    return is_look and is_window and _site(request) in ("cross-site", "same-site")


def is_by_hand(request: web.BaseRequest) -> bool:
    """Return whether a person may be behind a request, and not a page that is merely open and looks by itself.

    Over plain HTTP from another machine browsers do not say how they fetch; our page does, where it can.
    """
    if request.method not in ("GET", "HEAD"):
        return True
    headers = request.headers
    is_page = BY_ITSELF in headers or headers.get("Accept", "").startswith("text/event-stream")
    return not is_page and headers.get("Sec-Fetch-Mode", "navigate") == "navigate"


def aim_of(request: web.BaseRequest) -> tuple[str, str, str]:
    """Return of which wallet and backend a request orders what, by its path; "" for what it does not say.

    A stranger may have sent it: what could be no name, or could be an address or a key, is left out.
    """
    path = request.rel_url.raw_path
    for pattern, prefix in _AIMS:
        if (found := pattern.fullmatch(path)) is not None:
            wallet, backend, verb = (_name(found.groupdict().get(name, "")) for name in ("wallet", "backend", "verb"))
            return wallet, backend, f"{prefix}{verb}" if verb else ""
    return "", "", ""


_AIMS = tuple(
    (re.compile(re.sub(r"(?<!P)<(\w+)>", r"(?P<\1>[^/]+)", path)), prefix)
    for path, prefix in (
        ("/api/v1/wallets/<wallet>/backends/<backend>/<verb>", ""),
        ("/api/v1/wallets/<wallet>/(?P<verb>handover)", ""),
        ("/api/v1/wallets/<wallet>/outcomes/[^/]+/(?P<verb>resolve)", ""),
        ("/api/v1/sandbox/<backend>/<verb>", "switch "),
        ("/orders/<wallet>/<backend>/<verb>", ""),
        ("/orders/<wallet>/(?P<verb>handover)", ""),
        ("/outcomes/<wallet>/[^/]+/(?P<verb>resolve)", ""),
        ("/switches/<wallet>/<backend>/<verb>", "switch "),
    )
)
"""Paths that order something, of the API and of the page, and what stands before the verb."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


def _name(text: str) -> str:
    return text if _NAME.fullmatch(text) and blot(text) == text else ""


def _site(request: web.BaseRequest) -> str:
    return request.headers.get("Sec-Fetch-Site", "none")


def peer_of(request: web.BaseRequest) -> str:
    """Return from where a request came, with its port."""
    peer = _peer(request)
    return f"{peer[0]}:{peer[1]}" if peer is not None else "unknown"


def address_of(request: web.BaseRequest) -> str:
    """Return from where a request came, without its port."""
    peer = _peer(request)
    return str(peer[0]) if peer is not None else "unknown"


def _peer(request: web.BaseRequest) -> tuple[object, ...] | None:
    peer = request.transport.get_extra_info("peername") if request.transport is not None else None
    return peer if isinstance(peer, tuple) else None
