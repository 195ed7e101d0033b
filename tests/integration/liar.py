"""A wallet daemon that does what it is asked and then spoils the answer.

Rule: what it spoils it has carried out, because that is what makes a spoilt answer dangerous; probes and the
mirror's calls pass unspoilt, so that only the calls of clients can show what it is.
"""

import json
import re
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

SPARED = frozenset({"getinfo", "listaddresses", "createnewaddress"})

HUGE = 200 * 1024
"""Bytes; more than the tests allow an answer."""


def _with_foreign_id(answer: bytes) -> bytes:
    return re.sub(rb'"id": "g(\d+)"', rb'"id": "x\1"', answer)


def _padded(answer: bytes) -> bytes:
    head, _, body = answer.partition(b"\r\n\r\n")
    body = body.rstrip(b"}") + b', "padding": "' + b"x" * HUGE + b'"}'
    return re.sub(rb"(?i)content-length: \d+", b"Content-Length: %d" % len(body), head) + b"\r\n\r\n" + body


def _endless_head(_answer: bytes) -> bytes:
    return b"HTTP/1.0 200 OK\r\n" + b"X-Padding: yes\r\n" * (HUGE // 16)


HTML = b"<html><body>Welcome to the router</body></html>"

SPOILS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda _answer: b"", "empty"),
    "half a head": (lambda answer: answer[:20], "half"),
    "half a body": (lambda answer: answer[:-8], "half"),
    "a foreign id": (_with_foreign_id, "foreign_id"),
    "too large a body": (_padded, "oversized"),
    "too large a head": (_endless_head, "oversized"),
    "no HTTP": (lambda _answer: b"SSH-2.0-OpenSSH_9.2\r\n", "not_http"),
    "no JSON": (lambda _answer: b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(HTML), HTML), "not_json"),
    "JSON that is no answer": (lambda _answer: b"HTTP/1.0 200 OK\r\n\r\n[1, 2]", "not_jsonrpc"),
    "an error page": (lambda _answer: b"HTTP/1.0 502 Bad Gateway\r\n\r\n" + HTML, "status_502"),
}
"""What it makes of an answer, and what the gateway calls that."""


class Liar:
    """Stands in front of a daemon on loopback.

    Args:
        daemon: the port of the real one.
    """

    def __init__(self, daemon: int) -> None:
        """Begin honest."""
        self.daemon = daemon
        self.spoil = ""
        """A key of SPOILS, "late", or "" for the daemon's own answer."""
        self.let_go = threading.Event()
        """Set to let late answers go."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.let_go.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    @property
    def url(self) -> str:
        """Where it is reached."""
        return f"http://127.0.0.1:{self.port}"

    def _accept(self) -> None:
        """Serve one connection after another, as the daemon does."""
        while True:
            try:
                caller, _ = self._listener.accept()
            except OSError:
                return
            with caller:
                try:
                    self._serve(caller)
                except OSError:
                    continue  # whoever asked has gone; the daemon has run it all the same

    def _serve(self, caller: socket.socket) -> None:
        request = _read_request(caller)
        if not request:
            return
        with socket.create_connection(("127.0.0.1", self.daemon)) as daemon:
            daemon.sendall(request)
            answer = b""
            while part := daemon.recv(1 << 16):
                answer += part
        method = json.loads(request.partition(b"\r\n\r\n")[2])["method"]
        if self.spoil and method not in SPARED:
            if self.spoil == "late":
                self.let_go.wait()
            else:
                answer = SPOILS[self.spoil][0](answer)
        caller.sendall(answer)
        caller.shutdown(socket.SHUT_WR)


def _read_request(caller: socket.socket) -> bytes:
    request = b""
    while True:
        head, end, body = request.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        if end and length is not None and len(body) >= int(length[1]):
            return request
        part = caller.recv(1 << 16)
        if not part:
            return b""
        request += part
