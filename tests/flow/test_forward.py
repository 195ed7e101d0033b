"""Calls of wallets that another gateway holds: where they go, how often, and what is said when nothing comes back."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from random import getrandbits

import pytest
from pydantic import SecretStr

from gateway.base.config import Client
from gateway.base.effects import GRANTABLE
from gateway.base.events import Event
from gateway.base.jsonrpc import Call, Reply
from gateway.base.trace import CURRENT, begin
from gateway.flow.forward import GRACE, PATIENCE, ForwardCounters, Forwarder, body_of
from gateway.flow.identity import Identity
from gateway.profiles import load
from gateway.rules import forward as rules
from gateway.rules.forward import BROKEN, OVERSIZED, REFUSED
from gateway.rules.retry import Sent
from gateway.upstream.relay import Arrived, Broken, Relay, Sending
from tests.virtual_time import run_virtual

SECRET = b"thirty-two random letters"
PROFILE = load("electron-cash")
CLIENT = Client(name="shop", username="shop", password=SecretStr("x"), effects=GRANTABLE)
READ = Call("getbalance", b"", b"1", v1=False)
SIGN = Call("payto", b'{"destination": "a", "amount": "1"}', b"2", v1=False)
PUBLISH = Call("broadcast", b'["00"]', b"3", v1=False)
ALLOCATE = Call("createnewaddress", b"", b"4", v1=True)


@dataclass(frozen=True)
class Who:
    """A holder."""

    name: str
    address: str
    term: int
    until: float = 0.0
    is_elsewhere: bool = True


ONE, TWO = Who("gw-1", "http://one", 1), Who("gw-2", "http://two", 2)
ME = Who("gw-me", "http://me", 3, is_elsewhere=False)

Act = Callable[["Sent1"], Awaitable[Arrived | Broken]]


@dataclass
class Sent1:
    """One call as the relay was given it."""

    url: str
    head: Mapping[str, str]
    body: bytes
    sending: Sending
    at: float

    def answer(self, body: bytes, status: int = 200, retry_after: float | None = None) -> Arrived:
        """What the holder answers."""
        found = rules.read(self.head.get, self.url.removeprefix("http://one").removeprefix("http://two"))
        assert found is not None
        assert rules.refusal(SECRET, *found, me=found[0].to, now=1.0) == ""
        assert rules.digest(self.body) == found[0].body
        return Arrived(body, rules.answer_head(SECRET, found[0], status, retry_after, body))


async def good(call: Sent1) -> Arrived | Broken:
    """Answer."""
    call.sending.gone = True
    return call.answer(b"[answer]")


async def refused(_call: Sent1) -> Arrived | Broken:
    """Nobody listens."""
    return Broken(Sent.NO, BROKEN, "refused")


async def killed(call: Sent1) -> Arrived | Broken:
    """Die with the call."""
    call.sending.gone = True
    return Broken(Sent.UNKNOWN, BROKEN, "reset")


async def frozen(call: Sent1) -> Arrived | Broken:
    """Take a connection and say nothing."""
    call.sending.gone = not call.sending.careful
    await asyncio.sleep(1000)
    raise AssertionError


async def swallowed(call: Sent1) -> Arrived | Broken:
    """Let a call in and say nothing."""
    call.sending.gone = True
    await asyncio.sleep(1000)
    raise AssertionError


async def not_holder(call: Sent1) -> Arrived | Broken:
    """Hold nothing."""
    return call.answer(b"{}", 421)


class FakeRelay(Relay):
    """Acts as it is told, call after call; the last act is repeated."""

    def __init__(self, *acts: Act) -> None:
        """Begin with nothing sent."""
        super().__init__(connect=1.0, max_body=4096, keep=1.0)
        self.acts = list(acts)
        self.sent: list[Sent1] = []
        self.left = 0

    async def send(self, url: str, headers: Mapping[str, str], body: bytes, sending: Sending) -> Arrived | Broken:
        """Play the next act."""
        call = Sent1(url, headers, body, sending, asyncio.get_running_loop().time())
        self.sent.append(call)
        act = self.acts.pop(0) if len(self.acts) > 1 else self.acts[0]
        try:
            return await act(call)
        except asyncio.CancelledError:
            self.left += 1
            raise


class World:
    """A gateway that follows."""

    def __init__(self, *acts: Act, holder: Who | None = ONE) -> None:
        """Begin at time 1000."""
        self.loop = asyncio.get_running_loop()
        self.relay = FakeRelay(*acts or (good,))
        self.who = holder
        self.counters = ForwardCounters()
        self.events: list[Event] = []
        self.looks = 0
        self.ran: list[str | None] = []
        self.forwarder = Forwarder(
            "main", Identity("gw-me", SECRET, lambda: 1.0), self.relay, self.here, lambda: self.who, lambda: PROFILE,
            self.loop, self.counters, self.events.append, self.look,
        )  # fmt: skip

    def look(self) -> None:
        """Count the looks at the lease."""
        self.looks += 1

    async def here(self, _client: Client, _call: Call, _deadline: float, key: str | None) -> Reply | None:
        """Answer what is held here."""
        if self.who is not ME:
            return None
        self.ran.append(key)
        return Reply(b"[here]")

    def becomes(self, holder: Who | None, *, told: bool = True) -> None:
        """Change the holder."""
        self.who = holder
        if told:
            self.forwarder.holder_changed()

    def later(self, seconds: float, holder: Who | None, *, told: bool = True) -> None:
        """Change it by and by."""
        self.loop.call_later(seconds, lambda: self.becomes(holder, told=told))

    async def ask(self, call: Call = READ, seconds: float = 9.0, key: str | None = None) -> bytes:
        """Make a call."""
        return (await self.forwarder.call(CLIENT, call, self.loop.time() + seconds, key)).body

    async def error(self, call: Call = READ, seconds: float = 9.0, key: str | None = None) -> tuple[str, str, bool]:
        """Make a call that ends in an error; return name, message and whether it is safe to repeat."""
        found = json.loads(await self.ask(call, seconds, key))["error"]
        return found["data"]["name"], found["message"], found["data"]["safe_to_repeat"]

    def outcomes(self) -> dict[str, int]:
        """What was counted."""
        return {outcome: count for (_, outcome), count in self.counters.outcomes.items()}


def play(scene: Callable[[], Awaitable[None]]) -> None:
    """Run one scene in virtual time."""

    async def main() -> None:
        await scene()

    run_virtual(main())


def test_what_is_held_here_is_answered_here() -> None:
    """And nothing is sent."""

    async def scene() -> None:
        world = World(holder=ME)
        assert await world.ask(SIGN, key="k") == b"[here]"
        assert (world.ran, world.relay.sent, world.outcomes()) == (["k"], [], {})

    play(scene)


@pytest.mark.parametrize("call", [READ, SIGN, PUBLISH, ALLOCATE, Call("gateway.status", b"", b"5", v1=False)])
def test_what_another_holds_is_its_to_answer(call: Call) -> None:
    """With client, deadline and key; money waits to be let in."""

    async def scene() -> None:
        world = World()
        assert await world.ask(call, 2.5, "order-1") == b"[answer]"
        (sent,) = world.relay.sent
        assert (sent.url, sent.body) == ("http://one/wallets/main", body_of(call))
        assert sent.head["X-Ecgw-Client"] == "shop"
        assert sent.head["X-Ecgw-Deadline"] == "2.500"
        assert sent.head["Idempotency-Key"] == "order-1"
        assert sent.sending.careful == (call in (SIGN, ALLOCATE))
        assert world.outcomes() == {"answered": 1}

    play(scene)


def test_the_trace_goes_along_with_a_fresh_id_for_each_try() -> None:
    """The whole stays; without a trace nothing is said of one."""

    async def scene() -> None:
        world = World(not_holder, good)
        await world.ask()
        assert all("traceparent" not in sent.head for sent in world.relay.sent)
        world = World(not_holder, good)
        token = CURRENT.set(begin("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", getrandbits))
        try:
            assert await world.ask() == b"[answer]"
        finally:
            CURRENT.reset(token)
        told = [sent.head["traceparent"].split("-") for sent in world.relay.sent]
        assert [(whole, flags) for _, whole, _, flags in told] == [("4bf92f3577b34da6a3ce929d0e0e4736", "01")] * 2
        assert len({hop for _, _, hop, _ in told} | {"00f067aa0ba902b7"}) == 3

    play(scene)


def test_status_and_patience_come_along() -> None:
    """For clients that want them."""

    async def busy(call: Sent1) -> Arrived | Broken:
        return call.answer(b"[busy]", 503, 0.25)

    async def scene() -> None:
        world = World(busy)
        reply = await world.forwarder.call(CLIENT, READ, world.loop.time() + 1, None)
        assert (reply.body, reply.status, reply.retry_after) == (b"[busy]", 503, 0.25)

    play(scene)


def test_what_a_client_may_not_do_goes_nowhere() -> None:
    """It is the door it came to that lets it in."""

    async def scene() -> None:
        world = World()
        name, _, _ = await world.error(Call("getseed", b"", b"1", v1=False))
        assert (name, world.relay.sent) == ("method_refused", [])

    play(scene)


def test_a_notification_is_never_told_anything() -> None:
    """Of whatever kind, and whatever becomes of it; one that would change something is refused by the holder."""

    async def quiet(call: Sent1) -> Arrived | Broken:
        return call.answer(b"")

    async def scene() -> None:
        for method in ("getbalance", "payto", "getseed"):
            call = Call(method, b"", None, v1=False)
            assert await World(quiet).ask(call) == b""
            world = World(refused)
            assert await world.ask(call, 1.0) == b""
            assert b'"id"' not in body_of(call)
            assert not any(sent.sending.careful for sent in world.relay.sent)

    play(scene)


@pytest.mark.parametrize("call", [READ, SIGN, PUBLISH, ALLOCATE])
@pytest.mark.parametrize("act", [refused, not_holder])
def test_what_was_not_sent_waits_for_the_new_holder(call: Call, act: Act) -> None:
    """However long the lease takes to run out, within the deadline."""

    async def scene() -> None:
        world = World(act)
        world.later(3.0, TWO)
        world.loop.call_later(3.0, lambda: setattr(world.relay, "acts", [good]))
        assert await world.ask(call) == b"[answer]"
        assert world.relay.sent[-1].url == "http://two/wallets/main"
        assert world.relay.sent[-1].at == pytest.approx(1003.0)
        assert len(world.relay.sent) < 12, "the pauses grow"
        assert world.looks == len(world.relay.sent) - 1
        assert sum(world.counters.repeated.values()) == len(world.relay.sent) - 1

    play(scene)


@pytest.mark.parametrize("call", [READ, SIGN])
@pytest.mark.parametrize("told", [True, False])
def test_a_follower_that_becomes_holder_runs_what_waits(call: Call, *, told: bool) -> None:
    """Also where nobody told it, a moment later."""

    async def scene() -> None:
        world = World(holder=None)
        world.later(2.0, ME, told=told)
        assert await world.ask(call, key="k") == b"[here]"
        assert world.loop.time() - 1002.0 <= (0.001 if told else 0.3)
        assert world.ran == ["k"]
        assert world.outcomes() == {"here": 1}

    play(scene)


def test_a_holder_that_is_not_ready_yet_lets_calls_wait() -> None:
    """This gateway has the lease and its rooms are not built."""

    async def scene() -> None:
        world = World(holder=Who("gw-me", "http://me", 9, is_elsewhere=False))
        world.later(1.0, ME)
        assert await world.ask() == b"[here]"
        assert not world.relay.sent

    play(scene)


def test_a_holder_that_has_this_gateways_name_is_asked_like_any_other() -> None:
    """Two were given one name by mistake; the calls that come to either are answered."""

    async def scene() -> None:
        world = World(holder=Who("gw-me", "http://two", 4))
        assert await world.ask(SIGN) == b"[answer]"
        assert [sent.url for sent in world.relay.sent] == ["http://two/wallets/main"]

    play(scene)


def test_a_read_that_was_lost_is_repeated() -> None:
    """At once, then where the wallet is held."""

    async def scene() -> None:
        world = World(killed, refused, refused, good)
        world.later(2.9, TWO)
        assert await world.ask() == b"[answer]"
        assert [sent.url[7:10] for sent in world.relay.sent[:2]] == ["one", "one"]
        assert world.relay.sent[1].at == world.relay.sent[0].at
        counts = [sent.head["Authorization"].split(" ")[5] for sent in world.relay.sent]
        assert counts == ["1", "2", "3", "4"], "each try is signed anew"

    play(scene)


@pytest.mark.parametrize(
    ("call", "key", "safe", "step"),
    [
        (SIGN, None, False, "nothing was broadcast"),
        (SIGN, "k", True, "gateway.outcome"),
        (ALLOCATE, None, False, "an address may have been given out"),
        (Call("setlabel", b'["a", "b"]', b"1", v1=False), None, True, "send the same call again"),
    ],
)
def test_money_that_was_lost_is_sent_once(call: Call, key: str | None, step: str, *, safe: bool) -> None:
    """And its client is told what to do."""

    async def scene() -> None:
        world = World(killed, good)
        found = json.loads(await world.ask(call, key=key))["error"]["data"]
        assert (found["name"], found["executed"], found["safe_to_repeat"]) == ("outcome_unknown", "unknown", safe)
        assert step in found["next_step"]
        assert len(world.relay.sent) == 1
        assert world.loop.time() == 1000.0, "there is nothing to wait for"
        assert world.outcomes() == {"unknown": 1}

    play(scene)


@pytest.mark.parametrize("call", [READ, PUBLISH])
@pytest.mark.parametrize("new", [TWO, ME])
def test_a_read_leaves_a_frozen_holder_for_the_next(call: Call, new: Who) -> None:
    """As soon as there is one, and a moment for the old one to answer."""

    async def scene() -> None:
        world = World(frozen, good)
        world.later(3.0, new)
        assert await world.ask(call) == (b"[here]" if new is ME else b"[answer]")
        assert world.loop.time() == pytest.approx(1003.0 + PATIENCE)
        assert world.relay.left == 1

    play(scene)


def test_a_holder_that_hands_over_answers_what_it_has() -> None:
    """A read is not asked twice for that."""

    async def slow(call: Sent1) -> Arrived | Broken:
        call.sending.gone = True
        await asyncio.sleep(1.05)
        return call.answer(b"[old]")

    async def scene() -> None:
        world = World(slow)
        world.later(1.0, TWO)
        assert await world.ask() == b"[old]"
        assert len(world.relay.sent) == 1

    play(scene)


def test_money_that_a_frozen_holder_did_not_let_in_goes_to_the_next() -> None:
    """Without its body there was no call."""

    async def scene() -> None:
        world = World(frozen, good)
        world.later(3.0, TWO)
        assert await world.ask(SIGN) == b"[answer]"
        assert [sent.url[7:10] for sent in world.relay.sent] == ["one", "two"]

    play(scene)


def test_money_that_was_let_in_stays_with_its_holder() -> None:
    """It may answer yet, and it alone knows; by the deadline and a little more the client is told."""

    async def late(call: Sent1) -> Arrived | Broken:
        call.sending.gone = True
        await asyncio.sleep(5.0)
        return call.answer(b"[late]")

    async def let_in_late(call: Sent1) -> Arrived | Broken:
        await asyncio.sleep(1.05)
        return await swallowed(call)

    async def scene() -> None:
        world = World(late, good)
        world.later(1.0, TWO)
        assert await world.ask(SIGN) == b"[late]"
        for act in (swallowed, let_in_late):
            world = World(act, good)
            began = world.loop.time()
            world.later(1.0, TWO)
            name, _, _ = await world.error(SIGN)
            assert name == "outcome_unknown"
            assert world.loop.time() - began == pytest.approx(9.0 + GRACE)
            assert (len(world.relay.sent), world.relay.left) == (1, 1)

    play(scene)


def test_a_holder_has_until_the_deadline_and_a_word_more() -> None:
    """What it says by itself at the deadline is worth more than our guess; what was not sent is over at once."""

    async def at_its_deadline(call: Sent1) -> Arrived | Broken:
        call.sending.gone = True
        await asyncio.sleep(2.3)
        return call.answer(b"[its word]")

    async def scene() -> None:
        world = World(at_its_deadline)
        assert await world.ask(READ, 2.0) == b"[its word]"
        for call, name, took in ((READ, "outcome_unknown", 2.0 + GRACE), (SIGN, "deadline_before_send", 2.0)):
            world = World(frozen)
            began = world.loop.time()
            assert (await world.error(call, 2.0))[::2] == (name, True)
            assert world.loop.time() - began == pytest.approx(took)

    play(scene)


def test_a_move_after_the_deadline_changes_nothing() -> None:
    """The word of the old one is waited for as before."""

    async def scene() -> None:
        world = World(swallowed)
        world.later(1.95, TWO)
        world.later(2.2, ME)
        name, _, _ = await world.error(READ, 2.0)
        assert name == "outcome_unknown"
        assert world.loop.time() <= 1000.0 + 2.0 + GRACE

    play(scene)


def test_news_that_there_is_no_holder_is_no_reason_to_leave() -> None:
    """The database may be away while the holder goes on."""

    async def slow(call: Sent1) -> Arrived | Broken:
        call.sending.gone = True
        await asyncio.sleep(2.0)
        return call.answer(b"[slow]")

    async def scene() -> None:
        world = World(slow)
        world.later(1.0, None)
        assert await world.ask() == b"[slow]"

    play(scene)


def test_where_nobody_holds_the_wallet_the_deadline_says_so() -> None:
    """Nothing was sent anywhere."""

    async def scene() -> None:
        world = World(holder=None)
        name, message, safe = await world.error(SIGN, 2.0)
        assert (name, safe) == ("no_backend", True)
        assert "no gateway held the wallet" in message
        assert world.loop.time() == pytest.approx(1002.0)
        assert world.outcomes() == {"no_holder": 1}

    play(scene)


@pytest.mark.parametrize("call", [READ, SIGN])
def test_a_holder_that_is_not_reached_is_named(call: Call) -> None:
    """With what was the matter."""

    async def scene() -> None:
        world = World(refused)
        name, message, safe = await world.error(call, 2.0)
        assert (name, safe) == ("deadline_before_send", True)
        assert f"gw-1, which holds the wallet, was not reached (gw-1: {BROKEN})" in message
        assert world.outcomes() == {"not_reached": 1}
        world = World(refused, holder=None)
        world.later(1.9999, ONE)
        name, message, _ = await world.error(call, 2.0)
        assert name == "deadline_before_send"

    play(scene)


def test_a_read_that_may_have_been_run_is_never_said_to_have_not() -> None:
    """Also where its last tries did not arrive."""

    async def scene() -> None:
        world = World(killed, refused)
        assert (await world.error(READ, 2.0))[::2] == ("outcome_unknown", True)

    play(scene)


def test_a_signature_that_is_refused_is_told_with_the_way_out() -> None:
    """To the log in full, to the client soon."""

    async def unknown_here(_call: Sent1) -> Arrived | Broken:
        return Broken(Sent.NO, REFUSED, "HTTP 401")

    async def scene() -> None:
        world = World(unknown_here)
        name, message, _ = await world.error(SIGN)
        assert name == "no_backend"
        assert "gw-1" in message
        assert world.loop.time() < 1001.0
        assert world.events[0].name == "forward.refused"
        assert "cluster.secret" in str(world.events[0].fields["way_out"])
        assert world.outcomes() == {"failed": 1}

    play(scene)


def test_an_answer_of_somebody_else_is_none() -> None:
    """Unsigned, signed otherwise, or with another body: a read is asked again, money is unknown."""

    async def stranger(call: Sent1) -> Arrived | Broken:
        call.sending.gone = True
        return Arrived(b"[forged]", "200 - " + "0" * 64)

    async def forger(call: Sent1) -> Arrived | Broken:
        call.sending.gone = True
        return Arrived(b'["THEIRS"]', call.answer(b'["theirs"]').told)

    async def scene() -> None:
        for lie in (stranger, forger):
            assert await World(lie, good).ask() == b"[answer]"
            assert (await World(lie, good).error(SIGN))[0] == "outcome_unknown"

    play(scene)


def test_an_answer_that_is_too_large_is_not_fetched_twice() -> None:
    """It would be as large again."""

    async def large(call: Sent1) -> Arrived | Broken:
        call.sending.gone = True
        return Broken(Sent.UNKNOWN, OVERSIZED, "much")

    async def scene() -> None:
        world = World(large)
        name, message, _ = await world.error()
        assert name == "outcome_unknown"
        assert OVERSIZED in message
        assert len(world.relay.sent) == 1

    play(scene)


def test_a_client_that_hangs_up_ends_its_read() -> None:
    """Here, and by the connection at the holder."""

    async def scene() -> None:
        world = World(frozen)
        task = asyncio.create_task(world.ask())
        await asyncio.sleep(1.0)
        task.cancel()
        await asyncio.wait({task})
        await asyncio.sleep(0)
        assert (task.cancelled(), world.relay.left) == (True, 1)
        assert world.outcomes() == {"left": 1}

    play(scene)


@pytest.mark.parametrize("call", [SIGN, ALLOCATE, PUBLISH])
def test_a_client_that_hangs_up_ends_nothing_else(call: Call) -> None:
    """Sent or not yet: it is brought to its end."""

    async def slow(call: Sent1) -> Arrived | Broken:
        call.sending.gone = True
        await asyncio.sleep(3.0)
        return call.answer(b"[done]")

    async def scene() -> None:
        for first in (slow, refused):
            world = World(first, slow)
            task = asyncio.create_task(world.ask(call))
            await asyncio.sleep(0.01)
            task.cancel()
            await asyncio.wait({task})
            assert len(world.forwarder.under_way) == 1
            await asyncio.sleep(5.0)
            assert (world.relay.left, world.outcomes(), len(world.forwarder.under_way)) == (0, {"answered": 1}, 0)

    play(scene)


def test_a_gateway_that_stops_waits_for_what_it_began() -> None:
    """As long as it is told to."""

    async def scene() -> None:
        world = World(swallowed)
        await world.forwarder.end(1.0)
        task = asyncio.create_task(world.ask(SIGN))
        await asyncio.sleep(0.1)
        assert "to gw-1 term=1 under_way=1" in repr(world.forwarder)
        await world.forwarder.end(1.0)
        assert world.loop.time() == pytest.approx(1001.1)
        await asyncio.wait({task})
        assert task.cancelled()
        world.becomes(None)
        assert "to nobody under_way=0" in repr(world.forwarder)

    play(scene)


def test_an_error_of_ours_is_logged_where_nobody_waits_for_it() -> None:
    """It would be lost with the client."""

    async def broken(_call: Sent1) -> Arrived | Broken:
        raise RuntimeError("a mistake")

    async def scene() -> None:
        world = World(broken)
        with pytest.raises(RuntimeError):
            await world.ask(SIGN)
        assert [event.name for event in world.events] == ["forward.failed"]

    play(scene)


@pytest.mark.parametrize(
    ("call", "body"),
    [
        (READ, b'{"method":"getbalance","id":1,"jsonrpc":"2.0"}'),
        (ALLOCATE, b'{"method":"createnewaddress","id":4}'),
        (Call("a", b"[123456789012345678901234567890, 1.50 ]", b'"\\u0041"', v1=False),
         b'{"method":"a","params":[123456789012345678901234567890, 1.50 ],"id":"\\u0041","jsonrpc":"2.0"}'),
        (Call('q"\u00e9', b"", None, v1=False), '{"method":"q\\"\u00e9","jsonrpc":"2.0"}'.encode()),
    ],
)  # fmt: skip
def test_a_call_is_sent_on_as_its_client_wrote_it(call: Call, body: bytes) -> None:
    """Id, numbers and version to the digit."""
    assert body_of(call) == body
