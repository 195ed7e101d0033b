"""What daemons answer over the wire, as HTTP: complete and ours, or none; and the same however it is cut.

Three readings of the same bytes have to agree: in one piece by a fresh wire, in pieces, and by a wire that has seen the
head before.  A strict reader says what is whole.
"""

import asyncio
from typing import Any

import pytest
from hypothesis import event, given

from gateway.upstream.connection import Connection
from gateway.upstream.outcome import Fate, Outcome
from gateway.upstream.target import Target
from gateway.upstream.wire import Exchange, Wire
from tests.fuzz.dice import Dice, dice
from tests.fuzz.effort import cases, show
from tests.fuzz.jsontexts import harmed, value
from tests.fuzz.lines import Line
from tests.fuzz.reading import read_answers
from tests.fuzz.requests import ODD_LINES, chunked, pieces
from tests.upstream.conftest import make_wire
from tests.virtual_time import VirtualLoop

LONG = 40_000
"""Bytes of a body that is meant to be long: well above the cap of the wires here."""

WHOLE = 5.0
"""Virtual seconds for a call."""

REASONS = {
    Fate.ANSWERED: {""},
    Fate.UNKNOWN: {"empty", "reset", "half", "not_http", "oversized", "timeout", "lost"},
}
"""How a call can end whose request was written."""

STATUS = (
    "200 OK",
    "200 OK",
    "401 Unauthorized",
    "500 Internal Server Error",
    "200",
    "204 No Content",
    "304 Not Modified",
    "100 Continue",
)
ODD_STATUS = (
    "HTTP/1.1 2000 OK", "HTTP/2 200 OK", "HTTP/1.1  200 OK", "HTTP/1.1 20 OK", "HTTP/1.1200 OK", "ICY 200 OK",
    "HTTP/1.1 -200 OK",
    "HTTP/1.1 200 \x00", "HTTP/9.9 200 OK", "200 OK", "", "<html>", "RTSP/1.0 200 OK",
    "HTTP/1.1 101 Switching Protocols",
)  # fmt: skip
LINES = (
    "Content-Type: application/json-rpc", "Connection: close", "Connection: keep-alive", "Server: a", "Date: x", "X:",
    "Content-Encoding: gzip",
)  # fmt: skip
FIRST = b'{"result": true, "id": "c1-1", "jsonrpc": "2.0"}'


class MemoryWire(Wire):
    """A wire whose connections are lines in memory."""

    lines: list[Line]

    def _connect_now(self, exchange: Exchange, *, keep: bool) -> bool:
        line = Line(self.loop)
        connection = Connection(self, exchange.target, keep=keep, first=exchange)
        line.protocol = connection
        self.lines.append(line)
        connection.connection_made(line)
        return True


