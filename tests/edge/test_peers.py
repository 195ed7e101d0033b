"""Two gateways on loopback: what a client hears from the one is what the other said, and nobody else is heard there."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace

import pytest
from pydantic import SecretStr

from gateway.base.config import Backend, Client, Listen, Settings, Wallet
from gateway.base.effects import GRANTABLE, Effect
from gateway.base.errors import NO_BACKEND, OVERLOADED, Failure
from gateway.base.events import Event
from gateway.base.jsonrpc import Call, Reply, error_reply, failure_error, result_reply
from gateway.edge.auth import Authenticator
from gateway.edge.peers import PeerCounters, Peers, known_clients
from gateway.edge.rpc import DoorCounters, RpcDoor
from gateway.flow.forward import ForwardCounters, Forwarder, effect_of
from gateway.flow.identity import Identity
from gateway.profiles import load
from gateway.rules import forward as rules
from gateway.rules.forward import Passage
from gateway.upstream.relay import Relay
from tests.edge.conftest import FakeDispatcher, Knock, body, client, read_one, request, status

SECRET = b"thirty-two random letters"
NOW = 1_800_000_000.0
PROFILE = load("electron-cash")
READ = b'{"jsonrpc":"2.0","id":1,"method":"getbalance"}'
SIGN = b'{"jsonrpc":"2.0","id":2,"method":"payto","params":{"destination":"a","amount":"1"}}'
WALLETS = ("main", "cold")
CLIENTS = [client("shop", effects=GRANTABLE), client("web", errors="http", wallets=WALLETS, effects=GRANTABLE)]


@dataclass
class Lease:
    """Who holds each wallet, as everybody sees it at once."""

    holders: dict[str, "Gateway | None"] = field(default_factory=dict)
    term: int = 0
    gateways: list["Gateway"] = field(default_factory=list)

    def moves(self, to: "Gateway | None") -> None:
        """Give all wallets to a gateway, or to nobody."""
        self.term += 1
        self.holders = dict.fromkeys(WALLETS, to)
        for gateway in self.gateways:
            for forwarder in gateway.forwarders.values():
                forwarder.holder_changed()


class Gateway:
    """A door, what it runs by itself, and what it sends on."""

    def __init__(self, name: str, lease: Lease, listen: Listen | None = None) -> None:
        """Begin closed."""
        self.name = name
        self.lease = lease
        self.dispatcher = FakeDispatcher()
        self.profile = PROFILE
        self.relay = Relay(connect=5.0, max_body=16 << 20, keep=15.0)
        self.counters, self.forwarded = PeerCounters(), ForwardCounters()
        self.events: list[Event] = []
        identity = Identity(name, SECRET, lambda: NOW)
        loop = asyncio.get_running_loop()
        self.forwarders = {wallet: self._forwarder(wallet, identity, loop) for wallet in WALLETS}
        self.clients = {one.name: one for one in CLIENTS}
        self.ailing: list[str] = []
        self.peers = Peers(
            name, SECRET, self.term_of, self.run, self.effect, lambda: self.clients, self.events.append, lambda: NOW,
            self.counters, lambda _wallet: self.ailing,
        )  # fmt: skip
        self.door = RpcDoor(
            listen or Listen(port=0, max_body=4096, max_depth=16, max_batch=8),
            Authenticator(CLIENTS, anonymous=False), self, lambda: set(WALLETS),
            sandbox=False, counters=DoorCounters(), peers=self.peers,
        )  # fmt: skip
        self.knock = Knock(self.door, self.dispatcher)

    def _forwarder(self, wallet: str, identity: Identity, loop: asyncio.AbstractEventLoop) -> Forwarder:
        async def here(client: Client, call: Call, deadline: float, key: str | None) -> Reply | None:
            return await self.run(wallet, client, call, deadline, key)

        return Forwarder(
            wallet, identity, self.relay, here, lambda: self.lease.holders.get(wallet), lambda: self.profile, loop,
            self.forwarded, self.events.append,
        )  # fmt: skip

    @property
    def address(self) -> str:
        """Where others knock."""
        return f"http://127.0.0.1:{self.door.port}"

    @property
    def term(self) -> int:
        """Of every lease there is."""
        return self.lease.term

    @property
    def until(self) -> float:
        """Of every lease there is."""
        return NOW + 3.0

    is_elsewhere = True

    def effect(self, wallet: str, client: Client, call: Call) -> Effect | Failure:
        """What a call may do, as this one has it."""
        return effect_of(self.profile, wallet, client, call)

    def term_of(self, wallet: str) -> int:
        """Of the lease of a wallet, 0 without it."""
        return self.lease.term if self.lease.holders.get(wallet) is self else 0

    async def run(self, wallet: str, client: Client, call: Call, deadline: float, key: str | None) -> Reply | None:
        """Answer a call here, where its wallet is held."""
        return await self.dispatcher.call(wallet, client, call, deadline, key) if self.term_of(wallet) else None

    async def call(self, wallet: str, client: Client, call: Call, deadline: float, key: str | None) -> Reply:
        """Answer a client's call."""
        return await self.forwarders[wallet].call(client, call, deadline, key)

    def takes_key(self, wallet: str, method: str) -> bool:
        """As the dispatcher says."""
        return self.dispatcher.takes_key(wallet, method)

    def dies(self) -> None:
        """Vanish without a word: no listener, and every connection reset."""
        server = self.door._server
        assert server is not None
        assert server._listener is not None
        server._listener.close()
        for connection in server.open:
            if connection.transport is not None:
                connection.transport.abort()


