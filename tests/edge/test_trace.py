"""Which trace a request's calls belong to, from the door on."""

import re

import pytest

from gateway.base.jsonrpc import Call, Reply
from gateway.base.trace import CURRENT, Trace
from tests.base.test_trace import WRONG
from tests.edge.conftest import Knock, body, echo, status
from tests.edge.test_heads import Line, call, parsed

__all__ = ["parsed"]

WHOLE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TOLD = f"traceparent: 00-{WHOLE}-{PARENT}-01"
PING = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'


class Seen:
    """The trace of each call that came to the dispatcher."""

    def __init__(self, knock: Knock) -> None:
        """Begin."""
        self.traces: list[Trace] = []
        self.without = 0
        knock.dispatcher.act = self.note

    async def note(self, call: Call) -> Reply:
        """Keep it."""
        trace = CURRENT.get()
        if trace is None:
            self.without += 1
        else:
            self.traces.append(trace)
        return await echo(call)


async def test_a_trace_that_came_along_is_gone_on_with(knock: Knock) -> None:
    """Under a part of our own; also when the name of the header is written otherwise."""
    seen = Seen(knock)
    for header in (TOLD, TOLD.replace("traceparent", "TraceParent")):
        assert status(await knock.post(PING, header)) == 200
    assert {(one.id, one.parent, one.flags) for one in seen.traces} == {(WHOLE, PARENT, "01")}
    assert len({one.span for one in seen.traces} | {PARENT}) == 3


async def test_without_one_a_request_belongs_to_none(knock: Knock) -> None:
    """Also over a kept connection on which the request before it had one."""
    seen, line = Seen(knock), Line(knock)
    for number in range(2):
        await line.send(call(number))
    await line.send(call(2, TOLD))
    await line.send(call(3))
    assert (len(seen.traces), seen.without) == (1, 3)


@pytest.mark.parametrize("told", [one for one in WRONG if one.isascii() and "\n" not in one and one.strip() == one])
async def test_a_malformed_one_is_replaced_and_the_call_answered(knock: Knock, told: str) -> None:
    """It is nobody's right to have a call refused for it, nor to get into a log with it."""
    seen = Seen(knock)
    assert status(await knock.post(PING, f"traceparent: {told}")) == 200
    (trace,) = seen.traces
    assert (trace.parent, trace.flags) == ("", "00")
    assert trace.id != WHOLE


async def test_two_of_them_are_none(knock: Knock) -> None:
    """Nobody could say which counts."""
    seen = Seen(knock)
    await knock.post(PING, TOLD, TOLD)
    assert seen.traces[0].id != WHOLE


async def test_the_calls_of_a_batch_belong_to_one_trace(knock: Knock) -> None:
    """They came as one request."""
    seen = Seen(knock)
    answer = await knock.post(b'[{"id":1,"method":"a"},{"id":2,"method":"b"}]', TOLD)
    assert re.findall(rb'"id": (\d)', body(answer)) == [b"1", b"2"]
    assert [one.id for one in seen.traces] == [WHOLE, WHOLE]


async def test_heads_with_a_trace_are_not_kept(knock: Knock, parsed: list[bytes]) -> None:
    """Each is another one: they would crowd out those that come again."""
    line = Line(knock)
    for number in range(3):
        await line.send(call(number, f"traceparent: 00-{number + 1:032x}-{PARENT}-01"))
    assert len(line.guard.heads) == 0
    await line.send(call(7), call(8))
    assert len(line.guard.heads) == 1
    assert len(parsed) == 4
