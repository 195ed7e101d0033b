"""The ends of a call on the wire, against real servers on loopback: every row of the table in `wire.py`."""

import asyncio
import errno
import gc
import os
import resource
import socket
import weakref
from contextlib import suppress

import pytest

from gateway.upstream import wire as wire_module
from gateway.upstream.connection import Connection
from gateway.upstream.target import Target
from gateway.upstream.wire import SWEEP, Exchange, Fate, Outcome, Wire
from tests.upstream.conftest import (
    LONG,
    Act,
    Asked,
    FullBacklog,
    Guest,
    Listen,
    MakeWire,
    answer,
    ask,
    listening,
    make_wire,
    open_files,
    send,
    until,
)


def ended(outcome: Outcome) -> tuple[Fate, str]:
    """What the table says of an end."""
    return outcome.fate, outcome.reason


def dead_target() -> Target:
    """A port where nobody listens any more."""
    sock = listening()
    port = sock.getsockname()[1]
    sock.close()
    return Target.make(f"http://127.0.0.1:{port}", "", "", keep_alive=False)


def says(*pieces: bytes) -> Act:
    """An act: read the request, write pieces one after the other, close."""

    async def act(guest: Guest) -> None:
        await guest.request()
        for piece in pieces:
            await guest.say(piece)
            await asyncio.sleep(0)

    return act


def sweeps(wire: Wire) -> int:
    """How many timers of the sweep are set on the loop."""
    handles: list[asyncio.TimerHandle] = wire.loop._scheduled  # type: ignore[attr-defined]  # asyncio's own list
    return sum(handle._callback == wire._sweep and not handle.cancelled() for handle in handles)  # type: ignore[attr-defined]  # the same


# -- the request ----------------------------------------------------------------------------------------------


async def test_head_and_body_arrive_in_one_piece(wire: Wire, listen: Listen) -> None:
    """A serial daemon reads them with one recv."""
    peer = listen()
    outcome = await ask(wire, peer.target(path="/rpc"), b'{"method": "version"}')
    assert ended(outcome) == (Fate.ANSWERED, "")
    [piece] = peer.guests[0].pieces
    head, _, body = piece.partition(b"\r\n\r\n")
    assert body == b'{"method": "version"}'
    assert head.split(b"\r\n") == [
        b"POST /rpc HTTP/1.1",
        f"Host: 127.0.0.1:{peer.port}".encode(),
        b"Authorization: Basic dXNlcjpwYXNz",
        b"Content-Type: application/json",
        b"Accept-Encoding: identity",
        b"Content-Length: 21",
        b"Connection: close",
    ]


async def test_header_lines_of_one_call_go_along_in_the_same_piece(wire: Wire, listen: Listen) -> None:
    """What tells the daemon of a trace costs no second write, which a serial daemon would wait for."""
    peer, future = listen(), asyncio.get_running_loop().create_future()
    more = b"\r\ntraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    wire.send(peer.target(), b'{"method": "version"}', whole=5.0, reuse=False, on_end=future.set_result, more=more)
    assert ended(await future) == (Fate.ANSWERED, "")
    [piece] = peer.guests[0].pieces
    head, _, body = piece.partition(b"\r\n\r\n")
    assert body == b'{"method": "version"}'
    assert more.strip() in head.split(b"\r\n")


async def test_each_call_has_a_connection_of_its_own_and_none_is_left(wire: Wire, listen: Listen) -> None:
    """The incident was one idle connection: there is never one, even when the daemon would keep it."""

    async def act(guest: Guest) -> None:
        await guest.request()
        await guest.say(answer(b"{}", "Connection: keep-alive"))
        assert await guest.read() == b""

    peer = listen(act)
    for count in range(1, 4):
        for reuse in (False, True):
            outcome = await ask(wire, peer.target(), reuse=reuse)
            assert (outcome.fate, outcome.reused) == (Fate.ANSWERED, False)
        assert len(peer.guests) == 2 * count
        await until(lambda: not peer.tasks)
    assert (wire.opened, wire.reused, wire.idle) == (6, 0, 0)


async def test_nothing_is_dialled_before_a_call_is_in_hand(wire: Wire, listen: Listen) -> None:
    """Neither making a wire nor making a target opens anything, and nothing is dialled in advance after a call."""
    peer = listen()
    target = peer.target(keep_alive=True)
    for _ in range(20):
        await asyncio.sleep(0)
    assert peer.guests == []
    await ask(wire, target)
    await until(lambda: wire._timer is None)
    assert len(peer.guests) == 1


async def test_times_of_the_steps_are_told_in_order(wire: Wire, listen: Listen) -> None:
    """Connected, sent, first byte, end."""
    outcome = await ask(wire, listen().target())
    steps = [outcome.connected_at, outcome.sent_at, outcome.first_byte_at, outcome.ended_at]
    assert steps == sorted(steps)
    assert steps[0] > 0


# -- answers --------------------------------------------------------------------------------------------------