@pytest.fixture
async def gateways() -> AsyncIterator[Callable[..., "asyncio.Future[list[Gateway]]"]]:
    """Make gateways that share a lease, which the first one has."""
    made: list[Gateway] = []

    async def make(*names: str, listen: Listen | None = None) -> list[Gateway]:
        lease = Lease()
        made.extend(Gateway(name, lease, listen) for name in names or ("one", "two"))
        lease.gateways = made
        for gateway in made:
            await gateway.door.start()
        lease.moves(made[0])
        return made

    yield make  # type: ignore[misc]  # called and awaited by tests
    for gateway in made:
        for forwarder in gateway.forwarders.values():
            await forwarder.end(0)
        await gateway.door.stop(0.1)
        await gateway.relay.close()


Make = Callable[..., "asyncio.Future[list[Gateway]]"]


def undated(answer: bytes) -> bytes:
    """An answer without the second that it was given in."""
    return re.sub(rb"Date: [^\r]*\r\n", b"", answer)


async def every_kind(call: Call) -> Reply:
    """Answer as gateways do: results, errors of daemons, errors of ours, nothing to notifications."""
    if call.id is None:
        return Reply(b"")
    match call.method:
        case "getbalance":
            return Reply(result_reply(call.id, call.v1, b'{"confirmed": 1.50, "n": 123456789012345678901234567890}'))
        case "history":
            return Reply(result_reply(call.id, call.v1, b'"%b"' % (b"x" * (5 << 20))))
        case "listaddresses":
            return Reply(error_reply(call.id, call.v1, b'{"code": -32603, "message": "Server error: a\\u0000"}'))
        case "getunusedaddress":
            failure = Failure(OVERLOADED, "overloaded: wait", safe_to_repeat=True, retry_after=2.5)
            return Reply(error_reply(call.id, call.v1, failure_error(failure)), 503, 2.5)
        case "payto":
            failure = Failure(NO_BACKEND, "no_backend: none", safe_to_repeat=True)
            return Reply(error_reply(call.id, call.v1, failure_error(failure)), 503, 1.0)
    return Reply(result_reply(call.id, call.v1, call.params or b"null"))


