"""How the shop calls the gateway, against a server that is played."""

import asyncio
import base64
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from pytest_aiohttp import AiohttpServer

from gateway.sandbox.shop import till
from gateway.sandbox.shop.books import Books
from gateway.sandbox.shop.till import CallError, Till

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def served(server: AiohttpServer, answer: Answer) -> tuple[str, Books]:
    """A gateway that answers so, and fresh books."""
    app = web.Application()
    app.router.add_post("/", answer)
    return str((await server(app)).make_url("/")), Books()


def clock() -> float:
    """The clock of the loop."""
    return asyncio.get_running_loop().time()


def saying(body: object, status: int = 200) -> Answer:
    """Answer every call with the same."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text=body if isinstance(body, str) else json.dumps(body), status=status)

    return answer


async def test_a_call_is_json_rpc_with_basic_auth_and_is_counted(aiohttp_server: AiohttpServer) -> None:
    """What a payment service sends: method, params, an id of its own; the result comes back as it is."""
    seen: list[tuple[str, dict[str, Any]]] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append((request.headers["Authorization"], await request.json()))
        return web.json_response({"jsonrpc": "2.0", "id": 1, "result": {"confirmed": "1"}})

    url, books = await served(aiohttp_server, answer)
    async with Till(url, "user", "sandbox", books, clock) as one:
        found = await one.ask("getbalance")
        await one.ask("getrequest", ["bchreg:q1"])
    assert found.value == {"confirmed": "1"}
    assert seen[0][0] == "Basic " + base64.b64encode(b"user:sandbox").decode()
    assert seen[0][1] == {"jsonrpc": "2.0", "id": 1, "method": "getbalance", "params": []}
    assert (seen[1][1]["id"], seen[1][1]["params"]) == (2, ["bchreg:q1"])
    assert (books.calls, books.failed) == (2, 0)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (saying({"error": {"code": -32004, "message": "no answer\ncame"}}), "no answer came"),
        (saying({"error": "odd"}), "odd"),
        (saying({"error": {"code": 5}}), "{'code': 5}"),
        (saying("busy", 503), "HTTP 503 Service Unavailable"),
        (saying("<html>"), "JSONDecodeError"),
        (saying([1, 2]), "what came is no answer of JSON-RPC"),
    ],
)
async def test_what_is_no_result_is_a_failed_call_with_its_reason(
    aiohttp_server: AiohttpServer, answer: Answer, said: str
) -> None:
    """Counted and told in one line, asked once: it may have been executed."""
    url, books = await served(aiohttp_server, answer)
    async with Till(url, "user", "sandbox", books, clock) as one:
        with pytest.raises(CallError, match=re.escape(said)):
            await one.ask("addrequest", ["0.1"])
    assert (books.calls, books.failed) == (1, 1)
    assert said in books.failures[0].error


async def test_a_500_is_not_asked_again_by_itself(aiohttp_server: AiohttpServer) -> None:
    """The library's default would repeat a POST that may have given out an address."""
    count = 0

    async def answer(_request: web.Request) -> web.Response:
        nonlocal count
        count += 1
        return web.Response(status=500)

    url, books = await served(aiohttp_server, answer)
    async with Till(url, "user", "sandbox", books, clock) as one:
        with pytest.raises(CallError):
            await one.ask("addrequest", ["0.1"])
    assert count == 1


async def test_a_gateway_that_is_just_being_started_again_is_tried_again(
    aiohttp_server: AiohttpServer, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody took the call, so it is safe to repeat: it counts as one call that went well."""
    monkeypatch.setattr(till, "ATTEMPTS", 50)
    monkeypatch.setattr(till, "PAUSE", 0.01)
    app = web.Application()
    app.router.add_post("/", saying({"result": True}))
    books = Books()
    async with Till(f"http://127.0.0.1:{unused_tcp_port}/", "user", "sandbox", books, clock) as one:
        asked = asyncio.create_task(one.ask("getbalance"))
        await asyncio.sleep(0)
        await aiohttp_server(app, port=unused_tcp_port)
        assert (await asked).value is True
    assert (books.calls, books.failed) == (1, 0)


async def test_nobody_there_is_a_failed_call(unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the attempts that are safe."""
    monkeypatch.setattr(till, "PAUSE", 0.001)
    books = Books()
    async with Till(f"http://127.0.0.1:{unused_tcp_port}/", "user", "sandbox", books, clock) as one:
        with pytest.raises(CallError, match="ClientConnectorError"):
            await one.ask("getbalance")
    assert books.failed == 1


async def test_no_answer_in_time_is_a_failed_call(
    aiohttp_server: AiohttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A customer does not wait for ever."""
    monkeypatch.setattr(till, "PATIENCE", 0.05)
    ended = asyncio.Event()

    async def answer(_request: web.Request) -> web.Response:
        await ended.wait()
        return web.Response()

    url, books = await served(aiohttp_server, answer)
    async with Till(url, "user", "sandbox", books, clock) as one:
        with pytest.raises(CallError, match="no answer within"):
            await one.ask("getbalance")
    ended.set()
    assert (books.calls, books.failed) == (1, 1)


async def test_a_till_that_is_not_open_says_how_to_open_it() -> None:
    """A mistake of ours, not of the gateway."""
    with pytest.raises(RuntimeError, match="async with"):
        await Till("http://127.0.0.1:1/", "user", "sandbox", Books(), clock).ask("getbalance")
