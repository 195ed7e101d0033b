"""Ways to a daemon: IPv4, IPv6, names with several addresses, TLS."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import pytest

from gateway.upstream.target import Target
from gateway.upstream.wire import Fate
from tests.upstream.conftest import LONG, Certificates, Guest, Listen, MakeWire, answer, ask, listening, send, until

# -- addresses and names --------------------------------------------------------------------------------------


def has_ipv6() -> bool:
    """Whether this machine has an IPv6 loopback."""
    try:
        listening("::1").close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="IPV6 IS NOT TESTED: this machine has no ::1; enable IPv6 on loopback")
async def test_a_daemon_on_ipv6_is_called_with_its_address_in_brackets(wiring: MakeWire, listen: Listen) -> None:
    """As HTTP wants it."""

    async def act(guest: Guest) -> None:
        request = await guest.request()
        assert f"Host: [::1]:{peer.port}\r\n".encode() in request
        await guest.say(answer())

    peer = listen(act, host="::1")
    outcome = await ask(wiring(), peer.target(host="[::1]"))
    assert outcome.fate is Fate.ANSWERED


async def test_a_name_is_looked_up_once_for_many_calls(wiring: MakeWire, listen: Listen) -> None:
    """And the name is what the daemon is called in the head."""
    asked: list[tuple[str, int]] = []

    async def lookup(host: str, port: int) -> list[str]:
        asked.append((host, port))
        return ["127.0.0.1"]

    wire, peer = wiring(lookup=lookup), listen()
    target = peer.target(host="wallet.test")
    calls = [send(wire, target) for _ in range(3)]
    assert [(await call.end()).fate for call in calls] == [Fate.ANSWERED] * 3
    await ask(wire, target)
    assert asked == [("wallet.test", peer.port)]
    assert f"Host: wallet.test:{peer.port}".encode() in peer.guests[0].pieces[0]


@pytest.mark.parametrize(
    "error",
    [
        socket.gaierror(socket.EAI_NONAME, "no such name"),
        OSError("no network"),
        UnicodeError("label too long"),
    ],
    ids=["no such name", "no network", "no name at all"],
)
async def test_a_name_that_nobody_knows_was_not_sent_to(wiring: MakeWire, listen: Listen, error: Exception) -> None:
    """Whatever the look-up raises."""

    async def lookup(_host: str, _port: int) -> list[str]:
        raise error

    outcome = await ask(wiring(lookup=lookup), listen().target(host="wallet.test"))
    assert (outcome.fate, outcome.reason) == (Fate.NOT_SENT, "resolve")


async def test_a_look_up_that_hangs_ends_at_the_connect_time_out(wiring: MakeWire, listen: Listen) -> None:
    """Two calls wait for one question; a third finds the answer that came meanwhile."""
    come = asyncio.Event()
    asked = 0

    async def lookup(_host: str, _port: int) -> list[str]:
        nonlocal asked
        asked += 1
        await come.wait()
        return ["127.0.0.1"]

    wire, peer = wiring(lookup=lookup, connect=0.05), listen()
    target = peer.target(host="wallet.test")
    for call in [send(wire, target), send(wire, target)]:
        outcome = await call.end()
        assert (outcome.fate, outcome.reason) == (Fate.NOT_SENT, "connect_timeout")
    assert peer.guests == []
    wire.connect = LONG
    come.set()
    assert (await ask(wire, target)).fate is Fate.ANSWERED
    assert asked == 1


async def test_after_a_failure_the_next_address_is_dialled(wiring: MakeWire, listen: Listen) -> None:
    """The first address refuses; the call that met it was not sent, the following one is answered."""
    asked = 0

    async def lookup(_host: str, _port: int) -> list[str]:
        nonlocal asked
        asked += 1
        return ["127.0.0.2", "127.0.0.1"]

    wire, peer = wiring(lookup=lookup), listen()
    target = peer.target(host="wallet.test")
    outcome = await ask(wire, target)
    assert (outcome.fate, outcome.reason) == (Fate.NOT_SENT, "refused")
    for _ in range(3):
        assert (await ask(wire, target)).fate is Fate.ANSWERED
    assert asked == 2


def on_one_port(one: str, other: str) -> tuple[socket.socket, socket.socket]:
    """Sockets at one port of two addresses; somebody else may have a port at one of them alone."""
    while True:
        first, second = socket.socket(), socket.socket()
        first.bind((one, 0))
        with suppress(OSError):
            second.bind((other, first.getsockname()[1]))
            return first, second
        first.close()
        second.close()


async def test_two_addresses_are_never_dialled_at_once(wiring: MakeWire, listen: Listen) -> None:
    """While the first one takes its time the second one hears nothing; a serial daemon may live behind both."""
    first, second = on_one_port("127.0.0.2", "127.0.0.1")
    port = first.getsockname()[1]
    first.listen(0)
    waiting: list[socket.socket] = []
    while True:
        sock = socket.socket()
        sock.settimeout(0.05)
        waiting.append(sock)
        try:
            sock.connect(("127.0.0.2", port))
        except TimeoutError:
            break
    second.listen()
    second.settimeout(0)

    async def lookup(_host: str, _port: int) -> list[str]:
        return ["127.0.0.2", "127.0.0.1"]

    del listen
    wire = wiring(lookup=lookup, connect=0.4)
    target = Target.make(f"http://wallet.test:{port}", "", "", keep_alive=False)
    outcome = await ask(wire, target)
    assert (outcome.fate, outcome.reason) == (Fate.NOT_SENT, "connect_timeout")
    with pytest.raises(BlockingIOError):
        second.accept()
    call = send(wire, target)
    await until(lambda: call.exchange.sent)
    call.exchange.abort()
    await call.end()
    second.accept()[0].close()
    for sock in (first, second, *waiting):
        sock.close()


# -- TLS ------------------------------------------------------------------------------------------------------

Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Serve = Callable[..., Awaitable[int]]


async def polite(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer requests until the caller leaves."""
    while True:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, OSError):
            break
        length = next(line for line in head.split(b"\r\n") if line.startswith(b"Content-Length"))
        body = await reader.readexactly(int(length.split(b":")[1]))
        writer.write(answer(body))
    writer.close()


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Start servers; returns their ports."""
    servers: list[asyncio.Server] = []
    tasks: set[asyncio.Task[None]] = set()

    async def start(context: ssl.SSLContext | None, handle: Handle = polite) -> int:
        async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            try:
                await handle(reader, writer)
            except (OSError, asyncio.CancelledError):
                pass
            finally:
                writer.transport.abort()

        servers.append(await asyncio.start_server(play, "127.0.0.1", 0, ssl=context))
        return int(servers[-1].sockets[0].getsockname()[1])

    yield start
    for server in servers:
        server.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for _ in range(3):
        await asyncio.sleep(0)


def secure(port: int, host: str = "127.0.0.1", **changes: object) -> Target:
    """A target with TLS."""
    return Target.make(f"https://{host}:{port}", "u", "p", **({"keep_alive": False} | changes))  # type: ignore[arg-type]  # tests pass what fits


async def test_a_backend_behind_tls_is_called_as_any(
    wiring: MakeWire, serve: Serve, certificates: Certificates
) -> None:
    """By address and by name, small and large bodies."""

    async def lookup(_host: str, _port: int) -> list[str]:
        return ["127.0.0.1"]

    wire = wiring(lookup=lookup, max_body=2_000_000)
    port = await serve(certificates.server("good"))
    for host in ("127.0.0.1", "localhost"):
        for body in (b"{}", b"x" * 1_000_000):
            outcome = await ask(wire, secure(port, host, ca_file=certificates.ca), body)
            assert (outcome.fate, outcome.body) == (Fate.ANSWERED, body)


async def test_reads_may_keep_a_connection_over_tls(wiring: MakeWire, serve: Serve, certificates: Certificates) -> None:
    """The handshake is paid once."""
    wire = wiring()
    port = await serve(certificates.server("good"))
    target = secure(port, ca_file=certificates.ca, keep_alive=True)
    assert [(await ask(wire, target, reuse=True)).reused for _ in range(3)] == [False, True, True]
    await wire.close()
    assert wire.idle == 0


async def test_certificates_that_prove_nothing_end_before_a_byte_of_the_call(
    wiring: MakeWire, serve: Serve, certificates: Certificates
) -> None:
    """Another host's certificate, and one that nobody we trust has signed."""
    wire = wiring()
    elsewhere, good = await serve(certificates.server("elsewhere")), await serve(certificates.server("good"))
    for target in (secure(elsewhere, ca_file=certificates.ca), secure(good)):
        outcome = await ask(wire, target)
        assert (outcome.fate, outcome.reason, outcome.sent_at) == (Fate.NOT_SENT, "tls", 0.0)