KINDS = [
    READ,
    b'{"method":"getbalance","id":123456789012345678901234567890}',
    b'{"method":"getbalance","id":"\\u0041 \\u00e9"}',
    '{"method":"getbalance","id":"é"}'.encode(),
    b'{"method":"getbalance","id":null}',
    b'{"method":"getbalance","id":1.50,"params":{}}',
    b'{"jsonrpc":"2.0","method":"getbalance"}',
    b'{"jsonrpc":"2.0","method":"payto"}',
    b'{"id":1,"method":"history"}',
    b'{"id":1,"method":"listaddresses"}',
    b'{"id":1,"method":"getunusedaddress"}',
    b'{"id":1,"method":"getseed"}',
    b'{"id":1,"method":"setlabel","params":["a", "\\ud83d\\ude00 \xf0\x9f\x98\x80", 12345678901234567890 ]}',
    b'{"id":1,"method":"broadcast","params":["00"]}',
    b'{"id":1,"method":"gateway.status"}',
    SIGN,
    b'[{"id":1,"method":"getbalance"},{"method":"getbalance"},7,{"id":"x","method":"payto"}]',
    b'[{"method":"getbalance"}]',
    b"{bad",
    b"[]",
]


@pytest.mark.parametrize("user", ["shop", "web"])
async def test_what_a_client_hears_is_the_same_at_both(gateways: Make, user: str) -> None:
    """Every kind of call, to the byte, with JSON-RPC errors and with statuses."""
    one, two = await gateways()
    one.dispatcher.act = every_kind
    for call in KINDS:
        direct = await one.knock.post(call, user=user)
        if b"getseed" not in call:
            assert undated(await two.knock.post(call, user=user)) == undated(direct), call[:80]
    assert two.dispatcher.asked == []
    assert one.counters.taken > len(KINDS) - 5
    assert one.counters.refused.total() == 0


async def test_key_deadline_client_and_wallet_arrive(gateways: Make) -> None:
    """As the client gave them."""
    one, two = await gateways()
    headers = ("Idempotency-Key: order/1 é", "X-Request-Timeout: 2.5")
    await two.knock.post(SIGN, *headers, user="web", path="/wallets/cold")
    await two.knock.post(READ)
    (wallet, name, call, deadline, key), (_, other, _, later, none) = one.dispatcher.asked
    assert (wallet, name, key, call.method) == ("cold", "web", "order/1 é", "payto")
    assert (other, none) == ("shop", None)
    assert 0 < deadline - asyncio.get_running_loop().time() <= 2.5
    assert later - deadline > 5


@pytest.mark.parametrize("call", [READ, SIGN])
@pytest.mark.parametrize("heir", [1, 2])
async def test_a_holder_that_is_gone_is_waited_for(gateways: Make, call: bytes, heir: int) -> None:
    """Until another one has the wallet: the one that was asked, or a third."""
    three = await gateways("one", "two", "three")
    one, two, _ = three
    assert status(await two.knock.post(READ)) == 200
    one.dies()
    waiting = asyncio.create_task(two.knock.post(call))
    while not two.forwarded.repeated:  # noqa: ASYNC110 - what is waited for sets no event
        await asyncio.sleep(0.01)
    assert not waiting.done()
    one.lease.moves(three[heir])
    assert b'"result"' in await waiting
    assert [len(gateway.dispatcher.asked) for gateway in three] == [1, heir == 1, heir == 2]


@pytest.mark.parametrize(("call", "is_read"), [(READ, True), (SIGN, False)])
async def test_a_holder_that_dies_with_a_call(gateways: Make, call: bytes, *, is_read: bool) -> None:
    """A read is answered by the next one; money is unknown, and is sent nowhere else."""
    one, two, three = await gateways("one", "two", "three")

    async def die(_call: Call) -> Reply:
        one.dies()
        one.lease.moves(three)
        await asyncio.sleep(60)
        raise AssertionError

    one.dispatcher.act = die
    answer = await two.knock.post(call)
    if is_read:
        assert json.loads(body(answer)) == {"result": [], "id": 1, "jsonrpc": "2.0"}
    else:
        assert json.loads(body(answer))["error"]["data"]["name"] == "outcome_unknown"
    assert len(three.dispatcher.asked) == is_read


async def test_a_holder_that_died_after_its_answer_is_missed_by_nobody(gateways: Make) -> None:
    """A kept connection that it leaves behind costs nothing, not even with money."""
    one, two, three = await gateways("one", "two", "three")
    for call in (READ, SIGN):
        assert b'"result"' in await two.knock.post(call)
    one.dies()
    one.lease.moves(three)
    for call in (SIGN, READ):
        assert b'"result"' in await two.knock.post(call)


