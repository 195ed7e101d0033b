"""Where a backend listens and how the gateway speaks to it: made once, used for every call.

Rule: credentials are in the bytes that go to the daemon and nowhere else; no `repr` shows them.
"""

import base64
import ssl
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from gateway.upstream.resolver import is_numeric

KEEP: Final = b"\r\nConnection: keep-alive\r\n\r\n"
CLOSE: Final = b"\r\nConnection: close\r\n\r\n"
"""The ends of a head."""


@dataclass(frozen=True, slots=True)
class Target:
    """One backend's address.

    Args:
        host: name or numeric address, without brackets.
        is_name: whether it has to be looked up.
        tls: context for https, None for http.
        keep_alive: whether reads may reuse a connection.
        way: names all that a connection depends on; who has the same may use the same connections, as long as one of
            them is there.
        head: everything of the request head up to the length of the body.
    """

    host: str
    port: int
    is_name: bool
    tls: ssl.SSLContext | None
    keep_alive: bool
    way: str = field(repr=False)
    head: bytes = field(repr=False)

    def __hash__(self) -> int:
        """Make do with the head: it has nearly everything, and Python keeps its hash.  Each call asks for it."""
        return hash(self.head)

    @staticmethod
    def make(
        url: str,
        username: str,
        password: str,
        *,
        keep_alive: bool,
        verify: bool = True,
        ca_file: str | None = None,
        context: ssl.SSLContext | None = None,
    ) -> "Target":
        """Build a target from a checked URL.

        The scheme of the credentials is written `Basic`: a real daemon compares it letter by letter.

        Args:
            verify, ca_file: what https is checked by.
            context: the same, made already.

        Raises:
            OSError: the file of certificates cannot be read (ssl.SSLError included).
        """
        parts = urlsplit(url)
        host = parts.hostname or ""
        is_tls = parts.scheme == "https"
        port = parts.port or (443 if is_tls else 80)
        shown = f"[{host}]" if ":" in host else host
        lines = [f"POST {parts.path or '/'} HTTP/1.1", f"Host: {shown}:{port}"]
        if username or password:
            token = base64.b64encode(f"{username}:{password}".encode()).decode()
            lines.append(f"Authorization: Basic {token}")
        lines += ["Content-Type: application/json", "Accept-Encoding: identity", "Content-Length: "]
        tls = (context or _context(verify=verify, ca_file=ca_file)) if is_tls else None
        return Target(
            host=host,
            port=port,
            is_name=not is_numeric(host),
            tls=tls,
            keep_alive=keep_alive,
            way=f"{host} {port} {0 if tls is None else id(tls)}",
            head="\r\n".join(lines).encode(),
        )

    def request(self, body: bytes, *, keep: bool, more: bytes = b"") -> bytes:
        """Return head and body in one piece, to be written at once; `more` is header lines, each behind a line end."""
        return b"".join((self.head, str(len(body)).encode(), more, KEEP if keep else CLOSE, body))


def _context(*, verify: bool, ca_file: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
