"""How connections end: the last answer arrives, nothing behind it is run, and nobody holds one for ever."""

import asyncio
import gc
import json
import socket
import struct

import pytest

from gateway.edge.answer import Answer
from gateway.edge.http_protocol import Connection, Phase
from gateway.loop import new_loop
from tests.edge.conftest import Knock, body, opened, request, status
from tests.edge.test_heads import Line, call
from tests.edge.test_http_protocol import Full, Gate, in_flight

PING = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'
MUCH = 1 << 20


class Slow(Line):
    """A line whose client has not taken some bytes yet."""

    unsent = 0
    is_aborted = False

    def get_write_buffer_size(self) -> int:
        """Return how many."""
        return self.unsent

    def abort(self) -> None:
        """Hear that the door gives the client up."""
        self.is_aborted = True


class Whole(Line):
    """A line of which one side cannot be closed alone, as over TLS."""

    def can_write_eof(self) -> bool:
        """Return no."""
        return False


def last(number: int, version: bytes = b"1.1", *, close: bool = True) -> bytes:
    """A request after which its connection ends."""
    wish = ("Connection: close",) if close else ()
    return call(number, *wish).replace(b"HTTP/1.1", b"HTTP/" + version, 1)


async def patience(knock: Knock, connections: int) -> None:
    """Wait until so many connections are open."""
    async with asyncio.timeout(5):
        while knock.door.counters.connections_open != connections:  # noqa: ASYNC110 - the kernel tells in a moment
            await asyncio.sleep(0.005)


BEHIND = {
    "a request": call(2),
    "half of one": call(2)[:30],
    "no HTTP": b"GARBAGE\r\n\r\n" * 3,
    "blank lines": b"\r\n\r\n",
    "another of the last": last(2),
}


@pytest.mark.parametrize("name", BEHIND)
@pytest.mark.parametrize("cut", [None, 0, 7])
@pytest.mark.parametrize("one", [last(1), last(1, b"1.0"), last(1, b"1.0", close=False)], ids=["1.1", "1.0", "old"])
async def test_what_comes_behind_the_last_request_is_nothing(
    knock: Knock, one: bytes, cut: int | None, name: str
) -> None:
    """In the same piece, in a second, and torn apart: one answer, and neither a second call nor a refusal."""
    line, more = Line(knock), BEHIND[name]
    await line.send(*([one + more] if cut is None else [one + more[:cut], more[cut:]]))
    assert line.ids() == [1]
    assert line.is_closed
    assert [asked[2].id for asked in knock.dispatcher.asked] == [b"1"]
    assert knock.door.counters.malformed == {}
    assert in_flight(knock) == 0
    line.leave()


async def test_the_last_of_many_in_one_piece_is_the_last(knock: Knock) -> None:
    """Those before it are answered."""
    line = Line(knock)
    await line.send(call(1) + last(2) + call(3))
    await line.turn()
    assert line.ids() == [1, 2]
    assert line.is_closed
    line.leave()


@pytest.mark.parametrize(
    ("sent", "wanted"),
    [
        (last(1), 200),
        (last(1, b"1.0", close=False), 200),
        (b"NONSENSE\r\n\r\n", 400),
        (request(b"{}", "Content-Length: 5000000"), 413),
        (request(b"{}", "X: " + "a" * 9000), 400),
    ],
)
async def test_the_last_answer_reaches_who_sent_too_much(knock: Knock, sent: bytes, wanted: int) -> None:
    """Unread bytes would make the kernel reset the connection, and with it what it has not delivered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", knock.door.port)
    writer.write(sent + b"a" * MUCH)
    # time for a reset to come, were there one: the door has long answered when all of this is sent
    async with asyncio.timeout(5):
        await writer.drain()
        answer = await reader.read()
    assert status(answer) == wanted
    assert len(body(answer)) == int(answer.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    writer.close()
    await patience(knock, 0)


async def test_who_does_not_close_after_the_last_answer_is_left_in_a_while(
    knock: Knock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """He sees the end at once, and his connection counts no longer than that."""
    monkeypatch.setattr("gateway.edge.http_protocol.LINGER", 0.02)
    reader, writer = await asyncio.open_connection("127.0.0.1", knock.door.port)
    writer.write(last(1))
    async with asyncio.timeout(5):
        assert status(await reader.read()) == 200
    await patience(knock, 0)
    writer.close()


async def test_who_closes_after_the_last_answer_is_counted_out_at_once(
    knock: Knock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is waited for."""
    monkeypatch.setattr("gateway.edge.http_protocol.LINGER", 60.0)
    assert status(await knock.raw(last(1), until_eof=True)) == 200
    await patience(knock, 0)