async def test_a_call_is_sent_on_once(gateways: Make) -> None:
    """Two gateways that each take the other for the holder do not play ball with it."""
    one, two = await gateways()
    one.lease.holders = {}
    holder = replace_holder(one, one.lease.term)
    two.forwarders["main"].holder = lambda: holder
    one.forwarders["main"].holder = lambda: replace_holder(two, 1)
    answer = await two.knock.post(SIGN, "X-Request-Timeout: 0.3")
    error = json.loads(body(answer))["error"]
    assert error["data"]["name"] == "deadline_before_send"
    assert "does not hold the wallet" in error["message"]
    assert (one.counters.not_holder > 0, two.counters.taken) == (True, 0)
    assert one.dispatcher.asked == two.dispatcher.asked == []


@dataclass(frozen=True)
class Who:
    """A holder as somebody sees it."""

    name: str
    address: str
    term: int
    until: float = 0.0
    is_elsewhere: bool = True


def replace_holder(gateway: Gateway, term: int) -> Who:
    """A gateway with another term."""
    return Who(gateway.name, gateway.address, term)


async def test_a_call_of_another_term_is_not_run(gateways: Make) -> None:
    """Neither of one that is over nor of one that is to come."""
    one, two = await gateways()
    for term in (one.lease.term - 1, one.lease.term + 1):
        two.forwarders["main"].holder = lambda term=term: replace_holder(one, term)  # type: ignore[misc]  # bound early
        answer = await two.knock.post(READ, "X-Request-Timeout: 0.1")
        assert b"deadline_before_send" in answer
    assert one.dispatcher.asked == []


async def test_the_holders_own_deadline_is_the_clients(gateways: Make) -> None:
    """It is the holder that says at the deadline how far the call came."""
    one, two = await gateways()

    async def until_the_deadline(call: Call) -> Reply:
        _, _, _, deadline, _ = one.dispatcher.asked[-1]
        await asyncio.sleep(deadline - asyncio.get_running_loop().time())
        return Reply(result_reply(call.id or b"", call.v1, b'"in time"'))

    one.dispatcher.act = until_the_deadline
    assert b"in time" in await two.knock.post(READ, "X-Request-Timeout: 0.1")


async def hang_up(gateway: Gateway, call: bytes, begun: asyncio.Event) -> None:
    """Leave while a call is under way."""
    _, writer = await asyncio.open_connection("127.0.0.1", gateway.door.port)
    writer.write(request(call))
    await begun.wait()
    writer.close()


async def test_a_client_that_leaves_ends_a_read_at_the_holder_and_never_money(gateways: Make) -> None:
    """The read of nobody costs the daemon nothing; the payment goes on."""
    one, two = await gateways()
    begun, go_on, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow(call: Call) -> Reply:
        begun.set()
        await go_on.wait()
        done.set()
        return Reply(result_reply(call.id or b"", call.v1, b"1"))

    one.dispatcher.act = slow
    await hang_up(two, READ, begun)
    async with asyncio.timeout(20):
        await one.dispatcher.left.wait()
    assert (one.dispatcher.cancelled, done.is_set()) == (1, False)
    begun.clear()
    await hang_up(two, SIGN, begun)
    while two.door.counters.connections_open:  # noqa: ASYNC110 - what is waited for sets no event
        await asyncio.sleep(0.01)
    go_on.set()
    async with asyncio.timeout(20):
        await done.wait()
        while two.forwarders["main"].under_way:  # noqa: ASYNC110 - the same
            await asyncio.sleep(0.01)
    assert one.dispatcher.cancelled == 1
    assert two.forwarded.outcomes["main", "answered"] == 1


@pytest.mark.parametrize("method", [b"getbalance", b"payto"])
async def test_a_body_of_the_largest_size_passes_though_it_is_written_anew(gateways: Make, method: bytes) -> None:
    """It may grow by a few bytes; one that is larger is refused at the door that the client came to."""
    one, two = await gateways()
    short = b'{"id":1,"jsonrpc":1,"method":"%b","params":["%b"]}'
    largest = short % (method, b"x" * (4096 - len(short % (method, b""))))
    assert len(largest) == 4096
    answer = await two.knock.post(largest)
    assert b'"result"' in answer
    assert len(one.dispatcher.asked) == 1
    assert status(await two.knock.post(largest.replace(b"xx", b"xxx", 1))) == 413
    assert one.door.counters.malformed == {}


