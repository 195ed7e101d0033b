"""A sandbox daemon that writes down who called, and when the call came: `python -m tests.checker.attributed OPTIONS`.

Rule: who called is told by the user name that came with the call, and each life of each gateway has one of its own;
when it came is told by the kernel, which knows it also of a call that had to wait while the daemon stood still.
"""

import base64
import socket
import struct
import sys
import time
from typing import Any

from gateway.sandbox import daemon
from gateway.sandbox.server import WalletServer, _Handler
from gateway.sandbox.storage import Journal

LAST_DATA_RECEIVED = 52
"""Where in TCP_INFO the milliseconds stand since something was received."""


class SignedJournal(Journal):
    """A journal that says who called and when the call came, too."""

    by = ""
    came = 0.0

    def append(self, call_id: object, method: str, params: object, outcome: dict[str, Any]) -> None:
        """Write down a call that was executed."""
        super().append(call_id, method, params, outcome | {"by": self.by, "came": self.came})


class Handler(_Handler):
    """One connection, whose socket is shown to the server."""

    def parse_request(self) -> bool:
        """Read the head."""
        self.server.caller = self.connection
        return super().parse_request()


class Server(WalletServer):
    """The door of a daemon to which each gateway comes with a user name of its own."""

    _journal: SignedJournal
    caller: socket.socket

    def __init__(self, *arguments: Any, **more: Any) -> None:
        """Open it."""
        super().__init__(*arguments, **more)
        self.RequestHandlerClass = Handler

    def authenticate(self, header: str | None) -> None:
        """Let any user in who knows the password, and remember the name."""
        name = ""
        if header is not None and header.startswith("Basic "):
            name, _, password = base64.b64decode(header[6:]).decode().partition(":")
            whole = b"%s:%s" % (self._credentials[0], password.encode())
            header = f"Basic {base64.b64encode(whole).decode()}"
        super().authenticate(header)
        self._journal.by = name

    def _dispatch(self, method: str, params: object, config: object = None) -> object:
        self._journal.came = time.time() - silence(self.caller)
        return super()._dispatch(method, params, config)


def silence(connection: socket.socket) -> float:
    """Return the seconds since a connection received something."""
    found = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, LAST_DATA_RECEIVED + 4)
    (milliseconds,) = struct.unpack_from("I", found, LAST_DATA_RECEIVED)
    return float(milliseconds) / 1000


def main() -> None:
    """Be a daemon."""
    setattr(daemon, "WalletServer", Server)  # noqa: B010 - the daemon's own module imports it by name
    setattr(daemon, "Journal", SignedJournal)  # noqa: B010 - the same
    daemon.main(sys.argv[1:])


if __name__ == "__main__":
    main()