COMPLETE = {
    "with a length": (answer(b'{"a": 1}'), 200, b'{"a": 1}'),
    "of HTTP/1.0": (answer(b'{"a": 1}', version="1.0"), 200, b'{"a": 1}'),
    "until the end of the connection": (b"HTTP/1.0 200 OK\r\n\r\n{}", 200, b"{}"),
    "until the end, HTTP/1.1": (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}", 200, b"{}"),
    "empty with a length": (answer(b""), 200, b""),
    "empty until the end": (b"HTTP/1.0 200 OK\r\n\r\n", 200, b""),
    "chunked": (
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{"a\r\n5\r\n": 1}\r\n0\r\n\r\n',
        200,
        b'{"a": 1}',
    ),
    "chunked with a trailer": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX-Sum: 1\r\n\r\n",
        200,
        b"{}",
    ),
    "204 without a body": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
    "304 with a length and no body": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", 304, b""),
    "an error status": (answer(b"no", status="500 Oops"), 500, b"no"),
    "without a reason phrase": (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\n{}", 200, b"{}"),
    "after 100 Continue": (b"HTTP/1.1 100 Continue\r\n\r\n" + answer(), 200, b"{}"),
    "after several interim answers with headers": (
        b"HTTP/1.1 102 Processing\r\nContent-Length: 0\r\n\r\n" * 3 + b"HTTP/1.0 200 OK\r\n\r\n{}",
        200,
        b"{}",
    ),
    "followed by garbage": (answer() + b"garbage", 200, b"{}"),
    "followed by another answer": (answer() + answer(b"no", status="500 Oops"), 200, b"{}"),
    "followed by half of another answer": (answer() + answer(b"no", status="500 Oops")[:30], 200, b"{}"),
    "followed by an interim answer": (answer() + b"HTTP/1.1 100 Continue\r\n\r\n", 200, b"{}"),
    "followed by a huge head": (answer() + b"HTTP/1.1 200 OK\r\nX: " + b"x" * 9000 + b"\r\n\r\n", 200, b"{}"),
}


@pytest.mark.parametrize("case", COMPLETE)
@pytest.mark.parametrize("apart", [False, True], ids=["in one piece", "byte by byte"])
async def test_a_complete_answer_is_delivered_whatever_its_shape(
    wire: Wire, listen: Listen, case: str, *, apart: bool
) -> None:
    """Also a byte at a time, and also with more behind it than was asked for."""
    data, status, body = COMPLETE[case]
    pieces = [data[i : i + 1] for i in range(len(data))] if apart else [data]
    peer = listen(says(*pieces))
    for _ in ("read by the parser", "known by its head, where it may be"):
        outcome = await ask(wire, peer.target())
        assert (outcome.fate, outcome.status, outcome.body) == (Fate.ANSWERED, status, body)


BROKEN = {
    "nothing": (b"", "empty"),
    "half a status line": (b"HTTP/1.1 2", "half"),
    "half a head": (b"HTTP/1.1 200 OK\r\nContent-Le", "half"),
    "a head and no body": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "half"),
    "a body shorter than its length": (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", "half"),
    "a chunk broken off": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{}", "half"),
    "chunks without the last": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", "half"),
    "an interim answer alone": (b"HTTP/1.1 100 Continue\r\n\r\n", "half"),
    "garbage": (b"\x15\x03\x01\x00\x02\x02\x16", "not_http"),
    "a banner": (b"SSH-2.0-OpenSSH_9.6\r\n", "not_http"),
    "a page without a head": (b"<html>no</html>", "not_http"),
    "a request": (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "not_http"),
    "a length below zero": (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "not_http"),
    "a length in letters": (b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\n{}", "not_http"),
    "two lengths": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", "not_http"),
    "a length beyond any integer": (b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 40 + b"\r\n\r\n{}", "not_http"),
    "a chunk length in no digits": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "not_http"),
    "another protocol": (b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", "not_http"),
    "a head beyond its cap": (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 5000 + b"\r\nContent-Length: 0\r\n\r\n", "oversized"),
    "many headers beyond the cap": (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 900 + b"\r\n", "oversized"),
    "a head without an end": (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 5000, "oversized"),
    "interim answers for ever": (b"HTTP/1.1 100 Continue\r\n\r\n" * 400, "oversized"),
    "a trailer beyond the cap": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: " + b"x" * 5000 + b"\r\n\r\n",
        "oversized",
    ),
    "a body beyond its cap": (answer(b"x" * 70_000), "oversized"),
    "an endless body": (b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 70_000, "oversized"),
    "chunks beyond the cap": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + (b"2000\r\n" + b"x" * 0x2000 + b"\r\n") * 9,
        "oversized",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
async def test_what_is_no_complete_answer_is_unknown_and_says_why(wire: Wire, listen: Listen, case: str) -> None:
    """Never passed off as an answer, and no part of it is shown."""
    data, reason = BROKEN[case]
    outcome = await ask(wire, listen(says(data)).target())
    assert (ended(outcome), outcome.body) == ((Fate.UNKNOWN, reason), b"")


@pytest.mark.parametrize(
    ("begin", "more"), [(b"0\r\nX: ", b"x" * 2000), (b"2;a=", b"x" * 2000), (b"0\r\n", b"X: " + b"x" * 400 + b"\r\n")]
)
async def test_what_goes_on_for_ever_behind_a_head_is_not_listened_to(
    wire: Wire, listen: Listen, begin: bytes, more: bytes
) -> None:
    """Trailers and words about chunks, which the parser gathers and nobody asks for; each piece alone is small."""

    async def serve(guest: Guest) -> None:
        await guest.request()
        await guest.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + begin)
        with suppress(ConnectionError):
            while True:
                await guest.say(more)
                await asyncio.sleep(0)

    assert ended(await ask(wire, listen(serve).target())) == (Fate.UNKNOWN, "oversized")