# -- who is not let in --------------------------------------------------------------------------------------


def passage(**changes: object) -> Passage:
    """What a gateway two would sign for gateway one."""
    mine = Passage(
        "two", "one", 1, "main", "shop", "5.000", None, "ab" * 16, 1, int(NOW * 1000), rules.digest(READ),
        Effect.WALLET_READ,
    )  # fmt: skip
    return replace(mine, **changes)  # type: ignore[arg-type]  # tests pass what fits


def forwarded(
    signed: Passage, sent: bytes = READ, secret: bytes = SECRET, path: str = "/wallets/main", **changes: str
) -> bytes:  # fmt: skip
    """A request as a gateway would send it, or nearly so."""
    heads: Mapping[str, str] = rules.headers(secret, signed) | {
        name.replace("_", "-"): value for name, value in changes.items()
    }
    return request(sent, *(f"{name}: {value}" for name, value in heads.items()), user=None, path=path)


async def test_what_a_gateway_signs_is_let_in(gateways: Make) -> None:
    """And answered with a signature, HTTP 200 whatever it is."""
    one, _ = await gateways()
    answer = await one.knock.raw(forwarded(passage()))
    assert status(answer) == 200
    assert body(answer) == b'{"result": [], "id": 1, "jsonrpc": "2.0"}'
    told = re.search(rb"X-Ecgw-Answer: ([^\r]*)", answer)
    assert told is not None
    assert rules.read_answer(SECRET, passage(), told[1].decode(), body(answer)) == (200, None)


@pytest.mark.parametrize(
    ("knocking", "reason"),
    [
        (forwarded(passage(), secret=b"another one altogether"), "signature"),
        (forwarded(passage(), X_Ecgw_Client="web"), "signature"),
        (forwarded(passage(), X_Ecgw_Deadline="9.000"), "signature"),
        (forwarded(passage(), Idempotency_Key="k"), "signature"),
        (forwarded(passage(), path="/wallets/cold"), "signature"),
        (forwarded(passage(at=int((NOW - 61) * 1000))), "age"),
        (forwarded(passage(at=int((NOW + 61) * 1000))), "age"),
        (forwarded(passage(to="three")), "other_gateway"),
        (forwarded(passage(), READ.replace(b"1", b"3")), "body"),
        (forwarded(passage(), path="/"), "no_gateway"),
        (forwarded(passage(), X_Ecgw_Forwarded="2"), "no_gateway"),
        (request(READ, "X-Ecgw-Forwarded: 1"), "no_gateway"),
        (forwarded(passage()).replace(b"POST", b"PUT"), "no_gateway"),
    ],
)
async def test_what_no_gateway_signed_is_not_let_in(gateways: Make, knocking: bytes, reason: str) -> None:
    """401, counted, and told to the operator with the way out; a password helps nobody past it."""
    one, _ = await gateways()
    for _ in range(2):
        answer = await one.knock.raw(knocking, until_eof=True)
        assert status(answer) == 401
        assert b"X-Ecgw" not in answer
        said = json.loads(body(answer))["error"]["message"]
        assert said.startswith("unauthorized: no gateway"), "the same whatever the reason"
    assert one.dispatcher.asked == []
    # with its head taken once, the second is a replay already
    assert one.counters.refused == ({"body": 1, "replay": 1} if reason == "body" else {reason: 2})
    assert one.door.counters.auth_failures == 2
    told = [event.fields for event in one.events if event.fields["reason"] == reason]
    assert len(told) == 1, "a flood of them is one line"
    assert told[0]["way_out"]
    assert SECRET.decode() not in repr(told) + repr(one.peers)


async def test_what_was_taken_once_is_not_taken_again(gateways: Make) -> None:
    """Here; and at the next holder it is another gateway's."""
    one, two = await gateways()
    recorded = forwarded(passage())
    assert status(await one.knock.raw(recorded)) == 200
    assert status(await one.knock.raw(recorded)) == 401
    assert one.counters.refused == {"replay": 1}
    one.lease.moves(two)
    assert status(await two.knock.raw(recorded)) == 401
    assert two.counters.refused == {"other_gateway": 1}
    assert len(one.dispatcher.asked) + len(two.dispatcher.asked) == 1


