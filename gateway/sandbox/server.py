"""The RPC server of a sandbox daemon: the library that the real one uses, with the same manners around it.

The rule: one thread, one connection at a time, one request each, no time-outs, a backlog of five; whoever
connects and says nothing takes the daemon away from everybody.
"""

import base64
import hmac
import logging
import time
from email.message import Message
from typing import Any

from jsonrpclib import Fault
from jsonrpclib.SimpleJSONRPCServer import SimpleJSONRPCRequestHandler, SimpleJSONRPCServer

from gateway.sandbox.commands import Commands, registered
from gateway.sandbox.node import Node
from gateway.sandbox.storage import Journal

BAD_PASSWORD_PAUSE = 0.05
"""Seconds that a wrong password costs everybody, as in the real daemon."""

ACCEPT_POLL = 0.1
"""How often the loop looks whether it shall end, in seconds."""

# It reports each bad request with a traceback; the sandbox answers it and is silent.
logging.getLogger("jsonrpclib").addHandler(logging.NullHandler())
logging.getLogger("jsonrpclib").propagate = False


class DeniedError(Exception):
    """Not let in; the text goes into the status line."""


class _Handler(SimpleJSONRPCRequestHandler):  # type: ignore[misc]  # the library has no types
    """One connection: credentials first, then whatever the library makes of the request."""

    server: "WalletServer"
    headers: Message

    def parse_request(self) -> bool:
        """Read the head, and refuse before the body is read where the credentials are wrong."""
        if not super().parse_request():
            return False
        try:
            self.server.authenticate(self.headers.get("Authorization"))
        except DeniedError as denial:
            self.send_error(401, f"Authentication failed ({denial})")
            return False
        except ValueError as error:
            # Credentials that cannot be decoded are a crash in the real daemon, and an answer of this kind.
            self.send_error(500, str(error))
            return False
        return True


class WalletServer(SimpleJSONRPCServer):  # type: ignore[misc]  # the library has no types
    """The door of one daemon."""

    timeout = ACCEPT_POLL
    request_queue_size = 5

    def __init__(
        self, port: int, node: Node, journal: Journal, user: str, password: str, *, host: str = "127.0.0.1"
    ) -> None:
        self._node = node
        self._journal = journal
        self._credentials = (user.encode(), password.encode())
        self._call_id: object = None
        super().__init__((host, port), requestHandler=_Handler, logRequests=False)
        self.funcs.update(registered(Commands(node)))

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])

    def run(self) -> None:
        """Serve until the RPC stop."""
        while self._node.running:
            # A frozen daemon does not accept either; the kernel goes on taking connections for it.
            self._node.thawed.wait()
            self.timeout = self._node.patience(ACCEPT_POLL)
            self.handle_request()
            if self._node.thawed.is_set():
                self._node.between_calls()
        self.server_close()

    def authenticate(self, header: str | None) -> None:
        """Raise DeniedError for wrong credentials, ValueError for unreadable ones."""
        if header is None:
            raise DeniedError("missing credentials")
        scheme, _, encoded = header.partition(" ")
        if scheme != "Basic":
            raise DeniedError("only basic auth is supported")
        user, _, password = base64.b64decode(encoded).decode().partition(":")
        given = (user.encode(), password.encode())
        if not all(hmac.compare_digest(*pair) for pair in zip(given, self._credentials, strict=True)):
            time.sleep(BAD_PASSWORD_PAUSE)
            raise DeniedError("bad credentials")

    def handle_error(self, request: object, client_address: object) -> None:
        """A caller that has gone is no news; its call was executed all the same."""

    def _marshaled_single_dispatch(self, request: dict[str, Any], dispatch_method: object = None) -> object:
        self._call_id = request.get("id")
        return super()._marshaled_single_dispatch(request, dispatch_method)

    def _dispatch(self, method: str, params: object, config: object = None) -> object:
        """Carry out one call, and write it down before its caller can have the answer."""
        with self._node.turn:
            self._node.before_call()
            answer = super()._dispatch(method, params, config)
            self._node.after_call()
            if method in self.funcs:
                self._journal.append(self._call_id, method, params, _outcome(answer))
        return answer


def _outcome(answer: object) -> dict[str, Any]:
    """The result or the error of a call, as the journal keeps it."""
    if isinstance(answer, Fault):
        return {"error": {"code": answer.faultCode, "message": answer.faultString}}
    return {"result": answer}