async def test_a_body_in_many_chunks_may_take_more_words_than_a_head(wire: Wire, listen: Listen) -> None:
    """As long as something of it comes with them."""
    chunk = b"1;a=" + b"x" * 2000 + b"\r\n{\r\n"

    async def serve(guest: Guest) -> None:
        await guest.request()
        await guest.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(10):
            await guest.say(chunk)
            await asyncio.sleep(0)
        await guest.say(b"0\r\n\r\n")

    outcome = await ask(wire, listen(serve).target())
    assert (ended(outcome), outcome.body) == ((Fate.ANSWERED, ""), b"{" * 10)


async def test_a_length_beyond_the_cap_ends_when_the_cap_is_passed(wiring: MakeWire, listen: Listen) -> None:
    """The cap is the configuration's, and changes count at once."""
    wire, peer = wiring(max_body=10), listen(says(answer(b"x" * 11)))
    assert ended(await ask(wire, peer.target())) == (Fate.UNKNOWN, "oversized")
    wire.max_body = 11
    assert ended(await ask(wire, peer.target())) == (Fate.ANSWERED, "")


@pytest.mark.parametrize(
    ("said", "reason"), [(b"", "reset"), (b"HTTP/1.1 200 OK\r\n", "half"), (answer()[:-1], "half")]
)
async def test_a_reset_is_told_from_an_end_and_from_half_an_answer(
    wire: Wire, listen: Listen, said: bytes, reason: str
) -> None:
    """A process that dies resets its connections."""

    async def act(guest: Guest) -> None:
        await guest.request()
        if said:
            await guest.say(said)
        guest.reset()

    assert ended(await ask(wire, listen(act).target())) == (Fate.UNKNOWN, reason)


@pytest.mark.parametrize("number", [errno.ETIMEDOUT, errno.EHOSTUNREACH], ids=errno.errorcode.get)
@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\n"], ids=["nothing said", "half said"])
async def test_a_connection_that_the_network_gave_up_is_lost(
    wire: Wire, listen: Listen, number: int, said: bytes
) -> None:
    """Not the daemon's doing: it may be alive behind a broken way and run the call."""

    async def act(guest: Guest) -> None:
        await guest.request()
        await guest.say(said)
        await guest.read()

    asked = send(wire, listen(act).target())
    await until(lambda: asked.exchange._protocol is not None)
    connection = asked.exchange._protocol
    assert connection is not None
    assert connection.transport is not None
    await until(lambda: connection.head_size == len(said))
    connection.transport._close(OSError(number, os.strerror(number)))  # type: ignore[attr-defined]  # as asyncio does
    assert ended(await asked.end()) == (Fate.UNKNOWN, "lost")


async def test_a_body_without_a_length_that_ends_in_a_reset_is_half(wire: Wire, listen: Listen) -> None:
    """Only a clean end completes it."""

    async def act(guest: Guest) -> None:
        await guest.say(b"HTTP/1.0 200 OK\r\n\r\n{}")
        # the request stays unread, so closing resets
        await until(lambda: guest.unread() > 0)
        guest.close()

    assert ended(await ask(wire, listen(act).target())) == (Fate.UNKNOWN, "half")


async def test_an_early_answer_counts_while_the_request_is_still_being_written(wire: Wire, listen: Listen) -> None:
    """A daemon that refuses a body by its head need not read it."""

    async def act(guest: Guest) -> None:
        await guest.read()
        await guest.say(answer(b"too long", status="413 Too Large"))
        await guest.loop.create_future()

    outcome = await ask(wire, listen(act).target(), b"x" * 20_000_000)
    assert (outcome.fate, outcome.status, outcome.body) == (Fate.ANSWERED, 413, b"too long")


# -- time -----------------------------------------------------------------------------------------------------


async def test_no_answer_in_time_is_unknown(wire: Wire, listen: Listen) -> None:
    """The daemon has the request and says nothing."""

    async def act(guest: Guest) -> None:
        await guest.request()
        await guest.loop.create_future()

    assert ended(await ask(wire, listen(act).target(), whole=0.05)) == (Fate.UNKNOWN, "timeout")


@pytest.mark.parametrize("said", [b"HTTP/1.1 200 OK\r\nContent-", answer()[:-1]])
async def test_half_an_answer_in_time_is_unknown(wire: Wire, listen: Listen, said: bytes) -> None:
    """What has come counts for nothing."""

    async def act(guest: Guest) -> None:
        await guest.request()
        await guest.say(said)
        await guest.loop.create_future()

    outcome = await ask(wire, listen(act).target(), whole=0.05)
    assert (ended(outcome), outcome.body) == ((Fate.UNKNOWN, "timeout"), b"")


async def test_an_answer_after_the_deadline_is_never_delivered(wire: Wire, listen: Listen) -> None:
    """The connection is gone by then; the daemon writes into nothing."""
    late = asyncio.Event()
    said = asyncio.Event()

    async def act(guest: Guest) -> None:
        await guest.request()
        await late.wait()
        try:
            await guest.say(answer())
        finally:
            said.set()

    asked = send(wire, listen(act).target(), whole=0.05)
    await asked.end()
    late.set()
    await said.wait()
    for _ in range(20):
        await asyncio.sleep(0)
    assert [ended(one) for one in asked.ends] == [(Fate.UNKNOWN, "timeout")]


async def test_a_peer_that_does_not_read_is_a_write_timeout(wiring: MakeWire, listen: Listen) -> None:
    """Its kernel takes a part of the request, and so it may have been run."""

    async def act(guest: Guest) -> None:
        await guest.loop.create_future()

    outcome = await ask(wiring(write=0.05), listen(act).target(), b"x" * 20_000_000)
    assert ended(outcome) == (Fate.UNKNOWN, "write_timeout")


