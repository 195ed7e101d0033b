"""One call over HTTP, as a payment service makes it, written down when it has ended.

Rule: what is written down is what a client can know: the answer, or in which way there was none.
"""

import asyncio
import base64
import json
import time
import zlib
from typing import Any

from tests.checker.history import BROKEN, ERROR, LEFT, REFUSED, RESULT, Diary, Op
from tests.checker.site import Site

CONNECT = 3.0
"""Seconds in which the door has to let a client in."""


class NobodyHomeError(Exception):
    """No connection could be made, or nothing was written to it: the call was not executed."""


class Caller:
    """One client in one of its threads, so to speak.

    Args:
        client: its name in the configuration, which is its user name too.
        task: a name for what it does.
    """

    def __init__(self, world: Site, diary: Diary, client: str, task: str) -> None:
        """Begin with nothing under way."""
        self.world = world
        self.diary = diary
        self.client = client
        self.task = task
        self.door = zlib.crc32(task.encode()) % world.doors
        """The gateway that it asks; another one, when that one does not answer."""
        credentials = base64.b64encode(world.login(client).encode()).decode()
        self._head = f"POST / HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\nAuthorization: Basic {credentials}\r\n"

    async def call(
        self,
        method: str,
        *params: Any,
        key: str | None = None,
        wait: float | None = None,
        leave_after: float | None = None,
        note: str = "",
    ) -> Op:
        """Make a call and write down how it ended.

        Args:
            wait: seconds, when it shall be answered sooner than the client usually wants.
            leave_after: hang up after so many seconds.
        """
        begin = time.time()
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        usual = self.world.bounds.deadline
        deadline = min(usual, wait or usual)
        answer: dict[str, Any] = {}
        door = self.door
        try:
            patience = leave_after or deadline + self.world.silence
            found = await self.exchange(self.request(body, key=key, wait=wait), patience)
            if not isinstance(found, dict):
                raise ValueError(f"not an answer: {found!r:.100}")  # noqa: TRY004, TRY301 - it is what the wire brought
            answer = found
            how = RESULT if answer.get("error") is None else ERROR
        except NobodyHomeError as error:
            how, note = REFUSED, str(error)
        except TimeoutError:
            how = LEFT if leave_after is not None else BROKEN
            note = note or ("" if leave_after is not None else "silence")
        except (OSError, EOFError, ValueError) as error:
            how, note = BROKEN, repr(error)
        op = Op(
            self.client,
            self.task,
            method,
            list(params),
            begin,
            time.time(),
            how,
            answer.get("result"),
            answer.get("error") or {},
            key,
            deadline,
            note,
            door,
        )
        if how in {REFUSED, BROKEN}:
            self.door = (door + 1) % self.world.doors
        self.diary.write(op)
        return op

    def request(self, body: bytes, *, key: str | None = None, wait: float | None = None) -> bytes:
        """Return a request as it goes over the wire."""
        head = self._head + f"Content-Length: {len(body)}\r\n"
        if key is not None:
            head += f"Idempotency-Key: {key}\r\n"
        if wait is not None:
            head += f"X-Request-Timeout: {wait}\r\n"
        return head.encode() + b"\r\n" + body

    async def exchange(self, request: bytes, patience: float) -> Any:
        """Send a request over a connection of its own and return what its answer holds.

        Raises NobodyHomeError, TimeoutError, OSError, EOFError, ValueError.
        """
        host, port = self.world.door(self.door)
        try:
            if not port:
                raise NobodyHomeError("the gateway is away")
            async with asyncio.timeout(CONNECT):
                reader, writer = await asyncio.open_connection(host, port, limit=2**24)
        except (OSError, TimeoutError) as error:
            raise NobodyHomeError(repr(error)) from None
        try:
            writer.write(request)
            async with asyncio.timeout(patience):
                head = await reader.readuntil(b"\r\n\r\n")
                fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:] if b":" in line)
                return json.loads(await reader.readexactly(int(fields[b"content-length"])))
        finally:
            writer.transport.abort()