async def test_a_restarted_holder_does_not_run_what_was_taken_before(gateways: Make) -> None:
    """It has forgotten the call, and holds the wallet in another term."""
    one, _ = await gateways()
    recorded = forwarded(passage())
    assert status(await one.knock.raw(recorded)) == 200
    one.peers._replays = rules.Replays()
    one.lease.moves(one)
    answer = await one.knock.raw(recorded)
    assert json.loads(body(answer))["error"]["data"]["name"] == "not_holder"
    assert len(one.dispatcher.asked) == 1


async def test_a_body_is_read_when_its_head_was_let_in(gateways: Make) -> None:
    """Nobody else may send megabytes, or hear Continue."""
    one, _ = await gateways()
    for secret, wanted in ((SECRET, 100), (b"another one altogether", 401)):
        reader, writer = await asyncio.open_connection("127.0.0.1", one.door.port)
        writer.write(forwarded(passage(), secret=secret, Expect="100-continue").removesuffix(READ))
        answer = await read_one(reader)
        assert status(answer) == wanted
        if wanted == 100:
            writer.write(READ)
            assert status(await read_one(reader)) == 200
        writer.close()


async def test_a_gateway_alone_takes_no_others_calls(gateways: Make) -> None:
    """Without a cluster nobody is a peer."""
    one, _ = await gateways()
    one.door.peers = None
    assert status(await one.knock.raw(forwarded(passage()))) == 401
    assert one.door.counters.auth_failures == 1
    one.door.peers = one.peers
    assert status(await one.knock.raw(forwarded(passage()).replace(b"HTTP/1.1", b"HTTP/1.0"))) == 401


@pytest.mark.parametrize(("name", "wallet"), [("shop", "cold"), ("nobody", "main")])
async def test_gateways_with_different_clients_say_so(gateways: Make, name: str, wallet: str) -> None:
    """The client hears it, for its operator."""
    one, _ = await gateways()
    signed = passage(client=name, wallet=wallet)
    error = json.loads(body(await one.knock.raw(forwarded(signed, path=f"/wallets/{wallet}"))))["error"]
    assert error["data"]["name"] == "method_refused"
    assert "all gateways the same clients" in error["message"]
    assert one.dispatcher.asked == []
    quiet = b'{"method":"a"}'
    signed = passage(client=name, wallet=wallet, count=2, body=rules.digest(quiet))
    assert body(await one.knock.raw(forwarded(signed, quiet, path=f"/wallets/{wallet}"))) == b""


async def test_a_gateway_is_greeted_in_nobodys_name(gateways: Make) -> None:
    """It answers for itself, asks no daemon, and does not count it among the calls."""
    one, _ = await gateways()
    signed = passage(client="", body=rules.digest(rules.GREETING))
    answer = await one.knock.raw(forwarded(signed, rules.GREETING))
    told = re.search(rb"X-Ecgw-Answer: ([^\r]*)", answer)
    assert told is not None
    assert rules.read_answer(SECRET, signed, told[1].decode(), body(answer)) == (200, None)
    assert (one.dispatcher.asked, one.counters.taken) == ([], 0)
    assert body(answer) == rules.GREETED, "in the words that an older version knows"


async def test_a_greeting_is_told_whether_calls_would_be_answered(gateways: Make) -> None:
    """By who holds the wallet in that very term; of what others hold nobody speaks."""
    one, two = await gateways()
    one.ailing = two.ailing = ["ec-1: dead"]

    async def greet(gateway: Gateway, **changes: object) -> tuple[str, ...]:
        signed = passage(client="", body=rules.digest(rules.GREETING), to=gateway.name, **changes)
        return rules.read_greeted(body(await gateway.knock.raw(forwarded(signed, rules.GREETING))))

    assert await greet(one) == ("ec-1: dead",)
    assert await greet(one, count=2, term=2) == ()
    assert await greet(two) == ()