async def test_the_write_timeout_ends_with_the_write(wiring: MakeWire, listen: Listen) -> None:
    """A peer that read everything has the whole time for its answer."""
    wire = wiring(write=LONG)

    async def act(guest: Guest) -> None:
        await guest.request()
        await guest.say(b"HTTP/1.1 200 OK\r\n")
        await guest.loop.create_future()

    asked = send(wire, listen(act).target(), b"x" * 20_000_000, whole=LONG * 2)
    await until(lambda: asked.exchange.sent)
    assert asked.exchange.expires_at < asked.exchange.whole_at
    await until(lambda: asked.exchange.expires_at == asked.exchange.whole_at)
    asked.exchange.abort()
    assert ended(await asked.end()) == (Fate.UNKNOWN, "aborted")


async def test_the_connect_timeout_ends_with_the_connect(wiring: MakeWire, listen: Listen) -> None:
    """A daemon that was reached has the whole time for its answer."""

    async def act(guest: Guest) -> None:
        await guest.loop.create_future()

    async def lookup(_host: str, _port: int) -> list[str]:
        return ["127.0.0.1"]

    # by a name, which has to be waited for; a numeric address on loopback is connected in the same turn
    asked = send(wiring(connect=LONG / 2, lookup=lookup), listen(act).target(host="wallet.test"), whole=LONG)
    assert asked.exchange.expires_at < asked.exchange.whole_at
    await until(lambda: asked.exchange.sent)
    assert asked.exchange.expires_at == asked.exchange.whole_at
    asked.exchange.abort()
    await asked.end()


async def test_a_full_accept_queue_is_a_connect_timeout_and_nothing_was_sent(
    wiring: MakeWire, full: FullBacklog
) -> None:
    """The daemon that everybody waits for."""
    outcome = await ask(wiring(connect=0.05), full.target())
    assert ended(outcome) == (Fate.NOT_SENT, "connect_timeout")
    assert (outcome.connected_at, outcome.sent_at) == (0.0, 0.0)
    assert full.bytes_received() == 0


async def test_the_whole_time_can_run_out_before_the_connect(wire: Wire, full: FullBacklog) -> None:
    """The deadline of the call is nearer than the time-out of the connect."""
    assert ended(await ask(wire, full.target(), whole=0.05)) == (Fate.NOT_SENT, "timeout")
    assert full.bytes_received() == 0


async def test_a_call_without_any_time_ends_and_tells_the_truth(wire: Wire, listen: Listen) -> None:
    """A deadline that has passed already is no special case."""
    peer = listen()
    outcome = await ask(wire, peer.target(), whole=-1.0)
    assert outcome.fate is not Fate.ANSWERED or peer.guests
    assert not wire.live


# -- no connection --------------------------------------------------------------------------------------------


async def test_nobody_listens(wire: Wire) -> None:
    """Proof that nothing was sent."""
    assert ended(await ask(wire, dead_target())) == (Fate.NOT_SENT, "refused")
    assert wire.opened == 0


async def test_no_way_to_the_host(wire: Wire) -> None:
    """The broadcast address of loopback is such a host: the kernel refuses before any packet."""
    target = Target.make("http://127.255.255.255:9", "", "", keep_alive=False)
    assert ended(await ask(wire, target)) == (Fate.NOT_SENT, "unreachable")


async def test_no_descriptor_left_is_this_machines_fault(wire: Wire) -> None:
    """It must not be held against the daemon."""
    sock = listening()
    target = Target.make(f"http://127.0.0.1:{sock.getsockname()[1]}", "", "", keep_alive=False)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(open_files()), hard))
    blockers = []
    try:
        while True:
            try:
                blockers.append(socket.socket())
            except OSError:
                break
        outcome = await ask(wire, target)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for blocker in blockers:
            blocker.close()
        sock.close()
    assert ended(outcome) == (Fate.NOT_SENT, "local")


CONNECT_ERRORS = {
    errno.EADDRNOTAVAIL: "local",
    errno.EMFILE: "local",
    errno.ENFILE: "local",
    errno.ENOBUFS: "local",
    errno.ENOMEM: "local",
    errno.ETIMEDOUT: "connect_timeout",
    errno.ECONNREFUSED: "refused",
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETUNREACH: "unreachable",
    errno.ECONNRESET: "closed",
    errno.ECONNABORTED: "closed",
    errno.EPIPE: "closed",
}


