"""The JSON-RPC door: an HTTP body in, a JSON-RPC reply out.

Rule: whatever comes in gets an answer that says what is wrong with it and what would be right; nothing that
comes in is trusted, nothing is held longer or larger than its cap.

What is HTTP about it is in `http_server` and below; here is what a request means.  A read without special wishes is
answered by callbacks; everything else has a task of its own.
"""

import asyncio
import random
from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from multidict import istr

from gateway.base import trace
from gateway.base.config import Client, Listen, Tls
from gateway.base.errors import DEADLINE_BEFORE_SEND, OVERLOADED, Failure
from gateway.base.jsonrpc import Call, Malformed, Reply, error_reply, failure_error, parse
from gateway.base.trace import CURRENT
from gateway.edge.answer import Answer
from gateway.edge.auth import Authenticator, Caller, TokenBucket
from gateway.edge.certificate import Certificate
from gateway.edge.descriptors import Descriptors
from gateway.edge.http_head import Head
from gateway.edge.http_protocol import Connection, Work
from gateway.edge.http_server import HttpServer
from gateway.edge.peers import MORE, Peers
from gateway.edge.rpc_refusals import SANDBOX, Parsed, Refusals, gone
from gateway.flow.seat import Hearer
from gateway.observe import logs
from gateway.rules import forward
from gateway.rules.forward import Passage
from gateway.rules.payment import check_key

LAST = 0.05
"""Seconds for tasks whose clients were just told that nobody waits for them any more."""

AUTHORIZATION, TIMEOUT, KEY, FORWARDED, TRACEPARENT = (
    istr("Authorization"), istr("X-Request-Timeout"), istr("Idempotency-Key"), istr(forward.FORWARDED),
    istr(trace.HEADER),
)  # fmt: skip
"""Headers that are asked for in each request; such names are looked up without being folded anew."""


class CallsDispatcher(Protocol):
    """The path of a call, as the door sees it."""

    async def call(self, wallet: str, client: Client, call: Call, deadline: float, key: str | None) -> Reply:
        """Answer one call by its deadline in loop time."""

    def takes_key(self, wallet: str, method: str) -> bool:
        """Whether a method binds an Idempotency-Key."""


Begin = Callable[[str, Client, Call, float, Hearer], Work | None]
"""Begins a call that needs no task, and hands on its reply; None, and nothing done, for any other: wallet, client,
call, deadline in loop time, who hears the reply."""


Finds = Callable[[], Coroutine[None, None, Answer]]
"""Finds an answer in a task of its own."""


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


class Ready:
    """What the door made of a head: who calls, where to, with what wishes."""

    __slots__ = (
        "caller", "client", "era", "is_limited", "is_plain", "max_batch", "max_depth", "most", "passage", "seconds",
        "wallet",
    )  # fmt: skip

    def __init__(self, most: int, passage: Passage | None = None) -> None:
        """Hold the bytes that the body may have, and what another gateway's head says."""
        self.most = most
        self.passage = passage
        self.era: object = None
        self.wallet = ""
        self.seconds = 0.0
        self.is_plain = False
        """It has no wishes that would need a task: no key, no trace."""
        self.is_limited = False
        """Its client has a rate."""
        self.max_depth = self.max_batch = 0
        self.caller: Caller
        self.client: Client


