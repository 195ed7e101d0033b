"""A name server for a run, on an address of loopback of its own: says what it is told to say of each name, or nothing.

Rule: it knows the names of the run and no others, and asks nobody.  Its answers may not be kept (their time to live is
0), so that what is seen is what the gateway keeps, and not what lies between.
"""

import asyncio
import ipaddress
import os
import struct
import time
from dataclasses import dataclass, field
from typing import Any, cast

PORT = 53
"""The system's look-up knows no other."""

ADDRESS, ANY = 1, 255
"""Types of questions that are answered by IPv4 addresses."""

ANSWER, IS_ANSWER = 0xC00C, 0x8580
"""A pointer to the name of the question; the flags of an answer by somebody who knows."""

FAILS, GONE = 2, 3
"""SERVFAIL and NXDOMAIN."""


@dataclass
class Names:
    """What is said of each name.

    Args:
        addresses: of each name; a name that is not there is answered by NXDOMAIN.
        failing: names of which it is said that nobody can tell (SERVFAIL).
        silent: names of which nothing is said at all.
    """

    addresses: dict[str, list[str]] = field(default_factory=dict)
    failing: set[str] = field(default_factory=set)
    silent: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    asked_at: dict[str, float] = field(default_factory=dict)
    """When each was asked for last, seconds since 1970."""

    def answer(self, question: bytes) -> bytes | None:
        """Return the answer to a datagram, None where nothing is said."""
        number, _, questions = struct.unpack_from("!HHH", question)
        name, end = _name(question)
        kind, of = struct.unpack_from("!HH", question, end)
        self.asked.append(name)
        self.asked_at[name] = time.time()
        if questions != 1 or name in self.silent:
            return None
        code = FAILS if name in self.failing else 0 if name in self.addresses else GONE
        found = self.addresses.get(name, []) if code == 0 and kind in {ADDRESS, ANY} else []
        head = struct.pack("!HHHHHH", number, IS_ANSWER | code, 1, len(found), 0, 0)
        rows = [struct.pack("!HHHIH", ANSWER, ADDRESS, of, 0, 4) + ipaddress.IPv4Address(one).packed for one in found]
        return head + question[12 : end + 4] + b"".join(rows)


def _name(question: bytes) -> tuple[str, int]:
    labels, at = [], 12
    while length := question[at]:
        labels.append(question[at + 1 : at + 1 + length].decode("ascii").lower())
        at += 1 + length
    return ".".join(labels), at + 1


class _Line(asyncio.DatagramProtocol):
    def __init__(self, names: Names) -> None:
        self.names = names

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, sender: Any) -> None:
        """Answer, or do not."""
        try:
            answer = self.names.answer(data)
        except (struct.error, IndexError, UnicodeDecodeError):
            return
        if answer is not None:
            self.transport.sendto(answer, sender)


async def serve(names: Names, host: str = "", port: int = PORT) -> tuple[asyncio.DatagramTransport, str]:
    """Serve; return what closes it, and the address.

    Args:
        host: an address of loopback; "" for one that no other run has.
    """
    pid = os.getpid()
    host = host or f"127.53.{pid >> 8 & 0xFF}.{pid & 0xFF or 1}"
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Line(names), local_addr=(host, port)
    )
    return transport, host