@pytest.mark.parametrize("number", CONNECT_ERRORS, ids=errno.errorcode.get)
async def test_each_error_of_connecting_has_its_reason(
    wire: Wire, listen: Listen, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Some of them no loopback brings about, so the system call is made to fail."""

    def no_socket(_host: str) -> socket.socket:
        raise OSError(number, os.strerror(number))

    class Failing(socket.socket):
        """A socket that cannot connect."""

        def connect_ex(self, _address: object) -> int:
            return number

    for make in (no_socket, lambda _host: Failing()):
        with monkeypatch.context() as patch:
            patch.setattr(wire_module, "_socket", make)
            outcome = await ask(wire, listen().target())
        assert ended(outcome) == (Fate.NOT_SENT, CONNECT_ERRORS[number])


async def test_a_connection_that_closed_before_the_write_was_not_used(wire: Wire) -> None:
    """Nothing is handed to a transport that is closing."""

    class Closing:
        """A transport whose peer has gone."""

        written = 0

        def is_closing(self) -> bool:
            """It is."""
            return True

        def write(self, _data: bytes) -> None:
            """Count."""
            self.written += 1

        def abort(self) -> None:
            """Nothing is left to do."""

    ends: list[Outcome] = []
    target = dead_target()
    connection = Connection(wire, target, keep=False)
    transport = Closing()
    connection.transport = transport  # type: ignore[assignment]  # as much of one as is needed
    exchange = Exchange(wire, target, b"request", LONG, ends.append, wire.loop.time())
    exchange.write_to(connection, wire.loop.time())
    assert [ended(one) for one in ends] == [(Fate.NOT_SENT, "closed")]
    assert transport.written == 0
    assert not exchange.sent


# -- giving up ------------------------------------------------------------------------------------------------


async def test_a_call_given_up_before_the_connect_was_not_sent(wire: Wire, full: FullBacklog) -> None:
    """Nothing goes out later, when there is room at last."""
    asked = send(wire, full.target())
    await asyncio.sleep(0)
    asked.exchange.abort()
    assert asked.ends == []
    assert ended(await asked.end()) == (Fate.NOT_SENT, "aborted")
    assert full.bytes_received() == 0


async def test_a_call_given_up_at_once_never_reaches_the_daemon(wire: Wire, listen: Listen) -> None:
    """Between `send` and the first turn of the loop, and at each turn until it is sent."""

    async def act(guest: Guest) -> None:
        while await guest.read():
            pass

    peer = listen(act)
    for turns in range(12):
        asked = send(wire, peer.target())
        for _ in range(turns):
            await asyncio.sleep(0)
        was_sent = asked.exchange.sent
        asked.exchange.abort()
        outcome = await asked.end()
        assert ended(outcome) == (Fate.UNKNOWN if was_sent else Fate.NOT_SENT, "aborted")
        await until(lambda: not peer.tasks)
        if not was_sent:
            assert all(guest.got == b"" for guest in peer.guests)
        peer.guests.clear()


async def test_nothing_is_sent_or_dialled_once_the_wire_may_not(wire: Wire, listen: Listen) -> None:
    """As when another gateway has the wallet: told from the loop, with nothing on the daemon's side."""
    peer = listen(says(answer()))
    wire.may_send = lambda: False
    asked = send(wire, peer.target())
    assert asked.ends == []
    assert ended(await asked.end()) == (Fate.NOT_SENT, "not_held")
    assert peer.guests == []
    wire.may_send = lambda: True
    assert (await ask(wire, peer.target())).body == b"{}"


async def test_a_wire_that_may_not_any_more_is_asked_just_before_the_first_byte(wire: Wire, listen: Listen) -> None:
    """Also over a kept connection, and on one that was being made when it was still allowed."""
    peer = listen(keeps)
    target = peer.target(keep_alive=True)
    await ask(wire, target, b"1", reuse=True)
    for reuse in (True, False):
        asks = iter([True, False])
        wire.may_send = lambda asks=asks: next(asks)  # each asked twice
        asked = send(wire, target, b"2", reuse=reuse)
        assert asked.ends == []
        assert ended(await asked.end()) == (Fate.NOT_SENT, "not_held")
        assert not asked.exchange.sent
    wire.may_send = lambda: True
    assert (await ask(wire, target, b"3", reuse=True)).body == b"3"
    assert b"2" not in b"".join(piece.partition(b"\r\n\r\n")[2] for guest in peer.guests for piece in guest.pieces)


async def test_a_call_given_up_after_the_write_may_have_been_run(wire: Wire, listen: Listen) -> None:
    """Its connection is closed at once, and aborting twice is one end."""
    gone = asyncio.Event()

    async def act(guest: Guest) -> None:
        await guest.request()
        try:
            await guest.read()
        finally:
            gone.set()

    asked = send(wire, listen(act).target())
    await until(lambda: asked.exchange.sent)
    asked.exchange.abort()
    asked.exchange.abort()
    assert ended(await asked.end()) == (Fate.UNKNOWN, "aborted")
    async with asyncio.timeout(LONG):
        await gone.wait()
    asked.exchange.abort()
    await asyncio.sleep(0)
    assert len(asked.ends) == 1


async def test_close_ends_everything_and_leaves_nothing(wiring: MakeWire, listen: Listen, full: FullBacklog) -> None:
    """Calls at each step, a kept connection, tasks, the timer and every descriptor."""

    async def act(guest: Guest) -> None:
        await guest.request()
        await guest.say(answer())
        await guest.request()
        await guest.loop.create_future()

    async def hangs(_host: str, _port: int) -> list[str]:
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    peer = listen(act)
    await asyncio.sleep(0)
    tasks = asyncio.all_tasks()
    wire = wiring(lookup=hangs)
    kept = peer.target(keep_alive=True)
    await ask(wire, kept, reuse=True)
    await ask(wire, peer.target())
    waiting = [send(wire, kept, reuse=True), send(wire, full.target()), send(wire, peer.target(host="a.test"))]
    await asyncio.sleep(0.0)
    await wire.close()
    assert [ended(asked.ends[0]) for asked in waiting] == [
        (Fate.UNKNOWN, "aborted"),
        (Fate.NOT_SENT, "aborted"),
        (Fate.NOT_SENT, "aborted"),
    ]
    assert (len(wire.live), wire.idle, wire._timer, sweeps(wire)) == (0, 0, None, 0)
    left = asyncio.all_tasks() - tasks - peer.tasks
    assert left == set()
    full.bytes_received()


async def test_a_connect_given_up_before_its_first_turn_leaves_no_descriptor(full: FullBacklog) -> None:
    """The wire is closed in the very turn in which the call was sent."""
    before = open_files()
    wire = make_wire()
    asked = send(wire, full.target())
    assert open_files() != before
    await wire.close()
    assert ended(asked.ends[0]) == (Fate.NOT_SENT, "aborted")
    assert open_files() == before


@pytest.mark.parametrize("reuse", [False, True])
async def test_an_ended_call_leaves_nothing_to_the_collector(wire: Wire, listen: Listen, *, reuse: bool) -> None:
    """A listener that holds its exchange, as attempts do, is gone when nobody else holds it."""

    class Listener:
        exchange: Exchange
        outcome: Outcome | None = None

        def hear(self, outcome: Outcome) -> None:
            self.outcome = outcome

    async def one_call() -> "weakref.ref[Listener]":
        listener, target = Listener(), listen().target(keep_alive=reuse)
        listener.exchange = wire.send(target, b"{}", whole=LONG, reuse=reuse, on_end=listener.hear)
        await until(lambda: listener.outcome is not None)
        return weakref.ref(listener)

    gc.disable()
    try:
        left = await one_call()
        await asyncio.sleep(0)
        assert left() is None
    finally:
        gc.enable()


async def test_what_is_sent_after_the_end_is_given_up_unsent(wiring: MakeWire, listen: Listen) -> None:
    """A call that is repeated because its wire was closed opens nothing any more."""
    wire, peer = wiring(), listen()
    await wire.close()
    assert ended(await ask(wire, peer.target())) == (Fate.NOT_SENT, "aborted")
    assert peer.guests == []


async def test_no_descriptor_is_left_after_any_end(wire: Wire, listen: Listen) -> None:
    """A hundred calls that end in different ways leave as many open files as there were."""
    acts = [
        says(answer()),
        says(b"HTTP/1.0 200 OK\r\n\r\n{}"),
        says(b"garbage"),
        says(b""),
        says(answer(b"x" * 70_000)),
        says(answer() + b"more"),
    ]
    peers = [listen(act) for act in acts]
    before = len(open_files())
    for _ in range(10):
        for peer in peers:
            await ask(wire, peer.target(), reuse=True)
        await ask(wire, dead_target())
    await until(lambda: not any(peer.tasks for peer in peers))
    for _ in range(3):
        await asyncio.sleep(0)
    assert len(open_files()) == before


# -- listeners and the sweep ----------------------------------------------------------------------------------


async def test_a_listener_that_raises_harms_nobody(wire: Wire, listen: Listen) -> None:
    """The loop is told, other calls go on, also those that end in the same sweep."""
    told: list[dict[str, object]] = []
    wire.loop.set_exception_handler(lambda _loop, context: told.append(context))

    async def act(guest: Guest) -> None:
        await guest.request()
        await guest.loop.create_future()

    def bad(_outcome: Outcome) -> None:
        raise ValueError("the listener's own fault")

    target = listen(act).target()
    wire.send(target, b"{}", whole=0.02, reuse=False, on_end=bad)
    good = send(wire, target, whole=0.02)
    assert ended(await good.end()) == (Fate.UNKNOWN, "timeout")
    await until(lambda: not wire.live)
    assert [str(context["exception"]) for context in told] == ["the listener's own fault"]
    assert ended(await ask(wire, listen().target())) == (Fate.ANSWERED, "")


async def test_the_sweep_ticks_only_while_something_lives(wire: Wire, listen: Listen) -> None:
    """A gateway without calls sleeps."""
    assert wire._timer is None
    asked = send(wire, listen().target())
    assert sweeps(wire) == 1
    await asked.end()
    await until(lambda: wire._timer is None)
    assert sweeps(wire) == 0


async def test_calls_sent_from_within_the_sweep_start_no_second_one(wire: Wire, full: FullBacklog) -> None:
    """A retry after a time-out is sent by the listener that the sweep calls."""
    target = full.target()
    left = 20
    done = asyncio.Event()

    def again(_outcome: Outcome) -> None:
        nonlocal left
        left -= 1
        if left:
            wire.send(target, b"{}", whole=0.0, reuse=False, on_end=again)
        else:
            done.set()

    keeper = send(wire, target)
    wire.send(target, b"{}", whole=0.0, reuse=False, on_end=again)
    async with asyncio.timeout(LONG):
        await done.wait()
    assert sweeps(wire) == 1
    keeper.exchange.abort()
    await keeper.end()
    full.bytes_received()


async def test_an_exchange_shows_neither_request_nor_credentials(wire: Wire, full: FullBacklog) -> None:
    """Its repr is a status line."""
    target = Target.make(f"http://127.0.0.1:{full.port}", "someone", "hidden", keep_alive=False)
    asked = send(wire, target, b'{"seed": "words"}')
    shown = repr(asked.exchange)
    assert shown == f"<Exchange 127.0.0.1:{full.port} connecting>"
    asked.exchange.abort()
    assert "words" not in repr(await asked.end())
    assert repr(asked.exchange).endswith("over>")
    full.bytes_received()


# -- kept connections -----------------------------------------------------------------------------------------


async def keeps(guest: Guest) -> None:
    """Answer one request after the other."""
    while True:
        request = await guest.request()
        await guest.say(answer(request.partition(b"\r\n\r\n")[2]))


async def test_reads_of_a_keep_alive_target_share_a_connection_and_writes_never(wire: Wire, listen: Listen) -> None:
    """A write gets a fresh connection and leaves none behind; the kept one stays for reads."""
    peer = listen(keeps)
    target = peer.target(keep_alive=True)
    first = await ask(wire, target, b"1", reuse=True)
    second = await ask(wire, target, b"2", reuse=True)
    assert [(one.body, one.reused) for one in (first, second)] == [(b"1", False), (b"2", True)]
    write = await ask(wire, target, b"3", reuse=False)
    assert (write.body, write.reused) == (b"3", False)
    assert wire.idle == 1
    assert len(peer.guests) == 2
    assert b"Connection: close" in peer.guests[1].pieces[0]
    assert b"Connection: keep-alive" in peer.guests[0].pieces[0]
    assert (wire.opened, wire.reused) == (2, 1)


async def test_a_kept_connection_carries_one_call_at_a_time(wire: Wire, listen: Listen) -> None:
    """Two reads at once have two connections."""
    peer = listen(keeps)
    target = peer.target(keep_alive=True)
    await ask(wire, target, reuse=True)
    first, second = send(wire, target, b"1", reuse=True), send(wire, target, b"2", reuse=True)
    assert [(await one.end()).body for one in (first, second)] == [b"1", b"2"]
    assert [first.ends[0].reused, second.ends[0].reused] == [True, False]
    assert wire.idle == 2


async def test_a_head_is_parsed_once_for_all_connections_and_each_answer_is_its_own(wire: Wire, listen: Listen) -> None:
    """Whole answers of one length: the first is parsed, those behind it are known."""
    peer = listen(keeps)
    target = peer.target(keep_alive=True)
    parsed: list[Connection] = []
    begin = Connection.on_message_begin

    def watched(connection: Connection) -> None:
        parsed.append(connection)
        begin(connection)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Connection, "on_message_begin", watched)
        for reuse in (True, True, False, True, False):
            assert [(await ask(wire, target, body, reuse=reuse)).body for body in (b"11", b"22")] == [b"11", b"22"]
    assert len(parsed) == 1
    assert len(wire.heads) == 1


