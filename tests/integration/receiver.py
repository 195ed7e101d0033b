"""A real HTTP receiver of webhooks, on a thread: verifies as a receiver does, does each id once, can be away."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook as Verifier

SECRET = "whsec_" + base64.b64encode(b"thirty-two bytes of some secret!").decode()


class Receiver:
    """Takes messages on a port that stays the same while it is away.

    Args:
        lose: answers of so many messages get lost: it has them, and the sender does not know.
    """

    def __init__(self, *, lose: int = 0) -> None:
        """Open it."""
        self.lose = lose
        self.posts = 0
        self.messages: list[dict[str, Any]] = []
        """Each id once, in the order of arrival."""
        self._seen: set[str] = set()
        self._port = 0
        self._server: ThreadingHTTPServer | None = None
        self.open()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._port}/hook"

    def open(self) -> None:
        """Listen."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                Verifier(SECRET).verify(body, dict(self.headers.items()))
                if receiver.take(self.headers["webhook-id"], body):
                    self.send_response(204)
                    self.end_headers()
                else:
                    self.close_connection = True

            def log_message(self, *_args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        """Be away: connections are refused."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def take(self, message_id: str, body: bytes) -> bool:
        """Take a message once; return whether the sender hears of it."""
        self.posts += 1
        if message_id not in self._seen:
            self._seen.add(message_id)
            self.messages.append(json.loads(body))
        self.lose -= 1
        return self.lose < 0

    def told(self, kind: str) -> list[str]:
        """What was told of a kind, in order."""
        return [one["type"].removeprefix("alert.") for one in self.messages if one["data"]["kind"] == kind]


@contextmanager
def receiving(*, lose: int = 0) -> Iterator[Receiver]:
    """A receiver for the time of a test."""
    one = Receiver(lose=lose)
    try:
        yield one
    finally:
        one.close()
