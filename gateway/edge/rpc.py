"""The JSON-RPC door: an HTTP body in, a JSON-RPC reply out.

Rule: whatever comes in gets an answer that says what is wrong with it and what would be right; nothing that
comes in is trusted, nothing is held longer or larger than its cap.

It stands on aiohttp's low-level server: routes and middlewares cost more than all our policies together.
"""

import asyncio
import random
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from aiohttp import HttpVersion11, web
from multidict import CIMultiDictProxy, istr

from gateway.base import trace
from gateway.base.config import Client, Listen, Tls
from gateway.base.errors import (
    DEADLINE_BEFORE_SEND,
    INTERNAL,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_REFUSED,
    NO_BACKEND,
    OVERLOADED,
    Failure,
    Kind,
)
from gateway.base.jsonrpc import Call, Malformed, Reply, error_reply, failure_error, parse
from gateway.edge.answer import Answer
from gateway.edge.auth import CHALLENGE, Authenticator, Caller, TokenBucket
from gateway.edge.certificate import Certificate
from gateway.edge.connections import FORWARDED, TRACEPARENT, Guard, Site, Usual
from gateway.edge.descriptors import Descriptors
from gateway.edge.peers import MORE, Peers
from gateway.observe import logs
from gateway.rules.payment import check_key

JSON = "application/json"
HINT = (
    "this door takes JSON-RPC: POST / with a body like "
    '{"jsonrpc": "2.0", "id": 1, "method": "getbalance", "params": []} and Basic authentication'
)
SANDBOX = "SANDBOX - these coins are not real"
LINGER = 1.0
"""Seconds for which a refused body is read on, so that its sender sees the refusal and not a reset; aiohttp would
take ten, and somebody who sends no more could hold his connection all that time."""

MAX_LINE = 8190
"""Bytes of one line of a request's head."""

AUTHORIZATION, TIMEOUT, KEY = istr("Authorization"), istr("X-Request-Timeout"), istr("Idempotency-Key")
"""Headers that are asked for in each request; such names are looked up without being folded anew."""


class CallsDispatcher(Protocol):
    """The path of a call, as the door sees it."""

    async def call(self, wallet: str, client: Client, call: Call, deadline: float, key: str | None) -> Reply:
        """Answer one call by its deadline in loop time."""

    def takes_key(self, wallet: str, method: str) -> bool:
        """Whether a method binds an Idempotency-Key."""


@dataclass(slots=True)
class DoorCounters:
    """What the door counts; plain integers, read by the metrics."""

    connections_open: int = 0
    connections_refused: int = 0
    requests: int = 0
    auth_failures: int = 0
    rate_limited: int = 0
    slow_heads: int = 0
    malformed: dict[str, int] = field(default_factory=dict)

    def count_malformed(self, what: str) -> None:
        """Count one refused body by what was wrong; `what` is one of a few names."""
        self.malformed[what] = self.malformed.get(what, 0) + 1