async def test_a_known_head_with_less_or_more_behind_it_is_left_to_the_parser(wire: Wire, listen: Listen) -> None:
    """Half a body is waited for, more than the body is not kept, and neither spoils what follows."""
    whole = answer(b"22")
    turns = iter(
        [(whole,), (whole,), (whole[:-1], whole[-1:]), (whole,), (whole + whole,), (whole,), (whole[:9], whole[9:])]
    )

    async def act(guest: Guest) -> None:
        while True:
            await guest.request()
            for piece in next(turns):
                await guest.say(piece)
                await asyncio.sleep(0.01)

    peer = listen(act)
    target = peer.target(keep_alive=True)
    assert [(await ask(wire, target, b"x", reuse=True)).body for _ in range(7)] == [b"22"] * 7
    assert len(peer.guests) == 2, "the one that said more than it was asked for is closed"


async def test_a_cap_that_is_lower_now_holds_for_known_heads(wire: Wire, listen: Listen) -> None:
    """What was allowed then is not for ever."""
    peer = listen(keeps)
    target = peer.target(keep_alive=True)
    assert (await ask(wire, target, b"12345", reuse=True)).body == b"12345"
    wire.max_body = 4
    assert ended(await ask(wire, target, b"12345", reuse=True)) == (Fate.UNKNOWN, "oversized")


