"""What the wire says of a call is true: a server that breaks off anywhere, a caller that leaves at any time."""

import asyncio
import socket
from contextlib import suppress
from dataclasses import dataclass

from hypothesis import event, given, settings
from hypothesis import strategies as st

from gateway.upstream.wire import Fate, Outcome
from tests.upstream.conftest import Guest, Peer, answer, end, listening, make_wire, send

BODY = b'{"result": "0123456789"}'
ANSWERS = (
    answer(BODY),
    answer(BODY, version="1.0"),
    b"HTTP/1.1 100 Continue\r\n\r\n" + answer(BODY, "Connection: close"),
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n18\r\n" + BODY + b"\r\n0\r\n\r\n",
)


@dataclass(frozen=True)
class Plan:
    """What happens to one call.

    Args:
        reads: bytes of the request that the server reads before it goes on; -1 is the whole of it.
        says: bytes of its answer that it writes; more than there are is all of them.
        pieces: in how many writes.
        end: how it ends: fin, rst, or never.
        leaves_after: turns of the loop after which the caller gives up; -1 is never.
        whole: seconds that the call has.
    """

    reads: int
    answer: bytes
    says: int
    pieces: int
    end: str
    leaves_after: int
    whole: float
    size: int
    is_listening: bool


plans = st.builds(
    Plan,
    reads=st.one_of(st.just(-1), st.integers(0, 400)),
    answer=st.sampled_from(ANSWERS),
    says=st.one_of(st.just(0), st.just(10_000), st.integers(0, 150)),
    pieces=st.integers(1, 4),
    end=st.sampled_from(["fin", "rst", "never"]),
    leaves_after=st.sampled_from([-1] * 26 + list(range(13))),
    whole=st.sampled_from([0.0, 0.004, 0.03]),
    size=st.sampled_from([2, 2, 2, 3_000_000]),
    is_listening=st.sampled_from([True, True, True, False]),
)


class Server:
    """Carries out the server's half of a plan and counts what really arrived."""

    def __init__(self, plan: Plan) -> None:
        """Begin with nothing seen."""
        self.plan = plan
        self.arrived = 0
        self.said = b""
        self.last: list[object] = []
        """Where the last guest comes from: by then everybody before it was taken in."""
        self.saw_last = asyncio.Event()

    async def act(self, guest: Guest) -> None:
        """Play with one guest."""
        if self.last and self._is_last(guest):
            self.saw_last.set()
            return
        try:
            await self._play(guest)
        finally:
            self.arrived += sum(map(len, guest.pieces))
            with suppress(OSError):
                self.arrived += guest.unread()
            if self.plan.end == "rst":
                guest.reset()

    async def _play(self, guest: Guest) -> None:
        plan = self.plan
        if plan.reads < 0:
            await guest.request()
        else:
            while len(guest.got) < plan.reads and await guest.read():
                pass
        whole = plan.answer[: plan.says]
        step = max(1, len(whole) // plan.pieces)
        for begin in range(0, len(whole), step):
            await guest.say(whole[begin : begin + step])
            self.said += whole[begin : begin + step]
            await asyncio.sleep(0)
        while plan.end == "never" and await guest.read():
            pass

    def _is_last(self, guest: Guest) -> bool:
        try:
            return guest.sock.getpeername() in self.last
        except OSError:
            return False

    async def finish(self, peer: Peer) -> None:
        """Wait until everybody who ever connected was played with."""
        with socket.create_connection(("127.0.0.1", peer.port)) as last:
            self.last.append(last.getsockname())
            await self.saw_last.wait()
        while peer.tasks:
            await asyncio.wait(set(peer.tasks))


async def live(plan: Plan) -> tuple[Outcome, bool, Server]:
    """Carry out a plan: how it ended, whether the wire says that it sent, and the server that knows."""
    server = Server(plan)
    peer = Peer(listening(), server.act)
    target = peer.target()
    serving = asyncio.get_running_loop().create_task(peer.serve())
    if not plan.is_listening:
        await end(peer, serving)
    wire = make_wire()
    asked = send(wire, target, b"x" * plan.size, whole=plan.whole)
    for _ in range(plan.leaves_after):
        await asyncio.sleep(0)
    if plan.leaves_after >= 0:
        asked.exchange.abort()
    outcome = await asked.end()
    await wire.close()
    assert len(asked.ends) == 1
    assert not wire.live
    assert wire._timer is None
    if plan.is_listening:
        await server.finish(peer)
        await end(peer, serving)
    return outcome, asked.exchange.sent, server


@settings(max_examples=150, deadline=None)
@given(plans)
def test_not_sent_is_said_only_if_no_byte_arrived_and_answered_only_of_a_whole_answer(plan: Plan) -> None:
    """And unknown is said of everything in between, exactly when a byte was handed over."""
    outcome, sent, server = asyncio.run(live(plan))
    event(f"{outcome.fate.value} {outcome.reason}")
    match outcome.fate:
        case Fate.NOT_SENT:
            assert not sent
            assert server.arrived == 0
            assert outcome.sent_at == 0.0
        case Fate.UNKNOWN:
            assert sent
            assert outcome.body == b""
        case Fate.ANSWERED:
            assert sent
            assert server.said == plan.answer
            assert (outcome.status, outcome.body) == (200, BODY)
    if server.arrived:
        assert outcome.fate is not Fate.NOT_SENT
    assert outcome.reason or outcome.fate is Fate.ANSWERED
