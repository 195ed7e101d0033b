"""Heads that were seen before are read without the parser, and mean what the parser would say."""

import asyncio
import itertools
import json
import random
from typing import Any

import pytest

from gateway.base import heads as rooms
from gateway.base.heads import MOST, KnownHeads
from tests.edge.conftest import Knock, body, request, status

TURNS = 8
"""Of the loop, in which the door answers what it has."""


class Line(asyncio.Transport):
    """What a client's bytes come over, in exactly the pieces that a test wants."""

    def __init__(self, knock: Knock) -> None:
        """Connect."""
        super().__init__()
        self.written = b""
        self.is_closed = False
        server = knock.door._server
        assert server is not None
        self.guard = server
        self.handler = server()
        self.handler.connection_made(self)

    async def send(self, *pieces: bytes) -> None:
        """Let pieces come one after another; what can be answered is."""
        await self.turn()
        for piece in pieces:
            self.handler.data_received(piece)
            await self.turn()

    async def turn(self) -> None:
        """Let the door go on."""
        for _ in range(TURNS):
            await asyncio.sleep(0)

    def answers(self) -> list[bytes]:
        """Take the answers so far."""
        found, rest = [], self.written
        while rest:
            head, _, rest = rest.partition(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            found.append(head + b"\r\n\r\n" + rest[:length])
            rest = rest[length:]
        self.written = b""
        return found

    def ids(self) -> list[object]:
        """Take the ids of the answers so far."""
        return [json.loads(body(one))["id"] for one in self.answers()]

    def write(self, data: Any) -> None:
        """Take what the door says."""
        self.written += bytes(data)

    def get_extra_info(self, _name: str, default: Any = None) -> Any:
        """Know nothing."""
        return default

    def is_closing(self) -> bool:
        """Whether the door hung up."""
        return self.is_closed

    def close(self) -> None:
        """Hear that the door hangs up."""
        self.is_closed = True

    abort = write_eof = close

    def can_write_eof(self) -> bool:
        """Whether one side can be closed alone."""
        return True

    def leave(self) -> None:
        """Hang up."""
        self.handler.connection_lost(None)


def call(number: int, *headers: str, method: str = "a", user: str = "shop") -> bytes:
    """One request of one length."""
    return request(b'{"id":%6d,"method":"%b"}' % (number, method.encode()), *headers, user=user)


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What was not found among the heads that are known."""
    missed: list[bytes] = []
    split = KnownHeads.split

    def watched(self: KnownHeads[Any], data: bytes) -> Any:
        found = split(self, data)
        if found is None:
            missed.append(data)
        return found

    monkeypatch.setattr(rooms.KnownHeads, "split", watched)
    return missed


async def test_a_head_is_parsed_once_for_all_connections_and_each_body_is_its_own(
    knock: Knock, parsed: list[bytes]
) -> None:
    """Ten calls over each of three connections, one head."""
    for connection in range(3):
        line = Line(knock)
        for number in range(10):
            await line.send(call(100 * connection + number))
        assert line.ids() == [100 * connection + number for number in range(10)]
        line.leave()
    assert len(parsed) == 1
    assert len(line.guard.heads) == 1
    assert [asked[2].method for asked in knock.dispatcher.asked] == ["a"] * 30


async def test_another_head_is_another_caller_and_another_wallet(knock: Knock) -> None:
    """Whoever knows a head of somebody else's gains nothing by it."""
    line = Line(knock)
    for user, number in (("shop", 1), ("web", 2), ("nobody", 3), ("shop", 4), ("web", 5), ("nobody", 6)):
        await line.send(call(number, user=user))
    assert [status(one) for one in line.answers()] == [200, 200, 401, 200, 200, 401]
    assert [asked[1] for asked in knock.dispatcher.asked] == ["shop", "web", "shop", "web"]
    line.leave()


@pytest.mark.parametrize("cut", [1, 17, 60, -30, -10, -1])
async def test_a_known_request_in_pieces_is_one_request(knock: Knock, cut: int) -> None:
    """Wherever it is cut, and whatever follows."""
    line = Line(knock)
    await line.send(call(1), call(2))
    await line.send(call(3)[:cut], call(3)[cut:])
    await line.send(call(4), call(5) + call(6), call(7)[:cut], call(7)[cut:] + call(8), call(9))
    assert line.ids() == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    line.leave()


async def test_a_known_request_inside_a_body_is_not_run(knock: Knock) -> None:
    """Bytes of a body that look like one, in a piece of their own, stay bytes of a body."""
    line = Line(knock)
    inner = call(66, method="pay")
    await line.send(inner)
    knock.dispatcher.asked.clear()
    outer = request(inner)
    await line.send(outer[: -len(inner)], inner, call(2))
    replies = [json.loads(body(one)) for one in line.answers()][1:]
    assert [(reply.get("error") or {}).get("code") for reply in replies] == [-32700, None]
    assert [asked[2].id for asked in knock.dispatcher.asked] == [b"2"]
    line.leave()


async def test_a_known_head_with_a_longer_or_shorter_body_is_read_by_the_parser(knock: Knock) -> None:
    """What is too much belongs to the next request, what lacks still comes."""
    line = Line(knock)
    await line.send(call(1))
    await line.send(call(2) + b"GARBAGE\r\n\r\n")
    # the parser gives up the whole piece, as it does without us
    assert [status(one) for one in line.answers()] == [200, 400]
    line.leave()
    line = Line(knock)
    await line.send(call(1), call(2) + b"POST / HTTP/1.1\r\nHost: x\r\nX-Begun: ", call(3))
    assert [status(one) for one in line.answers()] == [200, 200, 400]
    assert [int(asked[2].id or b"") for asked in knock.dispatcher.asked] == [1, 1, 2]
    line.leave()


async def test_what_the_parser_has_taken_over_stays_with_it(knock: Knock) -> None:
    """After a request that is not usual nothing is read past it, and nothing is lost."""
    line = Line(knock)
    await line.send(call(1))
    chunked = b"18\r\n" + b'{"id":     2,"method":"a"}'[:24] + b'\r\n2\r\n"}\r\n0\r\n\r\n'
    await line.send(request(chunked, "Transfer-Encoding: chunked"), call(3), call(4))
    assert line.ids() == [1, 2, 3, 4]
    line.leave()


async def test_calls_that_come_while_one_is_answered_wait_their_turn(knock: Knock) -> None:
    """A known one behind a known one behind a slow one."""
    gate = asyncio.Event()
    echo = knock.dispatcher.act

    async def slow(one: Any) -> Any:
        if one.method == "b":
            await gate.wait()
        return await echo(one)

    knock.dispatcher.act = slow
    line = Line(knock)
    await line.send(call(1), call(2, method="b"))
    await line.send(call(3), call(4))
    assert line.ids() == [1]
    gate.set()
    await line.send(call(5))
    assert line.ids() == [2, 3, 4, 5]
    line.leave()


async def test_a_client_that_never_sends_the_same_head_twice_fills_nothing(knock: Knock) -> None:
    """It is bounded, and its answers are right."""
    line = Line(knock)
    for number in range(MOST + 40):
        await line.send(call(number, f"X-Trace: {number}"))
    assert line.ids() == list(range(MOST + 40))
    assert len(line.guard.heads) <= MOST
    await line.send(call(7, "X-Long: " + "x" * 3000), call(8, "X-Long: " + "x" * 3000))
    assert line.ids() == [7, 8]
    line.leave()


async def test_any_cuts_of_any_requests_are_answered_in_order(knock: Knock) -> None:
    """As the parser alone would: each id once, in the order sent."""
    chance = random.Random(7)
    for _ in range(150):
        line = Line(knock)
        count = chance.randint(2, 9)
        sent = [call(number, *chance.choice(((), ("X-A: b",)))) for number in range(count)]
        stream = b"".join(sent)
        ends = [sum(map(len, sent[: number + 1])) for number in range(count)]
        marks = set(chance.sample(ends, chance.randint(0, count))) | {
            chance.randrange(1, len(stream)) for _ in range(chance.choice((0, 0, 1, 2)))
        }
        edges = [0, *sorted(marks - {0, len(stream)}), len(stream)]
        await line.send(*(stream[one:other] for one, other in itertools.pairwise(edges)))
        for _ in range(10):
            await line.turn()
        assert line.ids() == list(range(count))
        line.leave()