class RpcDoor:
    """The door for clients.

    Args:
        listen: address, caps and time-outs.
        authenticate: who is calling.
        dispatcher: where calls go.
        wallets: the names there are now.
        sandbox: whether every answer says that the coins are not real.
        counters: where it counts.
        descriptors: how many connections fit into this process.
        peers: the other gateways; without them nothing that another one sends is taken.
        bits: random ones, for the ids of traces.
    """

    def __init__(
        self,
        listen: Listen,
        authenticate: Authenticator,
        dispatcher: CallsDispatcher,
        wallets: Callable[[], Collection[str]],
        *,
        sandbox: bool,
        counters: DoorCounters,
        descriptors: Descriptors = Descriptors(),  # noqa: B008 - frozen
        peers: Peers | None = None,
        bits: trace.Bits = random.getrandbits,
    ) -> None:
        """Begin closed."""
        self.listen = listen
        self.authenticate = authenticate
        self.dispatcher = dispatcher
        self.wallets = wallets
        self.sandbox = sandbox
        self._extra = f"X-Sandbox: {SANDBOX}\r\n".encode() if sandbox else b""
        self.counters = counters
        self.descriptors = descriptors
        self.peers = peers
        self.bits = bits
        self.port = 0
        self.is_draining = False
        self._loop = asyncio.get_running_loop()
        self._runner: web.ServerRunner | None = None
        self._in_flight = 0
        self._certificate: Certificate | None = None
        self._quiet: asyncio.Event | None = None
        """Set when no request is under way; made by who waits for that, so that no request pays for it."""
        self._log = logs.get_logger()

    async def start(self) -> None:
        """Bind and serve.  Raises OSError when the port is taken or a certificate cannot be read."""
        listen = self.listen
        server = Guard(
            self._handle,
            counters=self.counters,
            max_connections=lambda: self.descriptors.clients(self.listen.max_connections),
            head_timeout=lambda: self.listen.head_timeout,
            refuse=self._not_http,
            answer=self._handle,
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=listen.keepalive_timeout,
            max_line_size=MAX_LINE,
            max_field_size=MAX_LINE,
            lingering_time=LINGER,
        )
        self._runner = web.ServerRunner(server, handle_signals=False, shutdown_timeout=0.05)
        await self._runner.setup()
        self._certificate = None if listen.tls is None else Certificate(listen.tls)
        context = None if self._certificate is None else self._certificate.context
        site = Site(
            self._runner, listen.host, listen.port, context, self.descriptors.at_one_go, listen.head_timeout,
            is_closed_first=True,
        )  # fmt: skip
        await site.start()
        self.port = self._runner.addresses[0][1]

    def update(self, listen: Listen, authenticate: Authenticator) -> None:
        """Take new caps and clients; address and TLS stay as they are."""
        self.listen = listen
        self.authenticate = authenticate

    def renew(self, tls: Tls | None) -> bool:
        """Show another certificate from now on; return whether there is one.  Raises OSError for unusable files."""
        return self._certificate is not None and tls is not None and self._certificate.renew(tls)

    def drain(self) -> None:
        """Answer with Connection: close from now on."""
        self.is_draining = True

    async def finish(self, timeout: float) -> None:  # noqa: ASYNC109 - draining is told its time, it does not fail by it
        """Listen no more and wait for calls under way; connections stay open until `stop`."""
        if self._runner is None:
            return
        for site in list(self._runner.sites):
            await site.stop()
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                if self._in_flight:
                    self._quiet = asyncio.Event()
                    await self._quiet.wait()

    async def stop(self, timeout: float) -> None:  # noqa: ASYNC109 - the same
        """Listen no more, wait for calls under way, close the rest."""
        await self.finish(timeout)
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    # -- one request ----------------------------------------------------------------------------------------

    async def _handle(self, request: web.BaseRequest | Usual) -> web.Response | Answer:
        """Answer one HTTP request."""
        self.counters.requests += 1
        self._in_flight += 1
        try:
            if FORWARDED in request.headers:
                response = await self._forwarded(request)
            else:
                response = await self._answer(request)
        except Exception:  # noqa: BLE001 - the client gets an answer whatever happens; the log gets the reason
            self._log.exception("door.failed", path=request.path[:100])
            failure = Failure(INTERNAL, "internal_error: the gateway failed; its log says why", safe_to_repeat=False)
            response = self._refusal(failure, 500)
        finally:
            self._in_flight -= 1
            if self._quiet is not None and not self._in_flight:
                self._quiet.set()
        if self.is_draining:
            response.force_close()
        if isinstance(response, web.Response):
            response.headers["Server"] = "ec-gateway"
            if self.sandbox:
                response.headers["X-Sandbox"] = SANDBOX
        return response

    async def _answer(self, request: web.BaseRequest | Usual) -> web.Response | Answer:
        headers = request.headers
        caller = self.authenticate.who(headers.get(AUTHORIZATION))
        if caller is None:
            self.counters.auth_failures += 1
            message = "unauthorized: no or wrong credentials; send Basic authentication as for the daemon itself"
            response = self._refusal(Failure(METHOD_REFUSED, message, safe_to_repeat=False), 401)
            response.headers["WWW-Authenticate"] = CHALLENGE
            return response
        wallet = self._wallet(request.path, caller.client)
        if wallet is None:
            return self._refuse(f"there is no {request.path[:200]} for this client; POST / or /wallets/NAME", 404)
        if request.method != "POST":
            response = self._refuse(HINT, 405)
            response.headers["Allow"] = "POST"
            return response
        deadline = self._deadline(headers.get(TIMEOUT), caller.client)
        if deadline is None:
            return self._refuse("X-Request-Timeout must be seconds, greater than 0, such as 2.5", 400)
        body = self._whole(request.body) if isinstance(request, Usual) else await self._body(request)
        if not isinstance(body, bytes):
            return body
        parsed = parse(body, max_depth=self.listen.max_depth, max_batch=self.listen.max_batch)
        wait = self._spend(caller, len(parsed) if isinstance(parsed, list) else 1)
        if wait:
            return self._limited(wait, caller.client, parsed)
        if isinstance(parsed, Malformed):
            return self._malformed(parsed, caller.client)
        key = headers.get(KEY)
        if key is not None and (wrong := self._wrong_key(headers.getall(KEY), parsed, wallet)):
            failure = Failure(INVALID_PARAMS, f"{INVALID_PARAMS.name}: {wrong}", safe_to_repeat=False, wallet=wallet)
            return self._refuse_all(failure, caller.client, parsed)
        self._trace(headers)
        if isinstance(parsed, list):
            return await self._batch(parsed, wallet, caller.client, deadline, key)
        if wallet in self.wallets():
            reply = await self.dispatcher.call(wallet, caller.client, parsed, deadline, key)
        else:
            reply = self._gone(wallet, parsed)
        if (reply.status == 200 or caller.client.errors == "jsonrpc") and request.version == HttpVersion11:
            return Answer(reply.body, self._extra)
        return _response(reply, caller.client)

    async def _forwarded(self, request: web.BaseRequest | Usual) -> web.Response | Answer:
        """Answer a call that another gateway sent on."""
        answer = None
        peers = self.peers if request.version == HttpVersion11 else None
        passage = None if peers is None else peers.admit(request.headers, request.path, request.method)
        if peers is not None and passage is not None:
            body = self._whole(request.body, MORE) if isinstance(request, Usual) else await self._body(request, MORE)
            if not isinstance(body, bytes):
                return body
            self._trace(request.headers)
            answer = await peers.answer(passage, body, self.listen.max_depth, self._extra)
        if answer is not None:
            return answer
        self.counters.auth_failures += 1
        message = "unauthorized: no gateway that this one belongs to has signed this call; the log says more"
        response = self._refusal(Failure(METHOD_REFUSED, message, safe_to_repeat=False), 401)
        response.force_close()
        return response

    def _trace(self, headers: CIMultiDictProxy[str]) -> None:
        """Say which trace the calls of this request belong to, for all that is done in this task.

        Who names none is part of none: ids for nobody would cost each call a twentieth of what it costs.
        """
        told = headers.get(TRACEPARENT)
        if told is None:
            trace.CURRENT.set(None)
            return
        if len(headers.getall(TRACEPARENT)) > 1:
            told = None
        trace.CURRENT.set(trace.begin(told, self.bits))

    def _gone(self, wallet: str, call: Call) -> Reply:
        """Answer a call whose wallet a reload has taken away since its head was read."""
        if call.id is None:
            return Reply(b"")
        message = f"no_backend: the wallet {wallet} was taken out of the configuration; nothing was sent"
        failure = Failure(NO_BACKEND, message, safe_to_repeat=True, wallet=wallet)
        return Reply(error_reply(call.id, call.v1, failure_error(failure)), NO_BACKEND.status, failure.retry_after)

    def _wrong_key(self, keys: list[str], parsed: Call | list[Call | Malformed], wallet: str) -> str:
        """Say what is wrong with the keys that came with a call or a batch, "" for nothing."""
        if len(keys) > 1:
            return "there are two Idempotency-Key headers; send one, nobody could say which counts"
        try:
            check_key(keys[0])
        except ValueError as error:
            return str(error)
        entries = parsed if isinstance(parsed, list) else []
        payments = sum(isinstance(one, Call) and self.dispatcher.takes_key(wallet, one.method) for one in entries)
        if payments > 1:
            return "a key is for one payment, and this batch has more; send each by itself with its own key"
        return ""

    async def _batch(
        self, entries: list[Call | Malformed], wallet: str, client: Client, deadline: float, key: str | None
    ) -> web.Response:
        """Answer a batch: its calls one after another, as the daemon does, under one deadline."""
        replies: list[bytes] = []
        for entry in entries:
            if isinstance(entry, Malformed):
                self.counters.count_malformed(entry.failure.kind.name)
                replies.append(error_reply(entry.id, entry.v1, failure_error(entry.failure)))
            elif self._loop.time() >= deadline:
                if entry.id is not None:
                    message = "deadline_before_send: the batch's time ran out before this call; nothing was sent"
                    failure = Failure(DEADLINE_BEFORE_SEND, message, safe_to_repeat=True, wallet=wallet)
                    replies.append(error_reply(entry.id, entry.v1, failure_error(failure)))
            else:
                if wallet in self.wallets():
                    reply = await self.dispatcher.call(wallet, client, entry, deadline, key)
                else:
                    reply = self._gone(wallet, entry)
                if reply.body:
                    replies.append(reply.body)
        body = b"[%b]" % b", ".join(replies) if replies else b""
        return web.Response(body=body, content_type=JSON)

    # -- its parts ------------------------------------------------------------------------------------------

    def _wallet(self, path: str, client: Client) -> str | None:
        """Return the wallet that a path means; one that the client may not use is as unknown as any."""
        if path in ("/", "/RPC2", ""):
            name = "main" if "main" in client.wallets else client.wallets[0]
        elif path.startswith("/wallets/"):
            name = path.removeprefix("/wallets/")
        else:
            return None
        return name if name in client.wallets and name in self.wallets() else None

    def _deadline(self, text: str | None, client: Client) -> float | None:
        seconds = client.deadline
        if text is not None:
            try:
                asked = float(text)
            except ValueError:
                return None
            if not 0 < asked < 1e9:
                return None
            seconds = min(seconds, asked)
        return self._loop.time() + seconds

    async def _body(self, request: web.BaseRequest, more: int = 0) -> bytes | web.Response:
        """Read the body within its caps."""
        length = request.content_length
        if length is None and request.headers.get("Transfer-Encoding", "").lower() != "chunked":
            self.counters.count_malformed("no_length")
            return self._refuse("the body has no length; send Content-Length, or Transfer-Encoding: chunked", 411)
        most = self.listen.max_body + more
        if length is not None and length > most:
            return self._too_large(length)
        if length is not None and request.content.is_eof():
            # the usual case: all of it came with the head, so no timer is needed
            return request.content.read_nowait(-1)
        if request.headers.get("Expect", "").lower() == "100-continue" and request.version >= HttpVersion11:
            # some clients wait for seconds before they send without it
            try:
                await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            except ConnectionError:
                # whoever wanted it has gone, and nobody will read this
                return self._refuse("the connection is gone", 400)
            request.writer.output_size = 0
        try:
            async with asyncio.timeout(self.listen.body_timeout):
                return await self._read(request, most)
        except TimeoutError:
            self.counters.count_malformed("slow_body")
            response = self._refuse(f"the body did not come within {self.listen.body_timeout:g} s", 408)
        except _TooLargeError:
            self.counters.count_malformed("too_large")
            response = self._refuse(f"the body is larger than {most} bytes", 413)
        response.force_close()
        return response

    def _whole(self, body: bytes, more: int = 0) -> bytes | web.Response:
        """Take a body that came with its head, within its cap."""
        return body if len(body) <= self.listen.max_body + more else self._too_large(len(body))

    def _too_large(self, length: int) -> web.Response:
        self.counters.count_malformed("too_large")
        response = self._refuse(f"the body has {length} bytes; at most {self.listen.max_body} are taken", 413)
        response.force_close()
        return response

    async def _read(self, request: web.BaseRequest, most: int) -> bytes:
        parts: list[bytes] = []
        size = 0
        async for part in request.content.iter_any():
            size += len(part)
            if size > most:
                raise _TooLargeError
            parts.append(part)
        return b"".join(parts)

    def _spend(self, caller: Caller, calls: int) -> float:
        """Take from the client's rate; return the seconds to wait, 0.0 when it may call."""
        limit = caller.client.rate_limit
        if limit is None:
            return 0.0
        now = self._loop.time()
        if caller.bucket is None:
            caller.bucket = TokenBucket(limit, now)
        return caller.bucket.take(now, calls)

    # -- refusals -------------------------------------------------------------------------------------------

    def _limited(self, wait: float, client: Client, parsed: Call | Malformed | list[Call | Malformed]) -> web.Response:
        """Refuse a call or a batch in its own shape; nothing is said to notifications."""
        self.counters.rate_limited += 1
        message = f"overloaded: client {client.name} calls faster than its rate_limit; wait {wait:.2f} s"
        return self._refuse_all(Failure(OVERLOADED, message, safe_to_repeat=True, retry_after=wait), client, parsed)

    def _refuse_all(
        self, failure: Failure, client: Client, parsed: Call | Malformed | list[Call | Malformed]
    ) -> web.Response:
        """Answer a call, or every call of a batch, with one error; nothing is said to notifications."""
        calls = parsed if isinstance(parsed, list) else [parsed]
        replies = [error_reply(call.id, call.v1, failure_error(failure)) for call in calls if call.id is not None]
        body = b", ".join(replies)
        if replies and isinstance(parsed, list):
            body = b"[%b]" % body
        retry_after = failure.retry_after if failure.kind.retry_after else None
        return _response(Reply(body, failure.kind.status, retry_after), client)

    def _malformed(self, bad: Malformed, client: Client) -> web.Response:
        self.counters.count_malformed(bad.failure.kind.name)
        reply = Reply(error_reply(bad.id, bad.v1, failure_error(bad.failure)), bad.failure.kind.status)
        return _response(reply, client)

    def _refuse(self, message: str, status: int, kind: Kind = INVALID_REQUEST) -> web.Response:
        return self._refusal(Failure(kind, f"{kind.name}: {message}", safe_to_repeat=False), status)

    def _not_http(self, status: int) -> web.Response:
        message = (
            f"the request is not valid HTTP/1.1 (one head of lines up to {MAX_LINE} bytes, one length); "
            "send it as any HTTP library does"
        )
        response = self._refuse(message, status)
        response.headers["Server"] = "ec-gateway"
        if self.sandbox:
            response.headers["X-Sandbox"] = SANDBOX
        return response

    def _refusal(self, failure: Failure, status: int) -> web.Response:
        """Build an answer to something that was no call at all; it always has its HTTP status."""
        return web.Response(
            body=error_reply(b"null", v1=False, error=failure_error(failure)), status=status, content_type=JSON
        )


class _TooLargeError(Exception):
    """A chunked body passed its cap."""


def _response(reply: Reply, client: Client) -> web.Response:
    """Wrap a reply as the client wants its errors: with HTTP 200 as the daemon does, or with statuses."""
    if client.errors == "jsonrpc" or reply.status == 200:
        return web.Response(body=reply.body, content_type=JSON)
    response = web.Response(body=reply.body, status=reply.status, content_type=JSON)
    if reply.retry_after is not None:
        response.headers["Retry-After"] = str(max(1, round(reply.retry_after)))
    return response