async def test_a_client_that_only_one_gateway_knows_is_told_to_the_operator(gateways: Make) -> None:
    """By the log of the one that does not, and not at each call."""
    one, two = await gateways()
    one.clients.pop("shop")
    for _ in range(3):
        assert b"knows no client shop of main" in await two.knock.post(READ)
    told = [event for event in one.events if event.name == "peer.refused"]
    assert [(event.level, event.fields["reason"], event.fields["gateway"]) for event in told] == [
        ("warning", "client", "two")
    ]
    assert (told[0].fields["client"], told[0].fields["wallet"]) == ("shop", "main")
    assert "same clients" in str(told[0].fields["way_out"])
    assert one.counters.refused == {"client": 3}
    assert one.dispatcher.asked == []


async def test_a_greeting_of_somebody_else_of_that_name_is_answered_as_such(gateways: Make) -> None:
    """Two were given one name by mistake: who does not hold the wallet in that term is not taken for the holder."""
    one, two = await gateways()
    for holder, term in ((one, one.lease.term + 1), (two, one.lease.term)):
        one.lease.holders = dict.fromkeys(WALLETS, holder)
        signed = passage(client="", body=rules.digest(rules.GREETING), term=term, count=term + 100 * (holder is two))
        answer = await one.knock.raw(forwarded(signed, rules.GREETING))
        told = re.search(rb"X-Ecgw-Answer: ([^\r]*)", answer)
        assert told is not None
        assert rules.read_answer(SECRET, signed, told[1].decode(), body(answer)) == (421, None)


async def test_a_call_that_its_sender_would_repeat_and_must_not_is_not_run(gateways: Make) -> None:
    """The profiles differ; the sender is told, and both logs.  Who is more careful than need be is answered."""
    one, two = await gateways()
    methods = dict(PROFILE.methods)
    ask = READ.replace(b"getbalance", b"getunusedaddress")
    assert methods["getunusedaddress"].effect is Effect.ALLOCATE
    methods["getunusedaddress"] = replace(methods["getunusedaddress"], effect=Effect.READ)
    two.profile = replace(PROFILE, methods=methods)
    error = json.loads(body(await two.knock.post(ask)))["error"]
    assert (error["data"]["name"], error["data"]["executed"]) == ("no_backend", "no")
    assert "one profile" in error["message"]
    assert one.dispatcher.asked == []
    assert one.counters.refused == {"profile": 1}
    assert "same profile" in str([event.fields["way_out"] for event in one.events])
    two.profile, one.profile = one.profile, two.profile
    assert b'"result"' in await two.knock.post(ask)


@pytest.mark.parametrize(("sent", "code"), [(b"{bad", -32700), (b"[%b]" % READ, -32600), (b"[]", -32600)])
async def test_a_signed_body_that_is_no_single_call_is_refused(gateways: Make, sent: bytes, code: int) -> None:
    """A batch comes entry by entry."""
    one, _ = await gateways()
    answer = await one.knock.raw(forwarded(passage(body=rules.digest(sent)), sent))
    assert status(answer) == 200
    assert json.loads(body(answer))["error"]["code"] == code
    assert one.dispatcher.asked == []


async def test_a_gateway_with_another_secret_is_told_where_it_is_set(gateways: Make) -> None:
    """Both logs say so, and the client is not made to wait for its deadline."""
    one, two = await gateways()
    two.forwarders["main"].identity.secret = b"another one altogether"
    error = json.loads(body(await two.knock.post(SIGN)))["error"]
    assert error["data"]["name"] == "no_backend"
    assert "forward.refused" in {event.name for event in two.events}
    assert "cluster.secret" in str([event.fields for event in one.events])


def test_clients_are_known_by_their_names() -> None:
    """Also the one that callers without credentials become."""
    backend = Backend(name="a", url="http://127.0.0.1:1")
    wallets = {"main": Wallet(backends=(backend,))}
    shop = Client(name="shop", username="s", password=SecretStr("x"))
    assert known_clients(Settings(wallets=wallets, clients=(shop,))) == {"shop": shop}
    known = known_clients(Settings(wallets=wallets, anonymous=True))
    assert list(known) == ["anonymous"]
    assert known["anonymous"].wallets == ("main",)