NOT_KEPT = {
    "it says close": answer(b"{}", "Connection: close"),
    "HTTP/1.0": answer(version="1.0"),
    "no length": b"HTTP/1.1 204 No Content\r\n\r\n",
    "garbage behind it": answer() + b"garbage",
    "another answer behind it": answer() + answer(b"not asked for"),
    "the beginning of another answer behind it": answer() + b"HTTP/1.1 2",
}


@pytest.mark.parametrize("case", NOT_KEPT)
async def test_a_connection_is_not_kept_after(wire: Wire, listen: Listen, case: str) -> None:
    """Whatever leaves a doubt about the next answer."""

    async def act(guest: Guest) -> None:
        while True:
            await guest.request()
            await guest.say(NOT_KEPT[case])

    peer = listen(act)
    target = peer.target(keep_alive=True)
    for _ in range(2):
        assert ended(await ask(wire, target, reuse=True)) == (Fate.ANSWERED, "")
        assert wire.idle == 0
    assert len(peer.guests) == 2


@pytest.mark.parametrize("seen", [True, False], ids=["seen by the loop", "still in the kernel"])
@pytest.mark.parametrize("what", ["an answer nobody asked for", "an end", "a reset"])
async def test_a_kept_connection_that_spoke_or_ended_meanwhile_is_not_used(
    wire: Wire, listen: Listen, what: str, *, seen: bool
) -> None:
    """Otherwise one caller would be given another one's answer; nor is a call wasted on a dead connection."""
    wire.idle_for = 1000.0

    async def act(guest: Guest) -> None:
        await guest.request()
        await guest.say(answer(b"asked for"))
        if guest is not peer.guests[0]:
            return
        await until(lambda: wire.idle == 1)
        if what == "an answer nobody asked for":
            guest.sock.send(answer(b"not asked for"))
        elif what == "an end":
            guest.close()
        else:
            guest.reset()
        if seen:
            await until(lambda: wire.idle == 0)
        asked.append(send(wire, target, reuse=True))
        await asked[0].end()

    peer = listen(act)
    target = peer.target(keep_alive=True)
    asked: list[Asked] = []
    assert (await ask(wire, target, reuse=True)).body == b"asked for"
    await until(lambda: bool(asked))
    outcome = await asked[0].end()
    assert (outcome.fate, outcome.body, outcome.reused) == (Fate.ANSWERED, b"asked for", False)
    assert len(peer.guests) == 2