def answer(dice: Dice) -> bytes:
    """Return one answer of a daemon: most are good, and the odd ones are odd in one place or two."""
    oddity = dice.roll(10)  # 0 to 5: none
    body = value(dice).encode(errors="surrogatepass")
    if dice.seldom(10):
        body = body * (1 + min(dice.roll(900), LONG // max(1, len(body))))
    first = dice.pick(ODD_STATUS) if oddity == 6 else f"HTTP/1.{dice.pick('110')} {dice.pick(STATUS)}"
    lines = [dice.pick(LINES) for _ in range(dice.few(3))]
    match dice.roll(6):
        case 0 | 1 | 2:
            lines.append(f"Content-Length: {len(body)}")
        case 3:
            lines.append("Transfer-Encoding: chunked")
            body = chunked(dice, body, is_odd=oddity == 7)
        case 4 if oddity == 8:
            lines.append(f"Content-Length: {len(body) + dice.pick((1, -1, 10, 100000))}")
        case _:
            pass  # it ends with the connection
    if oddity == 9:
        lines += [dice.pick(ODD_LINES) for _ in range(1 + dice.few(1))]
    end = "\n" if oddity == 9 and dice.seldom(3) else "\r\n"
    return (end.join([first, *dice.shuffled(lines)]) + end + end).encode("utf-8", errors="surrogateescape") + body


async def ask(wire: MemoryWire, target: Target, parts: list[bytes], end: str) -> Outcome:
    """Make a call that is answered with these pieces, and return its one end."""
    ends: list[Outcome] = []
    before = len(wire.lines)
    wire.send(target, b"{}", whole=WHOLE, reuse=target.keep_alive, on_end=ends.append)
    line = wire.lines[-1]
    assert wire.lines[before:] or line.protocol.exchange is not None
    for part in parts:
        await asyncio.sleep(0)
        line.send(part)
    if end == "finish":
        await asyncio.sleep(0)
        line.finish()
    if end == "reset":
        line.reset()
    await asyncio.sleep(0.01)
    if not ends:
        await asyncio.sleep(WHOLE)
    assert len(ends) == 1, "a call ends once"
    return ends[0]


def fresh(loop: Any) -> MemoryWire:
    """Return a wire with nothing seen and small caps."""
    wire = make_wire(loop=loop, max_head=2048, max_body=16 * 1024)
    wire.__class__ = MemoryWire
    assert isinstance(wire, MemoryWire)
    wire.lines = []
    return wire


async def check(sent: bytes, parts: list[bytes], end: str, target: Target) -> Outcome:
    """Read the same bytes in three ways, and hold them against each other and against a strict reader."""
    loop = asyncio.get_running_loop()
    found = []
    known = fresh(loop)
    for number, (wire, way) in enumerate(((known, [sent]), (fresh(loop), parts), (known, [sent]))):
        found.append(await ask(wire, target, way, end))
        assert found[-1].reason in REASONS[found[-1].fate]
        assert len(found[-1].body) <= wire.max_body
        assert not wire.live, "a call is left"
        if number == 1:
            continue
        for line in wire.lines:
            assert line.is_lost or line.protocol.exchange is None, "a connection is left"
        assert wire.idle <= 1
    whole, cut, again = [(one.fate, one.status, one.body) for one in found]
    assert whole == again, "a head that is known means the same"
    # a reset may come before the last pieces were looked at
    assert whole == cut or end == "reset", "cut or not, it is the same answer"
    await known.close()
    return found[0]


@cases("wire")
@given(dice(120, 400))
def check_answers(dice: Dice) -> None:
    """An answer counts if it is whole, whatever else came; and what was not asked for is nobody's answer."""
    sent = answer(dice)
    extra = dice.pick((b"", b"", b"", answer(dice), b"\r\n", b"garbage"))
    if dice.seldom(6):
        sent = harmed(dice, sent)
    end, is_kept = dice.pick(("finish", "wait", "reset")), bool(dice.roll(2))
    parts = pieces(dice, sent + extra, [len(sent)])
    show(sent, extra, parts, end, is_kept)
    target = Target.make("http://127.0.0.1:1/", "u", "p", keep_alive=is_kept)
    outcome = LOOP.run_until_complete(check(sent + extra, parts, end, target))
    read = read_answers(sent + extra, is_over=end == "finish")
    event(f"{outcome.fate.name} {outcome.reason}, {read.end}, {bool(read.messages)}")
    if outcome.fate is Fate.ANSWERED and read.messages:
        first = read.messages[0]
        assert (outcome.status, outcome.body) == (first.status, first.body), "another answer than everybody reads"
    if outcome.fate is Fate.ANSWERED and not read.messages:
        assert read.end == "doubt", "an answer that is not whole"
    fits = len(sent) < 2048 and read.messages and not (read.messages[0].says_close or read.messages[0].is_lax)
    if fits and not extra and read.end == "whole" and end != "reset" and read.messages[0].first[0] == b"1":
        assert outcome.fate is Fate.ANSWERED, "a good answer was not taken"


async def check_kept(dice: Dice) -> None:
    """After an answer the connection is kept or it is not; what comes unasked is never the next call's answer."""
    loop = asyncio.get_running_loop()
    wire = fresh(loop)
    target = Target.make("http://127.0.0.1:1/", "u", "p", keep_alive=True)
    good = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(FIRST), FIRST)
    unasked = dice.pick((good, answer(dice), good[:30], b"\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"))
    show(unasked)
    assert (await ask(wire, target, [good], "wait")).body == FIRST
    first = wire.lines[-1]
    first.send(unasked)
    await asyncio.sleep(0)
    second = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    outcome = await ask(wire, target, [second], "wait")
    assert len(wire.lines) == 2, "a connection was used again after something came unasked"
    assert (outcome.fate, outcome.body) == (Fate.ANSWERED, b"{}")
    assert first.is_lost
    await wire.close()


@cases("kept")
@given(dice(80, 200))
def check_keeping(dice: Dice) -> None:
    """See `check_kept`."""
    LOOP.run_until_complete(check_kept(dice))


LOOP: VirtualLoop


@pytest.mark.long
@pytest.mark.parametrize("check", [check_answers, check_keeping], ids=lambda check: check.__name__)
def test_an_answer_is_whole_and_ours_or_it_is_none(check: Any) -> None:
    """Thousands of answers, good, odd, cut and harmed."""
    global LOOP  # noqa: PLW0603 - what Hypothesis calls takes no fixtures that last longer than a case
    LOOP = VirtualLoop()
    crashes: list[Any] = []
    LOOP.set_exception_handler(lambda _loop, context: crashes.append(context))
    try:
        check()
    finally:
        LOOP.close()
    assert not crashes
