"""One connection: what is held, what waits, and how it ends."""

import asyncio

import pytest

from gateway.base.jsonrpc import Call, Reply
from gateway.edge.answer import Answer
from gateway.edge.http_protocol import MOST_HELD, SLICE, Connection, Phase
from tests.edge.conftest import Knock, echo, read_one, request, status
from tests.edge.test_heads import Line, call

PING = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'


class Full(Line):
    """A line that can be paused."""

    def __init__(self, knock: Knock) -> None:
        """Connect."""
        self.is_read = True
        super().__init__(knock)

    def pause_reading(self) -> None:
        """Hear that nothing more is wanted."""
        self.is_read = False

    def resume_reading(self) -> None:
        """Hear that more is wanted."""
        self.is_read = True


def in_flight(knock: Knock) -> int:
    """How many requests the door counts as under way."""
    assert knock.door._server is not None
    return knock.door._server.in_flight


class Gate:
    """Lets calls wait until it opens."""

    def __init__(self, knock: Knock) -> None:
        """Stand before the dispatcher."""
        self.open = asyncio.Event()
        self.begun = 0
        knock.dispatcher.act = self.wait

    async def wait(self, one: Call) -> Reply:
        """Answer when it opens."""
        self.begun += 1
        await self.open.wait()
        return await echo(one)


async def test_who_sends_without_end_while_one_call_runs_is_not_read(knock: Knock) -> None:
    """What is held has a cap; when the calls go on all of them are answered, in order."""
    gate, line = Gate(knock), Full(knock)
    await line.send(call(0))
    sent = 0
    while line.is_read:
        await line.send(b"".join(call(sent + number + 1) for number in range(50)))
        sent += 50
        assert sent < 10_000
    assert gate.begun == 1
    assert len(line.handler._held) <= MOST_HELD + 50 * len(call(1))
    gate.open.set()
    for _ in range(sent):
        await line.turn()
    assert line.ids() == list(range(sent + 1))
    assert line.is_read
    assert in_flight(knock) == 0
    line.leave()


async def test_few_requests_are_parsed_ahead(knock: Knock) -> None:
    """One piece may hold thousands; they stay bytes until their turn."""
    gate, line = Gate(knock), Full(knock)
    await line.send(b"".join(call(number) for number in range(2000)))
    assert len(line.handler._waiting or ()) <= SLICE // len(call(1)) + 1
    assert gate.begun == 1
    line.leave()


async def test_who_does_not_read_gets_nothing_more(knock: Knock) -> None:
    """No call of his is begun until he reads; then all are answered."""
    line = Full(knock)
    await line.send(call(0))
    line.handler.pause_writing()
    await line.send(call(1), call(2) + call(3))
    assert line.ids() == [0]
    assert len(knock.dispatcher.asked) == 1
    line.handler.resume_writing()
    for _ in range(4):
        await line.turn()
    assert line.ids() == [1, 2, 3]
    line.leave()


async def test_a_refused_body_is_read_on_and_its_connection_lives(knock: Knock) -> None:
    """Where it comes in time; nothing of it is run."""
    line = Line(knock)
    late = request(PING, user="nobody")
    await line.send(late[:-10], late[-10:] + call(2))
    assert [status(one) for one in line.answers()] == [401, 200]
    assert [int(asked[2].id or b"") for asked in knock.dispatcher.asked] == [2]
    assert in_flight(knock) == 0
    line.leave()


