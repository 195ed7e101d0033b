"""How the shop calls the gateway: one JSON-RPC call over HTTP with Basic authentication, as any payment service does.

The rule: a call is asked again by itself only where nobody was there to take it, for all else may have been executed;
each call is counted with what it took, well or not.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiohttp_retry import ExponentialRetry, RetryClient

from gateway.sandbox.shop.books import Books, Call, cut

PATIENCE = 10.0
"""Seconds that a payment service commonly waits for an answer."""

ATTEMPTS = 3
PAUSE = 0.1
"""Seconds; a gateway that is started again is back within these attempts or later than a customer waits."""


class CallError(Exception):
    """The gateway gave no result; the text says what it said instead."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a call, and after how many seconds."""

    value: Any
    seconds: float


class Till:
    """Calls the gateway.

    Args:
        url: of the gateway.
        user, password: for it.
        books: where each call is counted.
        now: seconds of a clock that only goes forward.
    """

    def __init__(self, url: str, user: str, password: str, books: Books, now: Callable[[], float]) -> None:
        self._url = url
        self._headers = {"Authorization": aiohttp.encode_basic_auth(user, password)}
        self._books = books
        self._now = now
        self._ids = itertools.count(1)
        self._client: RetryClient | None = None

    async def __aenter__(self) -> Self:
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),  # waiting for a free connection would count as the gateway's time
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=PATIENCE, ceil_threshold=1e9),
        )
        # what the library retries by default (any 5xx, also of a POST) may have been executed
        refused = ExponentialRetry(
            attempts=ATTEMPTS,
            start_timeout=PAUSE / 2,
            exceptions={aiohttp.ClientConnectorError},
            statuses=set(),
            retry_all_server_errors=False,
        )
        self._client = RetryClient(client_session=session, retry_options=refused)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            await self._client.close()

    async def ask(self, method: str, params: Sequence[object] | dict[str, object] = ()) -> Result:
        """Call a method.

        Raises:
            CallError: there was no result; how often that is, the books say.
        """
        begun = self._now()
        error = "given up"
        try:
            value = await self._post({"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params})
            error = ""
            return Result(value, self._now() - begun)
        except TimeoutError:
            error = f"no answer within {PATIENCE:g} s"
            raise CallError(error) from None
        except (aiohttp.ClientError, OSError, ValueError) as failure:
            error = cut(f"{type(failure).__name__}: {failure}")
            raise CallError(error) from None
        except CallError as failure:
            error = cut(str(failure))
            raise CallError(error) from None
        finally:
            now = self._now()
            self._books.called(Call(method, now, now - begun, error))

    async def _post(self, body: dict[str, object]) -> Any:
        if self._client is None:
            raise RuntimeError("the till is not open: `async with till:`")
        async with self._client.post(self._url, json=body, headers=self._headers, allow_redirects=False) as response:
            if response.status != 200:
                raise CallError(f"HTTP {response.status} {response.reason}")
            answer = await response.json(content_type=None)
        if not isinstance(answer, dict):
            raise CallError("what came is no answer of JSON-RPC")
        if answer.get("error") is not None:
            error = answer["error"]
            raise CallError(str(error.get("message", error)) if isinstance(error, dict) else str(error))
        return answer.get("result")