@pytest.mark.parametrize(("just", "times"), [(LONG, 1), (0.0, 3)])
async def test_the_kernel_is_not_asked_about_a_connection_that_was_kept_again_just_now(
    wire: Wire, listen: Listen, monkeypatch: pytest.MonkeyPatch, just: float, times: int
) -> None:
    """About one that carried a single call it is, and about any that was idle for longer."""
    monkeypatch.setattr(wire_module, "JUST", just)
    asked: list[Connection] = []
    is_quiet = Connection.is_quiet

    def watched(connection: Connection) -> bool:
        asked.append(connection)
        return is_quiet(connection)

    monkeypatch.setattr(Connection, "is_quiet", watched)
    peer = listen(keeps)
    target = peer.target(keep_alive=True)
    assert [(await ask(wire, target, b"1", reuse=True)).reused for _ in range(4)] == [False, True, True, True]
    assert len(asked) == times


@pytest.mark.parametrize(
    ("what", "seen"), [("an end", True), ("a reset", True), ("an end", False), ("a reset", False), ("an answer", True)]
)
async def test_the_kernel_is_asked_once_more_when_a_connection_was_ended_that_was_kept_just_now(
    wire: Wire, listen: Listen, monkeypatch: pytest.MonkeyPatch, what: str, *, seen: bool
) -> None:
    """A daemon that closes each after two answers without a word would break every third read, and count as faulty."""
    monkeypatch.setattr(wire_module, "JUST", LONG)

    async def act(guest: Guest) -> None:
        guest.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(2):
            await guest.request()
            await guest.say(answer(b"asked for"))
        await until(lambda: wire.idle == 1)
        if what == "an answer":
            guest.sock.send(answer(b"not asked for"))
        elif what == "an end":
            guest.close()
        else:
            guest.reset()
        if seen and guest is peer.guests[0]:
            await until(lambda: wire.idle == 0)
        asked.append(send(wire, target, reuse=True))

    peer, asked = listen(act), list[Asked]()
    target = peer.target(keep_alive=True)
    for _ in range(2):
        assert (await ask(wire, target, reuse=True)).body == b"asked for"
    await until(lambda: len(asked) == 1)
    # the one that was ended unseen breaks this one, which is asked again
    answered = 1 if (await asked[0].end()).fate is Fate.ANSWERED else 0
    for _ in range(2 - answered):
        assert (await ask(wire, target, reuse=True)).body == b"asked for"
    await until(lambda: len(asked) == 2)
    outcome = await asked[1].end()
    assert (outcome.fate, outcome.body, outcome.reused) == (Fate.ANSWERED, b"asked for", False)


async def test_a_connection_is_not_kept_whose_answer_was_to_another_call(wire: Wire, listen: Listen) -> None:
    """Only whoever asked can tell; all that came over it afterwards would be off by one."""
    peer = listen(keeps)
    target = peer.target(keep_alive=True)
    ended: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    def hear(outcome: Outcome) -> None:
        exchange.is_sound = False
        ended.set_result(outcome)

    exchange = wire.send(target, b"1", whole=LONG, reuse=True, on_end=hear)
    assert (await ended).fate is Fate.ANSWERED
    assert wire.idle == 0
    assert (await ask(wire, target, b"2", reuse=True)).reused is False
    assert wire.idle == 1


async def test_kept_connections_are_few_and_do_not_grow_old(
    wire: Wire, listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most IDLE_MOST for each target; the sweep closes what was idle too long and then rests."""
    monkeypatch.setattr(wire_module, "IDLE_MOST", 2)
    peer = listen(keeps)
    target = peer.target(keep_alive=True)
    asked = [send(wire, target, reuse=True) for _ in range(5)]
    for one in asked:
        await one.end()
    assert wire.idle == 2
    monkeypatch.setattr(wire_module, "LOOK", 0.005)
    wire.idle_for = 0.005
    await ask(wire, target, reuse=True)
    await until(lambda: wire.idle == 0)
    await until(lambda: wire._timer is None)
    assert wire._idle == {}
    assert (await ask(wire, target, reuse=True)).reused is False


async def test_a_connection_that_was_idle_too_long_is_not_used_before_the_sweep_sees_it(
    wire: Wire, listen: Listen
) -> None:
    """The server may be about to close it."""
    peer = listen(keeps)
    target = peer.target(keep_alive=True)
    await ask(wire, target, reuse=True)
    wire.idle_for = 0.0
    assert (await ask(wire, target, reuse=True)).reused is False
    assert len(peer.guests) == 2


async def test_a_deadline_is_looked_after_at_once_beside_a_kept_connection(wire: Wire, listen: Listen) -> None:
    """The slow look at idle connections must not be the one that a call waits for."""
    target = listen(keeps).target(keep_alive=True)
    await ask(wire, target, reuse=True)
    await until(lambda: wire._timer is not None and wire._timer.when() > wire.loop.time() + 2 * SWEEP)
    asked = send(wire, target, reuse=True)
    assert wire._timer is not None
    assert wire._timer.when() <= wire.loop.time() + SWEEP
    assert sweeps(wire) == 1
    await asked.end()


async def test_a_kept_connection_that_dies_under_a_call_is_unknown(wire: Wire, listen: Listen) -> None:
    """The request was handed over, whatever became of it; `reused` tells the caller that it may be the connection."""

    async def act(guest: Guest) -> None:
        await guest.request()
        await guest.say(answer())
        await guest.request()

    target = listen(act).target(keep_alive=True)
    await ask(wire, target, reuse=True)
    outcome = await ask(wire, target, reuse=True)
    assert (ended(outcome), outcome.reused) == ((Fate.UNKNOWN, "empty"), True)