async def test_a_refused_body_that_does_not_come_ends_its_connection(
    knock: Knock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a while, of which nobody has more than that."""
    monkeypatch.setattr("gateway.edge.http_protocol.LINGER", 0.02)
    answer = await knock.raw(request(PING, user="nobody")[:-10], until_eof=True)
    assert status(answer) == 401


async def test_chunks_that_break_off_wrongly_are_refused_at_once(knock: Knock) -> None:
    """Also when their head came long before."""
    line = Line(knock)
    await line.send(request(b"", "Transfer-Encoding: chunked"), b"1\r\n{\r\n", b"zz\r\n")
    assert [status(one) for one in line.answers()] == [400]
    assert line.is_closed
    assert in_flight(knock) == 0
    assert knock.door.counters.malformed == {"not_http": 1}


async def test_nothing_is_read_after_the_last_answer(knock: Knock) -> None:
    """A client that says close gets what it asked before, and no more."""
    line = Line(knock)
    await line.send(call(1, "Connection: close"), call(2))
    assert line.ids() == [1]
    assert line.is_closed


async def test_who_hangs_up_ends_his_call_and_is_counted_out(knock: Knock) -> None:
    """Whatever state his request is in."""
    gate = Gate(knock)
    for pieces in ((call(1),), (call(1)[:-3],), (call(1)[:20],), (call(1), call(2)), (request(PING, user="x")[:-3],)):
        line = Line(knock)
        await line.send(*pieces)
        line.leave()
        await line.turn()
        assert in_flight(knock) == 0
        assert line.handler.phase is Phase.CLOSED
    assert knock.dispatcher.cancelled == gate.begun == 2
    assert knock.door.counters.connections_open == 0


async def test_an_answer_that_comes_too_late_is_nobodys(knock: Knock) -> None:
    """It never goes to the next request of the connection, whoever kept it back."""
    gate, line = Gate(knock), Line(knock)
    await line.send(call(1))
    connection, turn = line.handler, line.handler.turn
    assert isinstance(connection, Connection)
    gate.open.set()
    await line.turn()
    gate.open.clear()
    await line.send(call(2))
    connection.answer(turn, Answer(b"late"))
    assert line.ids() == [1]
    gate.open.set()
    await line.turn()
    assert line.ids() == [2]
    line.leave()


async def test_an_idle_connection_is_closed_after_its_time(knock: Knock) -> None:
    """One on which a head has begun is closed by the time of heads; one whose call runs is not closed."""
    gate = Gate(knock)
    idle, begun, busy = Line(knock), Line(knock), Line(knock)
    gate.open.set()
    for line in (idle, begun, busy):
        await line.send(call(1))
    gate.open.clear()
    await begun.send(b"POST / HT")
    await busy.send(call(2))
    now = asyncio.get_running_loop().time()
    for moment in (0.0, 9.0):
        for line in (idle, begun, busy):
            line.handler.look(now + moment, 10.0, 75.0)
        assert (idle.is_closed, begun.is_closed, busy.is_closed) == (False, False, False)
    for line in (idle, begun, busy):
        line.handler.look(now + 70.0, 10.0, 75.0)
    assert (idle.is_closed, begun.is_closed, busy.is_closed) == (False, True, False)
    for line in (idle, busy):
        line.handler.look(now + 76.0, 10.0, 75.0)
    assert (idle.is_closed, busy.is_closed) == (True, False)
    assert knock.door.counters.slow_heads == 1
    busy.leave()


async def test_a_head_that_began_behind_a_call_has_its_time_from_the_answer_on(knock: Knock) -> None:
    """Nobody holds a connection by half a head that came early."""
    gate, line = Gate(knock), Line(knock)
    await line.send(call(1) + b"POST / HT")
    gate.open.set()
    await line.turn()
    assert line.ids() == [1]
    line.handler.look(asyncio.get_running_loop().time() + 11.0, 10.0, 75.0)
    assert line.is_closed


async def test_who_asks_for_the_head_alone_gets_no_body(knock: Knock) -> None:
    """But its length; what follows is another answer."""
    line = Line(knock)
    await line.send(request(b"", verb="HEAD"))
    head, _, rest = line.written.partition(b"\r\n\r\n")
    assert (status(head), rest) == (405, b"")
    assert b"Content-Length: 0" not in head
    line.written = b""
    await line.send(call(2))
    assert line.ids() == [2]
    line.leave()


@pytest.mark.parametrize(
    ("version", "wish", "said"),
    [
        (b"1.0", (), b""),
        (b"1.0", ("Connection: keep-alive",), b"Connection: keep-alive"),
        (b"1.1", (), b""),
        (b"1.1", ("Connection: close",), b"Connection: close"),
    ],
)
async def test_an_answer_says_whether_the_connection_stays(
    knock: Knock, version: bytes, wish: tuple[str, ...], said: bytes
) -> None:
    """In the words of the client's version, and in its version."""
    data = request(PING, *wish).replace(b"HTTP/1.1", b"HTTP/" + version, 1)
    answer = await knock.raw(data)
    assert answer.startswith(b"HTTP/" + version)
    assert [line for line in answer.split(b"\r\n") if line.startswith(b"Connection")] == [said] * bool(said)


async def test_a_client_that_asks_for_http_2_is_answered_as_any_other(knock: Knock) -> None:
    """Some do with their first call; what follows on the connection is answered too."""
    wish = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")
    reader, writer = await asyncio.open_connection("127.0.0.1", knock.door.port)
    for data in (request(PING, *wish), request(PING), request(PING, *wish) + request(PING)):
        writer.write(data)
        for _ in range(data.count(b"POST ")):
            async with asyncio.timeout(5):
                assert status(await read_one(reader)) == 200
    writer.close()