async def test_a_connection_of_which_no_side_can_be_closed_alone_is_closed(
    knock: Knock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once when nothing more came with it, else after a while."""
    monkeypatch.setattr("gateway.edge.http_protocol.LINGER", 0.01)
    for whole in (last(1), last(1, b"1.0", close=False)):
        line = Whole(knock)
        await line.send(whole[:10], whole[10:])
        assert line.is_closed
    for sent in (b"NONSENSE\r\n\r\n", request(b"{}", "Content-Length: 5000"), last(1)[:-5]):
        knock.door.drain()
        line = Whole(knock)
        await line.send(sent.replace(b"c2hvcDpzaG9w", b"bm9ib2R5OnNob3A="))
        assert line.written
        assert not line.is_closed
        line.leave()
    gate, line = Gate(knock), Whole(knock)
    await line.send(last(1), call(2))
    gate.open.set()
    await line.turn()
    assert line.ids() == [1]
    assert not line.is_closed
    monkeypatch.setattr(line, "get_write_buffer_size", lambda: 0, raising=False)
    await asyncio.sleep(0.02)
    assert line.is_closed


async def test_what_is_still_being_sent_is_waited_for(knock: Knock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large answer on a slow line is no reason to stop reading, which could reset it."""
    monkeypatch.setattr("gateway.edge.http_protocol.LINGER", 0.0)
    line = Slow(knock)
    line.unsent = 7
    monkeypatch.setattr(line, "write_eof", lambda: None)
    await line.send(last(1))
    await line.turn()
    assert not line.is_closed
    line.unsent = 0
    await line.turn()
    assert line.is_closed


@pytest.mark.parametrize("sent", [PING, b"[" + PING + b"]", b'{"method":"b"}'], ids=["a call", "a batch", "no answer"])
async def test_who_is_gone_before_his_task_begins_leaves_nothing(knock: Knock, sent: bytes) -> None:
    """No call is begun, and no coroutine is forgotten, which Python would complain about."""
    line = Line(knock)
    line.handler.data_received(request(sent))
    line.leave()
    await line.turn()
    gc.collect()
    assert knock.dispatcher.asked == []
    assert in_flight(knock) == 0


async def test_who_resets_right_after_his_request_harms_nobody(knock: Knock) -> None:
    """Over a real socket; the next client is answered."""
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", knock.door.port)) as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            one.sendall(last(1))
        await asyncio.sleep(0)
    await patience(knock, 0)
    gc.collect()
    assert in_flight(knock) == 0
    assert status(await knock.post(PING)) == 200


async def test_who_takes_nothing_is_given_up(knock: Knock) -> None:
    """After the time of an idle connection; whoever takes a byte in it is not."""
    line = Slow(knock)
    await line.send(call(1))
    line.handler.pause_writing()
    line.unsent = 100_000
    line.handler.look(1000.0, 10.0, 75.0)
    line.handler.look(1070.0, 10.0, 75.0)
    line.unsent -= 1
    line.handler.look(1076.0, 10.0, 75.0)
    line.handler.look(1150.0, 10.0, 75.0)
    assert not line.is_aborted
    line.handler.look(1151.0, 10.0, 75.0)
    assert line.is_aborted
    assert line.handler.phase is Phase.CLOSED
    line.leave()


async def test_who_takes_nothing_is_given_up_when_he_was_closed_as_well(knock: Knock) -> None:
    """A connection that is closed lives until what was written is sent, which may be never."""
    line = Slow(knock)
    await line.send(call(1))
    line.unsent = 10
    line.handler.shut()
    for now, wanted in ((1000.0, False), (1074.0, False), (1075.0, True)):
        line.handler.look(now, 10.0, 75.0)
        assert line.is_aborted is wanted
    line.leave()


async def test_a_client_that_reads_nothing_is_cut_off(knock: Knock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over a real socket, with answers that no buffer holds."""
    monkeypatch.setattr("gateway.edge.http_server.SWEEP", 0.01)
    assert knock.door._server is not None
    knock.door._server.keepalive_timeout = 0.1
    knock.door.update(knock.door.listen.model_copy(update={"max_body": MUCH}), knock.door.authenticate)
    large = request(b'{"id":1,"method":"a","params":["%b"]}' % (b"x" * (MUCH - 100)))
    reader, writer = await asyncio.open_connection("127.0.0.1", knock.door.port)
    reader._transport.pause_reading()  # type: ignore[attr-defined]  # it has one
    for _ in range(16):
        writer.write(large)
    await patience(knock, 1)
    await patience(knock, 0)
    assert len(knock.dispatcher.asked) < 16
    writer.close()


async def test_pieces_of_a_body_keep_their_order_while_answers_are_not_taken(knock: Knock) -> None:
    """The body of a request that was begun is read on all the same."""
    knock.door.update(knock.door.listen.model_copy(update={"max_body": MUCH}), knock.door.authenticate)
    text = "".join(f"{number:06d}" for number in range(20_000)).encode()
    whole = request(b'{"id":1,"method":"a","params":["%b"]}' % text)
    line = Full(knock)
    line.handler.data_received(whole[:5000])
    line.handler.pause_writing()
    for start in range(5000, len(whole), 40_000):
        line.handler.data_received(whole[start : start + 40_000])
    await line.turn()
    assert len(knock.dispatcher.asked) == 1
    line.handler.resume_writing()
    await line.turn()
    [answer] = line.answers()
    assert json.loads(body(answer))["result"] == [text.decode()]
    line.leave()


async def test_a_refusal_of_a_body_that_waits_for_a_word_is_the_last(knock: Knock) -> None:
    """Its sender may leave the body out and go on with the next request: that could be taken for the body."""
    line = Line(knock)
    await line.send(request(b"", "Content-Length: 100", "Expect: 100-continue", user="nobody"), call(2))
    [answer] = line.answers()
    assert (status(answer), b"Connection: close" in answer) == (401, True)
    assert line.is_closed
    assert knock.dispatcher.asked == []
    line.leave()


async def test_draining_answers_what_was_begun_and_nothing_behind_it(knock: Knock) -> None:
    """A call that waits behind another was never begun: its client sees the end and may send it elsewhere."""
    gate, line, idle = Gate(knock), Line(knock), Line(knock)
    gate.open.set()
    await idle.send(call(7))
    gate.open.clear()
    await line.send(call(1) + call(2), call(3))
    knock.door.drain()
    gate.open.set()
    await line.turn()
    assert line.ids() == [1]
    assert line.is_closed
    assert [int(asked[2].id or b"") for asked in knock.dispatcher.asked] == [7, 1]
    assert not idle.is_closed
    assert isinstance(idle.handler, Connection)
    await knock.door.stop(0.1)
    assert idle.is_closed
    line.leave()
    idle.leave()


@pytest.mark.parametrize(
    ("verb", "path", "wanted"),
    [
        ("GET", "/", 405), ("HEAD", "/", 405), ("OPTIONS", "/", 405), ("OPTIONS", "*", 404), ("PUT", "/RPC2", 405),
        ("DELETE", "/x", 404), ("TRACE", "/", 405), ("GET", "http://x/", 405), ("POST", "http://y:1/RPC2?a#b", 200),
        ("POST", "https://[::1]/wallets/main", 200), ("POST", "http://x", 200), ("CONNECT", "x:80", 400),
    ],
)  # fmt: skip
async def test_every_verb_and_every_form_of_a_target_is_answered_once(
    knock: Knock, verb: str, path: str, wanted: int
) -> None:
    """And the connection goes on, but for those who ask for a tunnel."""
    line = Line(knock)
    await line.send(request(PING, verb=verb, path=path))
    head, _, rest = line.written.partition(b"\r\n\r\n")
    assert status(head) == wanted
    assert (rest == b"") is (verb == "HEAD")
    assert line.is_closed is (wanted == 400)
    line.written = b""
    if wanted != 400:
        await line.send(call(2))
        assert line.ids() == [2]
    line.leave()


@pytest.mark.parametrize(("together", "unwritten"), [(8, [3]), (2, [4, 1, 0])])
async def test_answers_of_one_turn_are_written_together_at_its_end(
    knock: Knock, monkeypatch: pytest.MonkeyPatch, together: int, unwritten: list[int]
) -> None:
    """Those of many clients; one alone is written at once, and more than a few are not kept back."""
    monkeypatch.setattr("gateway.edge.http_server.TOGETHER", together)
    gate = Gate(knock)
    lines = [Line(knock) for _ in range(4)]
    for number, line in enumerate(lines):
        await line.send(call(number))
    held: list[int] = []
    server = lines[0].guard
    send = server._send

    def watched() -> None:
        held.append(sum(not line.written for line in lines))
        send()

    server._send = watched  # type: ignore[method-assign]  # to be there when it is called
    gate.open.set()
    await lines[0].turn()
    # the last of those under way is written by itself
    assert held == unwritten
    assert [line.ids() for line in lines] == [[0], [1], [2], [3]]
    for line in lines:
        line.leave()


async def test_what_is_kept_back_is_written_before_anything_else(knock: Knock) -> None:
    """Before another answer, a word to go on, and the end; and never to a client that has left."""
    gate = Gate(knock)
    other, one, gone = Line(knock), Line(knock), Line(knock)
    await other.send(call(0))
    for line in (one, gone):
        connection = line.handler
        connection.data_received(request(b"", user="nobody")[:-2])  # no head yet: nothing is answered
        connection.phase, connection._head = Phase.ANSWERING, None
        connection._out = b"KEPT"
    one.handler.answer(one.handler.turn, Answer(b"{}", status=404))
    assert one.written.startswith(b"KEPTHTTP/1.1 404")
    gone.leave()
    assert gone.written == b""
    ended = Line(knock)
    ended.handler._out = b"KEPT"
    ended.handler.shut()
    assert (ended.written, ended.is_closed) == (b"KEPT", True)
    gate.open.set()
    await other.turn()
    assert other.ids() == [0]


async def test_a_connection_that_cannot_be_written_to_costs_no_other_its_answer(
    knock: Knock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told to the loop, and the next is written."""
    told: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context["message"]))
    gate = Gate(knock)
    lines = [Line(knock) for _ in range(3)]
    for number, line in enumerate(lines):
        await line.send(call(number))

    def fail(_data: bytes) -> None:
        raise RuntimeError("closed")

    monkeypatch.setattr(lines[0], "write", fail)
    gate.open.set()
    await lines[0].turn()
    assert (lines[1].ids(), lines[2].ids()) == ([1], [2])
    assert len(told) == 1
    for line in lines:
        line.leave()


def test_connections_end_so_on_the_loop_of_a_gateway_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its transports are others than those of the tests: half closed, read to the end, cut off, reset."""
    monkeypatch.setattr("gateway.edge.http_server.SWEEP", 0.01)

    async def play() -> None:
        knock = await opened()
        for sent, wanted in (
            (last(1), 200),
            (b"NONSENSE\r\n\r\n", 400),
            (request(b"{}", "Content-Length: 5000000"), 413),
        ):
            await test_the_last_answer_reaches_who_sent_too_much(knock, sent, wanted)
        await test_who_closes_after_the_last_answer_is_counted_out_at_once(knock, monkeypatch)
        await test_who_does_not_close_after_the_last_answer_is_left_in_a_while(knock, monkeypatch)
        await test_who_resets_right_after_his_request_harms_nobody(knock)
        several = [knock.post(PING) for _ in range(7)]
        assert [status(one) for one in await asyncio.gather(*several)] == [200] * 7
        await patience(knock, 0)
        knock.dispatcher.asked.clear()
        await test_a_client_that_reads_nothing_is_cut_off(knock, monkeypatch)
        await knock.door.stop(0.1)

    gateways = new_loop()
    try:
        gateways.run_until_complete(play())
    finally:
        gateways.close()
