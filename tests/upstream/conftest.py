"""Raw servers on loopback that do exactly what a test tells them, and the wire that calls them."""

import array
import asyncio
import fcntl
import shutil
import socket
import ssl
import struct
import subprocess
import termios
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway.upstream.target import Target
from gateway.upstream.wire import Exchange, Outcome, Wire

LONG = 20.0
"""Seconds that no test is meant to reach."""


def answer(body: bytes = b"{}", *headers: str, status: str = "200 OK", version: str = "1.1") -> bytes:
    """One HTTP answer with its length."""
    lines = [f"HTTP/{version} {status}", f"Content-Length: {len(body)}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


class Guest:
    """One accepted connection, in the hands of a test."""

    def __init__(self, sock: socket.socket) -> None:
        """Take the connection; nothing is read from it before somebody asks."""
        self.sock = sock
        self.loop = asyncio.get_running_loop()
        self.got = b""
        self.pieces: list[bytes] = []

    async def read(self) -> bytes:
        """Read what one call of recv gives; b"" at the end."""
        data = await self.loop.sock_recv(self.sock, 1 << 20)
        self.got += data
        self.pieces.append(data)
        return data

    async def request(self) -> bytes:
        """Read one request to its last byte and return it."""
        while True:
            head, _, body = self.got.partition(b"\r\n\r\n")
            lengths = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
            if lengths and len(body) >= int(lengths[0].split(b":")[1]):
                found, self.got = self.got, b""
                return found
            if not await self.read():
                raise EOFError

    async def say(self, data: bytes) -> None:
        """Write bytes."""
        await self.loop.sock_sendall(self.sock, data)

    def unread(self) -> int:
        """How many bytes the kernel holds that nobody read."""
        count = array.array("i", [0])
        fcntl.ioctl(self.sock, termios.FIONREAD, count)
        return count[0]

    def reset(self) -> None:
        """End it with RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self) -> None:
        """End it with FIN."""
        self.sock.close()


Act = Callable[[Guest], Awaitable[None]]


async def serve_one(guest: Guest) -> None:
    """Be a well-behaved serial daemon: one request, one answer, the end."""
    await guest.request()
    await guest.say(answer())


@dataclass
class Peer:
    """A server; `act` is played with each guest, which is closed after it."""

    sock: socket.socket
    act: Act = serve_one
    guests: list[Guest] = field(default_factory=list)
    tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.sock.getsockname()[1])

    async def serve(self) -> None:
        """Take in guests for ever."""
        loop = asyncio.get_running_loop()
        while True:
            sock, _ = await loop.sock_accept(self.sock)
            sock.settimeout(0)
            guest = Guest(sock)
            self.guests.append(guest)
            task = loop.create_task(self._play(guest))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def _play(self, guest: Guest) -> None:
        with suppress(EOFError, OSError), closing(guest):
            await self.act(guest)

    def target(self, *, keep_alive: bool = False, host: str = "127.0.0.1", path: str = "") -> Target:
        """How the wire finds it."""
        return Target.make(f"http://{host}:{self.port}{path}", "user", "pass", keep_alive=keep_alive)


def listening(host: str = "127.0.0.1", backlog: int = 16) -> socket.socket:
    """A socket that listens on a free port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.settimeout(0)
    sock.bind((host, 0))
    sock.listen(backlog)
    return sock


Listen = Callable[..., Peer]


@pytest.fixture
async def listen() -> AsyncIterator[Listen]:
    """Make peers; all of them are gone after the test."""
    peers: list[tuple[Peer, asyncio.Task[None]]] = []

    def make(act: Act = serve_one, host: str = "127.0.0.1") -> Peer:
        peer = Peer(listening(host), act)
        peers.append((peer, asyncio.get_running_loop().create_task(peer.serve())))
        return peer

    yield make
    for peer, task in peers:
        await end(peer, task)


async def end(peer: Peer, task: "asyncio.Task[None]") -> None:
    """Stop a peer and everything that it plays."""
    # a connection that was accepted and not yet handed to the task would be nobody's to close
    asyncio.get_running_loop().remove_reader(peer.sock)
    await asyncio.sleep(0)
    every = [task, *peer.tasks]
    for one in every:
        one.cancel()
    await asyncio.gather(*every, return_exceptions=True)
    peer.sock.close()
    for guest in peer.guests:
        guest.close()


async def nobody_knows(host: str, port: int) -> list[str]:
    """A look-up that no test is meant to need."""
    raise AssertionError(f"{host}:{port} was looked up")


def make_wire(**changes: object) -> Wire:
    """A wire with patient time-outs and small caps."""
    settings: dict[str, object] = {
        "connect": LONG,
        "write": LONG,
        "max_head": 4096,
        "max_body": 64 * 1024,
        "resolve_ttl": 30.0,
        "lookup": nobody_knows,
    }
    return Wire(**(settings | changes))  # type: ignore[arg-type]  # tests pass what fits


MakeWire = Callable[..., Wire]


@pytest.fixture
async def wiring() -> AsyncIterator[MakeWire]:
    """Make wires; each is closed after the test, and nothing of it may be left."""
    wires: list[Wire] = []

    def make(**changes: object) -> Wire:
        wires.append(make_wire(**changes))
        return wires[-1]

    yield make
    for wire in wires:
        await wire.close()
        assert not wire.live
        assert not wire.idle
        assert wire._timer is None


@pytest.fixture
async def wire(wiring: MakeWire) -> Wire:
    """A wire with patient time-outs."""
    return wiring()


@dataclass
class Asked:
    """A call on the wire whose end is awaited."""

    exchange: Exchange
    ends: list[Outcome]
    future: "asyncio.Future[Outcome]"

    async def end(self) -> Outcome:
        """Wait for the end."""
        async with asyncio.timeout(LONG * 2):
            return await self.future


def send(
    wire: Wire, target: Target, body: bytes = b"{}", *, whole: float = LONG, reuse: bool = False
) -> Asked:  # fmt: skip
    """Send one call and see to it that its end is told once, and not from within `send`."""
    ends: list[Outcome] = []
    future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    is_sending = True

    def on_end(outcome: Outcome) -> None:
        assert not is_sending, "on_end was called from within send"
        ends.append(outcome)
        assert len(ends) == 1, "on_end was called twice"
        future.set_result(outcome)

    exchange = wire.send(target, body, whole=whole, reuse=reuse, on_end=on_end)
    is_sending = False
    return Asked(exchange, ends, future)


async def ask(
    wire: Wire, target: Target, body: bytes = b"{}", *, whole: float = LONG, reuse: bool = False
) -> Outcome:  # fmt: skip
    """Send one call and wait for its end."""
    return await send(wire, target, body, whole=whole, reuse=reuse).end()


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until something is so."""
    async with asyncio.timeout(LONG):
        while not condition():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0)


def open_files() -> set[int]:
    """The descriptors of this process."""
    return {int(path.name) for path in Path("/proc/self/fd").iterdir()}


@pytest.fixture
def full() -> "Iterator[FullBacklog]":
    """A port whose accept queue is full, so that no further connection is made."""
    backlog = FullBacklog()
    yield backlog
    for sock in (backlog.sock, *backlog.waiting):
        sock.close()


class FullBacklog:
    """Something that listens, takes nothing in, and whose kernel lets nobody else wait."""

    def __init__(self) -> None:
        """Fill the queue."""
        self.sock = listening(backlog=0)
        self.waiting: list[socket.socket] = []
        self.port = int(self.sock.getsockname()[1])
        while self._one_more():
            assert len(self.waiting) < 64, "this kernel keeps no bound on its accept queue"

    def _one_more(self) -> bool:
        sock = socket.socket()
        sock.settimeout(0.05)
        self.waiting.append(sock)
        try:
            sock.connect(("127.0.0.1", self.port))
        except TimeoutError:
            return False
        return True

    def target(self) -> Target:
        """How the wire finds it."""
        return Target.make(f"http://127.0.0.1:{self.port}", "", "", keep_alive=False)

    def bytes_received(self) -> int:
        """Close everybody who waited here, and count what anybody else has sent."""
        for sock in self.waiting:
            sock.close()
        received = 0
        while True:
            try:
                sock, _ = self.sock.accept()
            except BlockingIOError:
                break
            sock.settimeout(0)
            with suppress(BlockingIOError):
                received += len(sock.recv(1 << 20))
            sock.close()
        self.sock.close()
        return received


@dataclass(frozen=True)
class Certificates:
    """A certificate authority and a server certificate for localhost and 127.0.0.1."""

    folder: Path

    @property
    def ca(self) -> str:
        """The authority's certificate."""
        return str(self.folder / "ca.pem")

    def server(self, name: str) -> ssl.SSLContext:
        """What a server shows: `good`, or `elsewhere`, which is another host's."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        return context


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Certificates made by openssl for this run."""
    if shutil.which("openssl") is None:
        pytest.skip("TLS TO BACKENDS IS NOT TESTED: there is no openssl; install the package openssl")
    folder = tmp_path_factory.mktemp("certificates")

    def run(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    run("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=tests")
    for name, names in (("good", "DNS:localhost,IP:127.0.0.1"), ("elsewhere", "DNS:elsewhere.test")):
        (folder / f"{name}.ext").write_text(f"subjectAltName={names}\n")
        run("req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", f"{name}.ext")
        run("x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.pem", *signed)
    return Certificates(folder)
