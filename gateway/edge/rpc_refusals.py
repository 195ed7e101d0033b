"""What the clients' door answers by itself: to what is no call, to whom it does not know, to what is too much.

Rule: whatever is wrong is said in words that tell the way out, as a JSON-RPC error; nothing of what a client wrote is
quoted but the path it asked for.
"""

from gateway.base.config import Client
from gateway.base.errors import INTERNAL, INVALID_PARAMS, INVALID_REQUEST, METHOD_REFUSED, NO_BACKEND, Failure, Kind
from gateway.base.jsonrpc import Call, Malformed, Reply, error_reply, failure_error
from gateway.edge.answer import Answer
from gateway.edge.auth import CHALLENGE
from gateway.edge.http_head import MAX_LINE

HINT = (
    "this door takes JSON-RPC: POST / with a body like "
    '{"jsonrpc": "2.0", "id": 1, "method": "getbalance", "params": []} and Basic authentication'
)
SANDBOX = "SANDBOX - these coins are not real"

Parsed = Call | Malformed | list[Call | Malformed]
"""What a body holds."""


class Refusals:
    """Answers of the door itself.

    Args:
        extra: header lines of every answer, each ended by CRLF.
    """

    __slots__ = ("extra",)

    def __init__(self, extra: bytes) -> None:
        """Hold the lines."""
        self.extra = extra

    # -- of requests that are no calls ----------------------------------------------------------------------

    def refuse(
        self, message: str, status: int, *, kind: Kind = INVALID_REQUEST, more: bytes = b"", is_last: bool = False
    ) -> Answer:
        """Answer something that was no call at all; it always has its HTTP status."""
        failure = Failure(kind, f"{kind.name}: {message}", safe_to_repeat=False)
        return self._plain(failure, status, more, is_last=is_last)

    def stranger(self) -> Answer:
        """Answer who shows no credentials, or wrong ones."""
        message = "unauthorized: no or wrong credentials; send Basic authentication as for the daemon itself"
        challenge = f"WWW-Authenticate: {CHALLENGE}\r\n".encode()
        return self._plain(Failure(METHOD_REFUSED, message, safe_to_repeat=False), 401, challenge)

    def no_gateway(self) -> Answer:
        """Answer who claims to be another gateway and is none of ours."""
        message = "unauthorized: no gateway that this one belongs to has signed this call; the log says more"
        return self._plain(Failure(METHOD_REFUSED, message, safe_to_repeat=False), 401, is_last=True)

    def nowhere(self, path: str) -> Answer:
        """Answer who asks for a path that is none, or not his."""
        return self.refuse(f"there is no {path[:200]} for this client; POST / or /wallets/NAME", 404)

    def no_post(self) -> Answer:
        """Answer a method other than POST."""
        return self.refuse(HINT, 405, more=b"Allow: POST\r\n")

    def too_large(self, length: int | None, most: int) -> Answer:
        """Answer a body beyond its cap; `length` as it was told, None where it was found out by reading."""
        if length is None:
            return self.refuse(f"the body is larger than {most} bytes", 413, is_last=True)
        return self.refuse(f"the body has {length} bytes; at most {most} are taken", 413, is_last=True)

    def slow_body(self, seconds: float) -> Answer:
        """Answer a body that did not come."""
        return self.refuse(f"the body did not come within {seconds:g} s", 408, is_last=True)

    def not_http(self) -> Answer:
        """Answer bytes that are no request, or one that two readers could read in two ways."""
        message = (
            f"the request is not valid HTTP/1.1 (one head of lines up to {MAX_LINE} bytes, one length); "
            "send it as any HTTP library does"
        )
        return self.refuse(message, 400, is_last=True)

    def failed(self) -> Answer:
        """Answer when the fault is ours."""
        failure = Failure(INTERNAL, "internal_error: the gateway failed; its log says why", safe_to_repeat=False)
        return self._plain(failure, 500)

    def _plain(self, failure: Failure, status: int, more: bytes = b"", *, is_last: bool = False) -> Answer:
        body = error_reply(b"null", v1=False, error=failure_error(failure))
        return Answer(body, more + self.extra, status, is_last=is_last)

    # -- of calls -------------------------------------------------------------------------------------------

    def malformed(self, bad: Malformed, client: Client) -> Answer:
        """Answer a body that holds no call."""
        reply = Reply(error_reply(bad.id, bad.v1, failure_error(bad.failure)), bad.failure.kind.status)
        return self.reply(reply, client)

    def all_of(self, failure: Failure, client: Client, parsed: Parsed) -> Answer:
        """Answer a call, or every call of a batch, with one error; nothing is said to notifications."""
        calls = parsed if isinstance(parsed, list) else [parsed]
        replies = [error_reply(call.id, call.v1, failure_error(failure)) for call in calls if call.id is not None]
        body = b", ".join(replies)
        if replies and isinstance(parsed, list):
            body = b"[%b]" % body
        retry_after = failure.retry_after if failure.kind.retry_after else None
        return self.reply(Reply(body, failure.kind.status, retry_after), client)

    def wrong_key(self, wrong: str, wallet: str, client: Client, parsed: Parsed) -> Answer:
        """Answer calls that came with an Idempotency-Key that is none."""
        failure = Failure(INVALID_PARAMS, f"{INVALID_PARAMS.name}: {wrong}", safe_to_repeat=False, wallet=wallet)
        return self.all_of(failure, client, parsed)

    def reply(self, reply: Reply, client: Client) -> Answer:
        """Wrap a reply as the client wants its errors: with HTTP 200 as the daemon does, or with statuses."""
        if reply.status == 200 or client.errors == "jsonrpc":
            return Answer(reply.body, self.extra)
        more = b""
        if reply.retry_after is not None:
            more = b"Retry-After: %d\r\n" % max(1, round(reply.retry_after))
        return Answer(reply.body, more + self.extra, reply.status)


def gone(wallet: str, call: Call) -> Reply:
    """Answer a call whose wallet a reload has taken away since its head was read."""
    if call.id is None:
        return Reply(b"")
    message = f"no_backend: the wallet {wallet} was taken out of the configuration; nothing was sent"
    failure = Failure(NO_BACKEND, message, safe_to_repeat=True, wallet=wallet)
    return Reply(error_reply(call.id, call.v1, failure_error(failure)), NO_BACKEND.status, failure.retry_after)
