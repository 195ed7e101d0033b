"""A way that can be taken from one address of loopback to another: what comes in there goes on to a port.

Rule: what it has taken, it carries until either side ends it or the relay is ended, and then both sides are.
"""

import asyncio
import contextlib

CHUNK = 65536


class Relay:
    """One address.

    Args:
        to: the port on 127.0.0.1 behind it.
    """

    def __init__(self, host: str, port: int, to: int) -> None:
        self.host, self.port, self.to = host, port, to
        self._server: asyncio.Server | None = None
        self._lines: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        """Listen; nothing happens when it does."""
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, self.host, self.port, reuse_address=True)

    async def stop(self) -> None:
        """Listen no more, and end what it carries."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for one in list(self._lines):
            one.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._lines.add(writer)
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self.to)
        except OSError:
            writer.transport.abort()
            self._lines.discard(writer)
            return
        self._lines.add(back)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_carry(reader, back))
                group.create_task(_carry(there, writer))
        finally:
            for one in (writer, back):
                one.transport.abort()
                self._lines.discard(one)


async def _carry(from_: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while some := await from_.read(CHUNK):
            to.write(some)
            await to.drain()
        if to.can_write_eof():
            to.write_eof()
            return
    to.transport.abort()
