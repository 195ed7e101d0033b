"""What pages are made of besides their HTML: styles, scripts and icons, each under an address that never changes.

Rule: the address holds a digest of all of them, so that a browser keeps what it has for ever and never mixes two
versions of the gateway; nothing is read from outside of this package.
"""

import gzip
import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from aiohttp import web

FOLDER = Path(__file__).parent / "static"
PREFIX = "/static/"
TYPES = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
}
IMMUTABLE = "public, max-age=31536000, immutable"

LEAST = 600
"""Bytes below which nothing is gained by packing."""


@dataclass(frozen=True, slots=True)
class Asset:
    """One file, as it is and packed."""

    body: bytes
    packed: bytes
    kind: str


@dataclass(slots=True)
class Assets:
    """All of them, read when the first one is wanted: 60 kB that a gateway without readers of its page never has."""

    folder: Path = FOLDER
    _found: dict[str, Asset] = field(default_factory=dict)
    _digest: str = ""

    def href(self, name: str) -> str:
        """Return the address of a file.  Raises KeyError where there is none of that name."""
        self._read()
        if name not in self._found:
            raise KeyError(name)
        return f"{PREFIX}{self._digest}/{quote(name)}"

    def answer(self, request: web.BaseRequest) -> web.Response:
        """Answer a request below /static/."""
        self._read()
        digest, _, name = request.path.removeprefix(PREFIX).partition("/")
        asset = self._found.get(name)
        if asset is None:
            return web.Response(text="there is no such file\n", status=404)
        if digest != self._digest:
            # a page of another version asks: what it gets must not be kept under that address
            return web.Response(status=302, headers={"Location": self.href(name)})
        headers = {"Cache-Control": IMMUTABLE, "Vary": "Accept-Encoding"}
        if asset.packed and takes_gzip(request):
            headers["Content-Encoding"] = "gzip"
            return web.Response(body=asset.packed, headers=headers, content_type=asset.kind, charset="utf-8")
        return web.Response(body=asset.body, headers=headers, content_type=asset.kind, charset="utf-8")

    def _read(self) -> None:
        if self._found:
            return
        every = hashlib.sha256()
        for path in sorted(self.folder.iterdir()):
            kind = TYPES.get(path.suffix)
            if kind is None:
                continue
            body = path.read_bytes()
            every.update(path.name.encode() + b"\0" + body)
            # the time is no part of it, so that the same file is the same bytes
            packed = gzip.compress(body, 9, mtime=0) if len(body) >= LEAST else b""
            self._found[path.name] = Asset(body, packed, kind)
        self._digest = every.hexdigest()[:16]


def takes_gzip(request: web.BaseRequest) -> bool:
    """Return whether who asks can unpack."""
    parts = [part.strip().lower() for part in request.headers.get("Accept-Encoding", "").split(",")]
    return any(part.partition(";")[0] == "gzip" and not part.replace(" ", "").endswith(";q=0") for part in parts)
