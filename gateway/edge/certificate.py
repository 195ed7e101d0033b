"""What a door with TLS shows to who shakes hands, also after the certificate was renewed.

Rule: new files are tried apart from the door before it takes them, so that it never shows a certificate whose key it
has not.  Connections that are open go on with the one that they began with.
"""

import hashlib
import ssl
from pathlib import Path

from gateway.base.config import Tls


class Certificate:
    """The certificate of a door.

    Args:
        tls: its files.
    """

    def __init__(self, tls: Tls) -> None:
        """Read the files.  Raises OSError (ssl.SSLError included) for such as cannot be used."""
        self._shown = _digest(tls)
        self.context = server_context(tls)

    def renew(self, tls: Tls) -> bool:
        """Read the files again; return whether they say something else now.  Raises OSError, and nothing changes."""
        digest = _digest(tls)
        if digest == self._shown:
            return False
        server_context(tls)
        self.context.load_cert_chain(tls.certificate, tls.key)
        self._shown = digest
        return True


def server_context(tls: Tls) -> ssl.SSLContext:
    """Return what the door shows to who shakes hands.  Raises OSError for files that cannot be used."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tls.certificate, tls.key)
    return context


def _digest(tls: Tls) -> bytes:
    found = hashlib.sha256()
    for path in (tls.certificate, tls.key):
        found.update(hashlib.sha256(Path(path).read_bytes()).digest())
    return found.digest()
