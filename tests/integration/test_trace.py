"""A trace through a real gateway to a real daemon: what goes over the wire, and what the log says of it."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.sandbox.fleet import Fleet
from tests.integration.gateway_process import Gateway, backends, settings_for, wait_until

WHOLE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TOLD = {"traceparent": f"00-{WHOLE}-{PARENT}-01"}

TRACEPARENT = re.compile(rb"\r\ntraceparent: 00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})\r\n")


class Ear:
    """Stands in front of a daemon and keeps what its first recv of each connection gave."""

    def __init__(self, daemon: int) -> None:
        """Listen."""
        self.daemon = daemon
        self.pieces: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                guest, _ = self._listener.accept()
            except OSError:
                return
            with guest, socket.create_connection(("127.0.0.1", self.daemon)) as daemon:
                piece = guest.recv(1 << 16)
                self.pieces.append(piece)
                daemon.sendall(piece)
                while data := daemon.recv(1 << 16):
                    guest.sendall(data)

    def end(self) -> None:
        """Listen no more."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def of(self, method: str) -> list[bytes]:
        """The requests with a method."""
        return [one for one in self.pieces if f'"method": "{method}"'.encode() in one]


@contextmanager
def listening(daemon: int) -> Iterator[Ear]:
    """Stand there, and go."""
    ear = Ear(daemon)
    try:
        yield ear
    finally:
        ear.end()


@pytest.fixture(scope="module")
def one(folder: Path) -> Iterator[Fleet]:
    """A daemon."""
    with Fleet(1, folder / "one") as fleet:
        yield fleet


def test_a_trace_comes_in_is_logged_and_goes_on_in_the_one_write_of_the_wire(one: Fleet, tmp_path: Path) -> None:
    """The daemon answers as ever; the ids of log and wire are the same, and probes belong to no trace."""
    with listening(one.port(0)) as ear:
        backend = {**backends(one)[0], "url": f"http://127.0.0.1:{ear.port}"}
        with Gateway(tmp_path, settings_for([backend], log={"level": "debug"})) as gateway:
            gateway.wait_all_well()
            assert gateway.call("validateaddress", "x", headers=TOLD).result is False
            assert gateway.call("validateaddress", "y", headers={"traceparent": "00-nonsense"}).result is False
            wait_until(lambda: len(gateway.events("call", method="validateaddress")) == 2, "both calls are logged")
            told, replaced = gateway.events("call", method="validateaddress")
            first, second = gateway.events("attempt", method="validateaddress")
            sent = [TRACEPARENT.search(piece) for piece in ear.of("validateaddress")]
            probes = ear.of("getinfo")
            gateway.stop()
    assert (told["trace"], told["parent"], first["parent"]) == (WHOLE, PARENT, told["span"])
    assert (replaced["parent"], second["trace"], second["parent"]) == ("", replaced["trace"], replaced["span"])
    assert replaced["trace"] != WHOLE
    assert [found and found.groups() for found in sent] == [
        (WHOLE.encode(), first["span"].encode(), b"01"),
        (replaced["trace"].encode(), second["span"].encode(), b"00"),
    ]
    assert probes
    assert not any(TRACEPARENT.search(piece) for piece in probes)
    for piece in ear.pieces:
        # head and body came with one recv: nothing is written a second time
        head, _, body = piece.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        assert length is not None
        assert len(body) == int(length[1])