async def test_verification_can_be_given_up_by_the_operator(
    wiring: MakeWire, serve: Serve, certificates: Certificates
) -> None:
    """For a daemon with a certificate of its own, on a network that is trusted."""
    port = await serve(certificates.server("elsewhere"))
    assert (await ask(wiring(), secure(port, verify=False))).fate is Fate.ANSWERED


async def test_a_peer_that_speaks_no_tls_gets_no_byte_of_the_call(wiring: MakeWire, listen: Listen) -> None:
    """Neither credentials nor the body are in what it saw."""

    async def act(guest: Guest) -> None:
        seen.append(await guest.read())
        await guest.say(answer())

    seen: list[bytes] = []
    outcome = await ask(wiring(), secure(listen(act).port), b"the call")
    assert (outcome.fate, outcome.reason) == (Fate.NOT_SENT, "tls")
    assert b"the call" not in seen[0]
    assert b"POST" not in seen[0]


@pytest.mark.parametrize("how", ["end", "reset"])
async def test_a_handshake_that_breaks_off_was_not_sent(wiring: MakeWire, listen: Listen, how: str) -> None:
    """A balancer without a daemon behind it does so."""

    async def act(guest: Guest) -> None:
        await guest.read()
        if how == "reset":
            guest.reset()

    outcome = await ask(wiring(), secure(listen(act).port))
    assert (outcome.fate, outcome.reason) == (Fate.NOT_SENT, "tls" if how == "end" else "closed")


async def test_a_handshake_that_hangs_is_a_connect_timeout(wiring: MakeWire, listen: Listen) -> None:
    """And its connection is closed."""
    gone = asyncio.Event()

    async def act(guest: Guest) -> None:
        while await guest.read():
            pass
        gone.set()

    outcome = await ask(wiring(connect=0.05), secure(listen(act).port))
    assert (outcome.fate, outcome.reason) == (Fate.NOT_SENT, "connect_timeout")
    async with asyncio.timeout(LONG):
        await gone.wait()


async def test_an_end_after_the_handshake_is_unknown(
    wiring: MakeWire, serve: Serve, certificates: Certificates
) -> None:
    """The request was handed over."""

    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        writer.close()

    port = await serve(certificates.server("good"), act)
    outcome = await ask(wiring(), secure(port, ca_file=certificates.ca))
    assert (outcome.fate, outcome.reason) == (Fate.UNKNOWN, "empty")