class Asker(Hearer):
    """The client of one request, who hears the reply on his connection."""

    __slots__ = ("_client", "_connection", "_refusals", "_turn")

    def __init__(self, connection: Connection, refusals: Refusals, client: Client) -> None:
        """Wait for the reply to the request in its turn now."""
        self._connection = connection
        self._turn = connection.turn
        self._refusals = refusals
        self._client = client

    def hear(self, reply: Reply) -> None:
        """Write it, as this client wants it."""
        self._connection.answer(self._turn, self._refusals.reply(reply, self._client))


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
        begin: where calls go that need no task; without it all of them have one.
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
        begin: Begin | None = None,
    ) -> None:
        """Begin closed."""
        self.listen = listen
        self.authenticate = authenticate
        self.dispatcher = dispatcher
        self.wallets = wallets
        self.refusals = Refusals(f"X-Sandbox: {SANDBOX}\r\n".encode() if sandbox else b"")
        self.counters = counters
        self.descriptors = descriptors
        self.peers = peers
        self.bits = bits
        self.begin = begin
        self.port = 0
        self._loop = asyncio.get_running_loop()
        self._now: Callable[[], float] = self._loop.time
        self._server: HttpServer | None = None
        self._certificate: Certificate | None = None
        self._is_draining = False
        self._era = object()
        """Of caps and clients; what was found about a head counts in one of them."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._log = logs.get_logger()

    async def start(self) -> None:
        """Bind and serve.  Raises OSError when the port is taken or a certificate cannot be read."""
        listen = self.listen
        self._certificate = None if listen.tls is None else Certificate(listen.tls)
        context = None if self._certificate is None else self._certificate.context
        server = HttpServer(
            self,
            counters=self.counters,
            max_connections=lambda: self.descriptors.clients(self.listen.max_connections),
            head_timeout=lambda: self.listen.head_timeout,
            keepalive_timeout=listen.keepalive_timeout,
        )
        server.is_draining = self._is_draining
        self.port = await server.start(
            listen.host, listen.port, context, at_one_go=self.descriptors.at_one_go,
            handshake_timeout=listen.head_timeout,
        )  # fmt: skip
        self._server = server

    def update(self, listen: Listen, authenticate: Authenticator) -> None:
        """Take new caps and clients; address and TLS stay as they are."""
        self.listen = listen
        self.authenticate = authenticate
        self._era = object()

    def renew(self, tls: Tls | None) -> bool:
        """Show another certificate from now on; return whether there is one.  Raises OSError for unusable files."""
        return self._certificate is not None and tls is not None and self._certificate.renew(tls)

    def drain(self) -> None:
        """Answer with Connection: close from now on."""
        self._is_draining = True
        if self._server is not None:
            self._server.is_draining = True

    async def finish(self, timeout: float) -> None:  # noqa: ASYNC109 - draining is told its time, it does not fail by it
        """Listen no more and wait for calls under way; connections stay open until `stop`."""
        if self._server is not None:
            await self._server.finish(timeout)

    async def stop(self, timeout: float) -> None:  # noqa: ASYNC109 - the same
        """Listen no more, wait for calls under way, close the rest."""
        await self.finish(timeout)
        server, self._server = self._server, None
        if server is not None:
            await server.stop()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=LAST)

    # -- a head ---------------------------------------------------------------------------------------------

    @property
    def body_timeout(self) -> float:
        """Seconds for a body that does not come with its head."""
        return self.listen.body_timeout

    def most(self, ready: Ready) -> int:
        """Return the bytes that the body may have."""
        return ready.most

    def admit(self, head: Head) -> Ready | Answer:
        """Look at a head: an answer when its body does not matter."""
        self.counters.requests += 1
        judged: Ready | None = head.judged
        if judged is not None and judged.era is self._era:
            return judged
        try:
            if FORWARDED in head.headers:
                return self._admit_gateway(head)
            found = self._admit(head)
        except Exception:  # noqa: BLE001 - the client gets an answer whatever happens; the log gets the reason
            return self._failed(head)
        if isinstance(found, Ready):
            head.judged = found
        return found

    def _admit(self, head: Head) -> Ready | Answer:
        headers = head.headers
        caller = self.authenticate.who(headers.get(AUTHORIZATION))
        if caller is None:
            self.counters.auth_failures += 1
            return self.refusals.stranger()
        wallet = self._wallet(head.path, caller.client)
        if wallet is None:
            return self.refusals.nowhere(head.path)
        if head.method != "POST":
            return self.refusals.no_post()
        seconds = _seconds(headers.get(TIMEOUT), caller.client)
        if seconds is None:
            return self.refusals.refuse("X-Request-Timeout must be seconds, greater than 0, such as 2.5", 400)
        ready = Ready(self.listen.max_body)
        ready.era = self._era
        ready.caller, ready.client, ready.wallet, ready.seconds = caller, caller.client, wallet, seconds
        ready.is_limited = caller.client.rate_limit is not None
        ready.max_depth, ready.max_batch = self.listen.max_depth, self.listen.max_batch
        ready.is_plain = KEY not in headers and TRACEPARENT not in headers
        return self._wrong_length(head, ready.most) or ready

    def _admit_gateway(self, head: Head) -> Ready | Answer:
        """Look at the head of a call that another gateway sent on."""
        peers = self.peers if head.is_latest else None
        passage = None if peers is None else peers.admit(head.headers, head.path, head.method)
        if passage is None:
            self.counters.auth_failures += 1
            return self.refusals.no_gateway()
        ready = Ready(self.listen.max_body + MORE, passage)
        return self._wrong_length(head, ready.most) or ready

    def _wrong_length(self, head: Head, most: int) -> Answer | None:
        """Refuse a body by what its head says of its length."""
        if head.length is None and not head.is_chunked:
            self.counters.count_malformed("no_length")
            return self.refusals.refuse(
                "the body has no length; send Content-Length, or Transfer-Encoding: chunked", 411
            )
        if head.length is not None and head.length > most:
            self.counters.count_malformed("too_large")
            return self.refusals.too_large(head.length, self.listen.max_body)
        return None

    def _wallet(self, path: str, client: Client) -> str | None:
        """Return the wallet that a path means; one that the client may not use is as unknown as any."""
        if path in ("/", "/RPC2"):
            name = "main" if "main" in client.wallets else client.wallets[0]
        elif path.startswith("/wallets/"):
            name = path.removeprefix("/wallets/")
        else:
            return None
        return name if name in client.wallets and name in self.wallets() else None

    # -- a request that is whole ------------------------------------------------------------------------------

    def run(self, head: Head, ready: Ready, body: bytes, connection: Connection) -> None:
        """Find the answer to a request; `connection` is given it."""
        try:
            if ready.passage is not None:
                self._later(head, partial(self._forwarded, head, ready.passage, body), connection)
                return
            client = ready.client
            parsed = parse(body, max_depth=ready.max_depth, max_batch=ready.max_batch)
            if ready.is_limited:
                wait = self._spend(ready.caller, len(parsed) if isinstance(parsed, list) else 1)
                if wait:
                    connection.answer(connection.turn, self._limited(wait, client, parsed))
                    return
            deadline = connection.began + ready.seconds
            if ready.is_plain and self.begin is not None and type(parsed) is Call:
                if CURRENT.get() is not None:  # to look costs a seventh of setting it
                    CURRENT.set(None)
                asker = Asker(connection, self.refusals, client)
                work = connection.work = self.begin(ready.wallet, client, parsed, deadline, asker)
                if work is not None:
                    return
            answer = self._with_wishes(head, ready, parsed, deadline, connection)
        except Exception:  # noqa: BLE001 - as above
            answer = self._failed(head)
        if answer is not None:
            connection.answer(connection.turn, answer)

    def _with_wishes(
        self, head: Head, ready: Ready, parsed: Parsed, deadline: float, connection: Connection
    ) -> Answer | None:
        """Answer what is no plain call of a read, at once or by a task; None when it comes later."""
        client, key = ready.caller.client, None
        if isinstance(parsed, Malformed):
            self.counters.count_malformed(parsed.failure.kind.name)
            return self.refusals.malformed(parsed, client)
        if KEY in head.headers:
            key = head.headers[KEY]
            wrong = self._wrong_key(head.headers.getall(KEY), parsed, ready.wallet)
            if wrong:
                return self.refusals.wrong_key(wrong, ready.wallet, client, parsed)
        self._later(head, partial(self._calls, head, ready, parsed, deadline, key), connection)
        return None

    def _later(self, head: Head, find: Finds, connection: Connection) -> None:
        """Have a task find the answer; a client that is gone before it begins leaves nothing begun."""
        connection.work = task = self._loop.create_task(self._tell(head, find, connection, connection.turn))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell(self, head: Head, find: Finds, connection: Connection, turn: int) -> None:
        try:
            answer = await find()
        except Exception:  # noqa: BLE001 - as above
            answer = self._failed(head)
        connection.answer(turn, answer)

    async def _calls(
        self, head: Head, ready: Ready, parsed: Call | list[Call | Malformed], deadline: float, key: str | None
    ) -> Answer:
        """Answer a call or a batch."""
        self._trace(head)
        wallet, client = ready.wallet, ready.caller.client
        if isinstance(parsed, list):
            return await self._batch(parsed, wallet, client, deadline, key)
        return self.refusals.reply(await self._call(wallet, client, parsed, deadline, key), client)

    async def _call(self, wallet: str, client: Client, call: Call, deadline: float, key: str | None) -> Reply:
        if wallet not in self.wallets():
            return gone(wallet, call)
        return await self.dispatcher.call(wallet, client, call, deadline, key)

    async def _batch(
        self, entries: list[Call | Malformed], wallet: str, client: Client, deadline: float, key: str | None
    ) -> Answer:
        """Answer a batch: its calls one after another, as the daemon does, under one deadline."""
        replies: list[bytes] = []
        for entry in entries:
            if isinstance(entry, Malformed):
                self.counters.count_malformed(entry.failure.kind.name)
                replies.append(error_reply(entry.id, entry.v1, failure_error(entry.failure)))
            elif self._now() >= deadline:
                if entry.id is not None:
                    message = "deadline_before_send: the batch's time ran out before this call; nothing was sent"
                    failure = Failure(DEADLINE_BEFORE_SEND, message, safe_to_repeat=True, wallet=wallet)
                    replies.append(error_reply(entry.id, entry.v1, failure_error(failure)))
            else:
                reply = await self._call(wallet, client, entry, deadline, key)
                if reply.body:
                    replies.append(reply.body)
        return Answer(b"[%b]" % b", ".join(replies) if replies else b"", self.refusals.extra)

    async def _forwarded(self, head: Head, passage: Passage, body: bytes) -> Answer:
        """Answer a call that another gateway sent on."""
        self._trace(head)
        assert self.peers is not None  # noqa: S101 - they let it in
        answer = await self.peers.answer(passage, body, self.listen.max_depth, self.refusals.extra)
        if answer is None:
            self.counters.auth_failures += 1
            return self.refusals.no_gateway()
        return answer

    # -- its parts ------------------------------------------------------------------------------------------

    def _trace(self, head: Head) -> None:
        """Say which trace the calls of this request belong to, for all that is done in this task.

        Who names none is part of none: ids for nobody would cost each call a twentieth of what it costs.
        """
        told = head.headers.getall(TRACEPARENT, None)
        if told is None:
            CURRENT.set(None)
            return
        CURRENT.set(trace.begin(told[0] if len(told) == 1 else None, self.bits))

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

    def _spend(self, caller: Caller, calls: int) -> float:
        """Take from the client's rate; return the seconds to wait, 0.0 when it may call."""
        bucket, now = caller.bucket, self._now()
        if bucket is None:
            limit = caller.client.rate_limit
            assert limit is not None  # noqa: S101 - asked before
            bucket = caller.bucket = TokenBucket(limit, now)
        return bucket.take(now, calls)

    def _limited(self, wait: float, client: Client, parsed: Parsed) -> Answer:
        """Refuse a call or a batch in its own shape; nothing is said to notifications."""
        self.counters.rate_limited += 1
        message = f"overloaded: client {client.name} calls faster than its rate_limit; wait {wait:.2f} s"
        return self.refusals.all_of(Failure(OVERLOADED, message, safe_to_repeat=True, retry_after=wait), client, parsed)

    # -- refusals -------------------------------------------------------------------------------------------

    def slow_body(self) -> Answer:
        """Answer a body that did not come in time."""
        self.counters.count_malformed("slow_body")
        return self.refusals.slow_body(self.listen.body_timeout)

    def too_large(self, ready: Ready) -> Answer:
        """Answer a body that turned out to be larger than its cap."""
        self.counters.count_malformed("too_large")
        return self.refusals.too_large(None, ready.most)

    def not_http(self) -> Answer:
        """Answer what is not HTTP; the broken bytes are not quoted, for they may be a password."""
        self.counters.count_malformed("not_http")
        return self.refusals.not_http()

    def _failed(self, head: Head) -> Answer:
        self._log.exception("door.failed", path=head.path[:100])
        return self.refusals.failed()


def _seconds(text: str | None, client: Client) -> float | None:
    """Return the seconds that a client gives a request, None for what is no such number."""
    if text is None:
        return client.deadline
    try:
        asked = float(text)
    except ValueError:
        return None
    return min(client.deadline, asked) if 0 < asked < 1e9 else None
