"""From gateway to gateway: what is known of a call that brought no answer, and what is kept."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from gateway.rules.forward import ANSWER, BROKEN, OVERSIZED, REFUSED
from gateway.rules.retry import Sent
from gateway.upstream.relay import LARGE, MOST_ADDRESSES, Arrived, Broken, Relay, Sending, trusting
from tests.upstream.conftest import Act, Certificates, FullBacklog, Guest, Listen, answer, listening, until

BODY = b'{"method":"ping"}'
TOLD = f"{ANSWER}: 200 - mac"
GO_ON = b"HTTP/1.1 100 Continue\r\n\r\n"

MakeRelay = Callable[..., Relay]


@pytest.fixture
async def relays() -> AsyncIterator[MakeRelay]:
    """Make relays; each is closed after the test."""
    made: list[Relay] = []

    def make(**changes: object) -> Relay:
        settings: dict[str, object] = {"connect": 20.0, "max_body": 4096, "keep": 20.0} | changes
        made.append(Relay(**settings))  # type: ignore[arg-type]  # tests pass what fits
        return made[-1]

    yield make
    for one in made:
        await one.close()


@pytest.fixture
async def relay(relays: MakeRelay) -> Relay:
    """A patient one."""
    return relays()


async def ask(relay: Relay, port: int, *, careful: bool = False, body: bytes = BODY) -> Arrived | Broken:
    """Send one call."""
    return await relay.send(f"http://127.0.0.1:{port}/wallets/main", {"X-A": "b"}, body, Sending(careful=careful))


def what(ended: Arrived | Broken) -> tuple[Sent, str]:
    """What is known of a call without an answer."""
    assert isinstance(ended, Broken), ended.body
    assert ended.detail
    return ended.sent, ended.reason


async def is_let_in(guest: Guest) -> bytes:
    """Read the head of a careful call and let its body come."""
    while b"\r\n\r\n" not in guest.got:
        assert await guest.read()
    assert guest.got.endswith(b"\r\n\r\n"), "the body waits"
    assert b"Expect: 100-continue" in guest.got
    await guest.say(GO_ON)
    return await guest.request()


async def test_a_call_goes_as_it_is_and_its_answer_comes_back(relay: Relay, listen: Listen) -> None:
    """With a head that says no more than needed, over a connection that is kept."""
    heard: list[bytes] = []

    async def serve(guest: Guest) -> None:
        for _ in range(2):
            heard.append(await guest.request())
            await guest.say(answer(b"  {} ", TOLD))

    peer = listen(serve)
    for _ in range(2):
        ended = await ask(relay, peer.port)
        assert isinstance(ended, Arrived)
        assert (ended.body, ended.told) == (b"  {} ", "200 - mac")
    assert len(peer.guests) == 1
    head, _, body = heard[0].partition(b"\r\n\r\n")
    assert body == BODY
    assert {line.split(b":")[0] for line in head.split(b"\r\n")} == {
        b"POST /wallets/main HTTP/1.1", b"Host", b"X-A", b"Content-Type", b"Content-Length", b"Accept-Encoding",
        b"Connection",
    }  # fmt: skip


async def test_a_careful_call_sends_its_body_when_it_is_let_in(relay: Relay, listen: Listen) -> None:
    """And keeps its connection as any other."""

    async def serve(guest: Guest) -> None:
        for _ in range(2):
            assert (await is_let_in(guest)).endswith(BODY)
            await guest.say(answer(b"{}", TOLD))

    peer = listen(serve)
    for _ in range(2):
        assert isinstance(await ask(relay, peer.port, careful=True), Arrived)
    assert len(peer.guests) == 1


async def test_a_large_body_arrives_whole(relay: Relay, listen: Listen) -> None:
    """In pieces, without a warning."""
    heard: list[bytes] = []

    async def serve(guest: Guest) -> None:
        heard.append(await guest.request())
        await guest.say(answer(b"{}", TOLD))

    body = b"x" * (LARGE + 5)
    assert isinstance(await ask(relay, listen(serve).port, body=body), Arrived)
    assert heard[0].endswith(b"\r\n\r\n" + body)


@pytest.mark.parametrize("careful", [False, True])
async def test_where_nobody_listens_nothing_was_sent(relays: MakeRelay, full: FullBacklog, *, careful: bool) -> None:
    """Refused, or no connection in time."""
    closed = listening()
    port = closed.getsockname()[1]
    closed.close()
    assert what(await ask(relays(), port, careful=careful)) == (Sent.NO, BROKEN)
    assert what(await ask(relays(connect=0.05), full.port, careful=careful)) == (Sent.NO, BROKEN)
    assert full.bytes_received() == 0


async def read_and_close(guest: Guest) -> None:
    """Be killed with a request read."""
    await guest.request()


async def read_and_reset(guest: Guest) -> None:
    """The same, with bytes unread."""
    await guest.request()
    guest.reset()


async def half_an_answer(guest: Guest) -> None:
    """Be killed in the middle of the answer."""
    await guest.request()
    await guest.say(answer(b"x" * 100, TOLD)[:-50])


async def no_http(guest: Guest) -> None:
    """Be something else."""
    await guest.request()
    await guest.say(b"+OK ready\r\n\r\n")


@pytest.mark.parametrize("act", [read_and_close, read_and_reset, half_an_answer, no_http])
async def test_a_call_that_went_and_brought_nothing_back_may_have_been_run(
    relay: Relay, listen: Listen, act: Act
) -> None:
    """Whatever became of the connection."""
    assert what(await ask(relay, listen(act).port)) == (Sent.UNKNOWN, BROKEN)


async def test_a_careful_call_whose_end_comes_before_its_body_was_not_sent(relay: Relay, listen: Listen) -> None:
    """Killed, or stopped with the head read: there was no call in it."""
    seen: list[bytes] = []

    async def head_alone(guest: Guest) -> None:
        await guest.read()
        seen.append(guest.got)

    async def and_reset(guest: Guest) -> None:
        await head_alone(guest)
        guest.reset()

    for act in (head_alone, and_reset):
        assert what(await ask(relay, listen(act).port, careful=True)) == (Sent.NO, BROKEN)
    assert len(seen) == 2
    assert all(BODY not in one for one in seen)


async def test_a_careful_call_that_was_let_in_may_have_been_run(relay: Relay, listen: Listen) -> None:
    """From then on nothing is certain."""

    async def let_in_and_die(guest: Guest) -> None:
        await is_let_in(guest)

    async def let_in_and_refuse(guest: Guest) -> None:
        await is_let_in(guest)
        await guest.say(answer(b"", status="413 Too Large"))

    assert what(await ask(relay, listen(let_in_and_die).port, careful=True)) == (Sent.UNKNOWN, BROKEN)
    assert what(await ask(relay, listen(let_in_and_refuse).port, careful=True)) == (Sent.UNKNOWN, REFUSED)


async def test_a_kept_connection_that_closes_as_a_careful_call_comes_has_not_got_it(
    relay: Relay, listen: Listen
) -> None:
    """As when the other gateway stops in good order."""

    async def one_and_no_more(guest: Guest) -> None:
        await is_let_in(guest)
        await guest.say(answer(b"{}", TOLD))
        await guest.read()

    peer = listen(one_and_no_more)
    assert isinstance(await ask(relay, peer.port, careful=True), Arrived)
    assert what(await ask(relay, peer.port, careful=True)) == (Sent.NO, BROKEN)
    assert len(peer.guests) == 1


@pytest.mark.parametrize("careful", [False, True])
async def test_whoever_is_tired_of_waiting_knows_what_was_sent(relay: Relay, listen: Listen, *, careful: bool) -> None:
    """A frozen gateway takes a connection and says nothing; its kernel does so for it."""
    ended = asyncio.Event()

    async def frozen(guest: Guest) -> None:
        while await guest.read():
            pass
        ended.set()

    peer, sending = listen(frozen), Sending(careful=careful)
    task = asyncio.create_task(relay.send(f"http://127.0.0.1:{peer.port}/", {}, BODY, sending))
    await until(lambda: bool(peer.guests) and bool(peer.guests[0].got))
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    assert sending.sent is not careful
    async with asyncio.timeout(20):
        await ended.wait()
    assert (BODY in peer.guests[0].got) is not careful


@pytest.mark.parametrize(
    ("status", "careful", "known"),
    [
        ("401 Unauthorized", False, (Sent.NO, REFUSED)),
        ("401 Unauthorized", True, (Sent.NO, REFUSED)),
        ("404 Not Found", False, (Sent.NO, REFUSED)),
        ("502 Bad Gateway", False, (Sent.UNKNOWN, BROKEN)),
        ("502 Bad Gateway", True, (Sent.NO, BROKEN)),
        ("408 Request Timeout", False, (Sent.UNKNOWN, BROKEN)),
        ("200 OK", False, (Sent.UNKNOWN, BROKEN)),
        ("302 Found", False, (Sent.UNKNOWN, BROKEN)),
    ],
)
async def test_an_answer_that_is_nobodys_word_is_none(
    relay: Relay, listen: Listen, status: str, known: tuple[Sent, str], *, careful: bool
) -> None:
    """Refused before it was run, or perhaps run behind a proxy; a redirection is followed nowhere."""

    async def serve(guest: Guest) -> None:
        while b"\r\n\r\n" not in guest.got:
            await guest.read()
        await guest.say(answer(b"no", "Location: /elsewhere", status=status))
        await guest.read()

    peer = listen(serve)
    assert what(await ask(relay, peer.port, careful=careful)) == known
    assert len(peer.guests) == 1
    assert b"elsewhere" not in peer.guests[0].got


@pytest.mark.parametrize("size", [4096, 4097])
async def test_an_answer_has_a_largest_size(relay: Relay, listen: Listen, size: int) -> None:
    """Beyond it not even a part is kept."""

    async def serve(guest: Guest) -> None:
        await guest.request()
        await guest.say(answer(b"x" * size, TOLD))

    ended = await ask(relay, listen(serve).port)
    if size == 4096:
        assert isinstance(ended, Arrived)
        assert len(ended.body) == size
    else:
        assert what(ended) == (Sent.UNKNOWN, OVERSIZED)


async def test_an_answer_without_a_length_is_not_waited_for(relay: Relay, listen: Listen) -> None:
    """Every gateway tells one; a careful call waits for nobody else."""

    async def serve(guest: Guest) -> None:
        await is_let_in(guest)
        await guest.say(f"HTTP/1.1 200 OK\r\n{TOLD}\r\n\r\n".encode())
        await guest.read()

    assert what(await ask(relay, listen(serve).port, careful=True)) == (Sent.UNKNOWN, OVERSIZED)


async def test_a_header_cannot_become_two(relay: Relay, full: FullBacklog) -> None:
    """Whatever comes to stand in one; nothing is sent."""
    for value in ("b\r\nX-C: d", "b\n", "b\r"):
        with pytest.raises(ValueError, match="line end"):
            await relay.send(f"http://127.0.0.1:{full.port}/", {"X-A": value}, BODY, Sending(careful=False))


async def test_each_answer_brings_its_own_word(relay: Relay, listen: Listen) -> None:
    """Over one connection, with heads of one length; that of the call before is no word for this one."""

    async def serve(guest: Guest) -> None:
        for told in ("200 - a", "200 - b", ""):
            await guest.request()
            await guest.say(answer(b"{}", f"{ANSWER}: {told}" if told else "X-Else: 200 - c"))

    peer = listen(serve)
    for told in ("200 - a", "200 - b"):
        ended = await ask(relay, peer.port)
        assert isinstance(ended, Arrived)
        assert ended.told == told
    assert what(await ask(relay, peer.port)) == (Sent.UNKNOWN, BROKEN)
    assert len(peer.guests) == 1


async def test_the_environment_leads_nowhere(relay: Relay, listen: Listen, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy in it is for other programs."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")

    async def serve(guest: Guest) -> None:
        await guest.request()
        await guest.say(answer(b"{}", TOLD))

    assert isinstance(await ask(relay, listen(serve).port), Arrived)


async def test_addresses_are_parsed_once_and_do_not_pile_up(relay: Relay) -> None:
    """There are as many as gateways and wallets."""
    first = relay._target("http://a/")
    assert relay._target("http://a/") is first
    for place in range(MOST_ADDRESSES * 2):
        relay._target(f"http://a/{place}")
    assert len(relay._targets) <= MOST_ADDRESSES


async def test_all_wallets_of_a_gateway_have_the_same_connections(relay: Relay, listen: Listen) -> None:
    """One that greets the holder of a hundred wallets does not take a hundred of its places."""

    async def serve(guest: Guest) -> None:
        for _ in range(3):
            await guest.request()
            await guest.say(answer(b"{}", TOLD))

    peer = listen(serve)
    for wallet in ("main", "cold", "eur"):
        url = f"http://127.0.0.1:{peer.port}/wallets/{wallet}"
        assert isinstance(await relay.send(url, {}, BODY, Sending(careful=False)), Arrived)
    assert len(peer.guests) == 1


async def test_the_certificates_of_the_system_are_read_once(relay: Relay) -> None:
    """And what is forgotten is the same when it is made anew, so that its connections are found again."""
    first = relay._target("https://a/wallets/main")
    others = [relay._target(f"https://a/wallets/{place}") for place in range(MOST_ADDRESSES + 1)]
    again = relay._target("https://a/wallets/main")
    assert again is not first
    assert {one.way for one in (first, again, *others)} == {first.way}
    assert {one.tls for one in (again, *others)} == {first.tls}
    assert first.tls is not None


async def test_https_is_checked(relays: MakeRelay, certificates: Certificates) -> None:
    """By the certificates that were named; another host's is nobody's, and has not got the call."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(BODY)
        writer.write(answer(b"{}", TOLD))
        writer.close()

    relay = relays(context=trusting(certificates.ca))
    for name, is_good in (("good", True), ("elsewhere", False)):
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=certificates.server(name))
        port = server.sockets[0].getsockname()[1]
        ended = await relay.send(f"https://127.0.0.1:{port}/", {}, BODY, Sending(careful=False))
        server.close()
        assert isinstance(ended, Arrived) if is_good else what(ended) == (Sent.NO, BROKEN)


def test_without_a_file_the_systems_certificates_count() -> None:
    """And a file that is not there is told."""
    assert trusting(None) is None
    with pytest.raises(OSError, match="No such file"):
        trusting("/nowhere.pem")
