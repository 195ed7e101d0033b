"""The operators' API: what it shows, to whom, and what it refuses."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from gateway.base.config import Admin
from gateway.edge.admin_listener import Listener
from gateway.edge.descriptors import Descriptors
from gateway.observe.past import Answer
from tests.edge.admin_world import AT, STATUS, TOKEN, FakeSwitches, World

# -- looking ------------------------------------------------------------------------------------------------------


async def test_everybody_may_look(world: World) -> None:
    """Without a token, as at /readyz."""
    status, found, headers = await world.ask("GET", "/api/v1/status", token=None)
    assert status == 200
    assert found == {**STATUS, "warnings": world.api.access.warnings}
    assert world.api.snapshot() == found
    assert headers["Cache-Control"] == "no-store"
    assert (await world.ask("HEAD", "/api/v1/status", token=None))[0] == 200


async def test_a_wrong_path_or_verb_is_told_with_the_right_one(world: World) -> None:
    """404 and 405, as problems."""
    for path in (
        "/api", "/api/", "/api/v1/", "/api/v2/status", "/api/v1/status/", "/api/v1/wallets/main/backends/ec-1",
        "/api/v1/incidents", "/api/v1/sandbox/ec-1", "/api/v1/<script>alert(1)</script>",
    ):  # fmt: skip
        status, found, _ = await world.ask("GET", path)
        assert status == 404
        assert "/api/v1/wallets/WALLET/backends/BACKEND/ORDER" in found["detail"]
    for verb, path, allowed in (
        ("POST", "/api/v1/status", "GET, HEAD"),
        ("OPTIONS", "/api/v1/status", "GET, HEAD"),
        ("GET", "/api/v1/wallets/main/backends/ec-1/restart", "POST"),
        ("OPTIONS", "/api/v1/wallets/main/backends/ec-1/restart", "POST"),
    ):
        status, _, headers = await world.ask(verb, path)
        assert (status, headers["Allow"]) == (405, allowed)
    assert world.orders.heard == []


async def test_what_fails_inside_is_answered_and_not_shown(world: World) -> None:
    """500 as a problem; the reason is in the log."""
    world.breaks = True
    status, found, _ = await world.ask("GET", "/api/v1/status")
    assert status == 500
    assert "hunter2" not in found["detail"]


@pytest.mark.parametrize(
    "path",
    [
        "/%61pi/v1/status", "/api/v1/%73tatus", "/api/v1/status%2f", "/api/v1//status", "/api/v1/./status",
        "/api/v1/x/../status", "/api/v1/status;x", "//api/v1/status", "/api\\v1\\status", "/api/v1/status%00",
        "/api/v1/wallets/main%2Fbackends%2Fec-1%2Frestart", "/api/v1/wallets/../wallets/main/handover",
        "/api/v1/wallets/main/outcomes/call%0A1/resolve", "/api/v1/wallets/main/backends/ec-1/restart%3F",
    ],
)  # fmt: skip
async def test_a_path_is_what_is_written(world: World, path: str) -> None:
    """Whoever stands in between and lets some paths through alone reads the same one as we do."""
    for verb in ("GET", "POST"):
        lines = [f"{verb} {path} HTTP/1.1", "Host: localhost", "Connection: close"]
        answer = await world.raw(
            "\r\n".join([*lines, f"Authorization: Bearer {TOKEN}", "Content-Length: 0", "", ""]).encode()
        )
        assert answer.split(b" ")[1] in (b"400", b"404")
    assert world.orders.heard == []
    assert {one.name for one in world.events} <= {"admin.refused"}


@pytest.mark.parametrize("what", ["status?x=1", "status?wallet=main", "outcomes?wallet=main&wallet=main", "stream?a="])
async def test_a_parameter_that_is_not_known_is_a_mistake(world: World, what: str) -> None:
    """It would be ignored in silence, and somebody would trust the answer."""
    status, found, _ = await world.ask("GET", f"/api/v1/{what}")
    assert status == 400
    assert "parameter" in found["detail"]
    assert (await world.order("main/backends/ec-1/hold?force=1"))[0] == 400
    assert world.orders.heard == []


async def test_what_somebody_sends_is_in_no_header_of_the_answer(world: World) -> None:
    """Line ends in a path or a name end nothing, and script is quoted as JSON quotes it."""
    answer = await world.raw(
        b"GET /api/v1/x%0d%0aSet-Cookie:%20a=b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    assert answer.split(b" ")[1] == b"404"
    assert b"a=b" not in answer
    status, found, _ = await world.ask("GET", "/api/v1/outcomes?wallet=%3Cscript%3E%0d%0a")
    assert status == 404
    assert "script" not in found["detail"]


async def test_the_charts_of_a_wallet_are_its_last_seconds(world: World) -> None:
    """As many as are asked for and there are."""
    for second in range(3):
        world.rates.call_ended("main", "ok", 0.01)
        world.rates.turn(AT + 1.0 + second, [("main", ["ec-1"])])
    status, found, _ = await world.ask("GET", "/api/v1/samples?wallet=main&seconds=2")
    assert status == 200
    assert found == {
        "wallet": "main", "step": 1, "until": int(AT) + 3, "calls": [1, 1], "errors": [0, 0], "p50_ms": [10.0, 10.0],
        "p95_ms": [10.0, 10.0],
    }  # fmt: skip
    assert (await world.ask("GET", "/api/v1/samples?wallet=main"))[1]["calls"] == [1, 1, 1]
    for asked, code in (
        ("", 400), ("?wallet=", 404), ("?wallet=mian", 404), ("?wallet=main&seconds=0", 400),
        ("?wallet=main&seconds=601", 400), ("?wallet=main&seconds=1e1", 400), ("?wallet=main&seconds=-1", 400),
        ("?wallet=main&seconds=%D9%A1", 400), ("?wallet=main&seconds=" + "9" * 5000, 400),
    ):  # fmt: skip
        assert (await world.ask("GET", f"/api/v1/samples{asked}"))[0] == code, asked
    world.elsewhere = {"main": "gw-2 has it"}
    assert (await world.ask("GET", "/api/v1/samples?wallet=main"))[0] == 409


async def test_what_happened_is_asked_of_the_history(world: World) -> None:
    """Where there is one; the pages get the same."""

    class Past:
        async def answer(self, _request: web.BaseRequest, name: str) -> web.Response:
            return web.json_response({"asked": name})

        async def incidents(self, limit: int) -> Answer:
            return Answer([{"limit": limit}], complete=True)

        audit = incidents

        def moments(self, wallet: str, _shown: Mapping[str, object]) -> dict[str, object]:
            return {"promoted": None, "called": wallet}

    assert (await world.api.incidents()).rows == (await world.api.audit()).rows == []
    world.api.history = Past()
    for name in ("incidents", "availability", "restarts", "audit"):
        assert (await world.ask("GET", f"/api/v1/{name}"))[1] == {"asked": name}
        assert (await world.ask("POST", f"/api/v1/{name}"))[0] == 405
    assert "promoted" not in STATUS["wallets"]["main"]  # type: ignore[index]  # a dictionary
    assert world.api.snapshot()["wallets"] == {"main": {"backends": [], "promoted": None, "called": "main"}}
    assert (await world.api.incidents(7)).rows == (await world.api.audit(7)).rows == [{"limit": 7}]


async def test_switches_are_there_in_the_sandbox_alone(world: World) -> None:
    """Each turn of one is an order like any other."""
    path = "/api/v1/sandbox/ec-1/freeze"
    assert (await world.ask("POST", path, b'{"on": true}'))[0] == 404
    assert "switches" not in world.api.snapshot()
    switches = world.api.switches = FakeSwitches()
    status, found, _ = await world.ask("POST", path, b'{"on": true}')
    assert (status, found) == (200, {"backend": "ec-1", "switch": "freeze", "on": True, "answer": "ec-1 freeze"})
    assert switches.on == {"freeze": True}
    assert world.api.snapshot()["switches"] == switches.names()
    assert world.told("order.given")[-1] | {"peer": ""} == {
        "verb": "switch freeze", "who": "token", "by": "token", "peer": "", "reason": "", "on": True,
        "order": "door-1",
    }  # fmt: skip
    for path, body, code in (
        ("ec-1/freeze", b"", 400), ("ec-1/freeze", b'{"on": 1}', 400), ("ec-1/freeze", b'{"on": true, "x": 1}', 400),
        ("ec-1/explode", b'{"on": true}', 404), ("ec-9/freeze", b'{"on": true}', 404),
        ("ec-1/kill", b'{"on": true}', 409),
    ):  # fmt: skip
        assert (await world.ask("POST", f"/api/v1/sandbox/{path}", body))[0] == code
    assert (await world.ask("POST", "/api/v1/sandbox/ec-1/freeze", b'{"on": false}', token=None))[0] == 401
    assert switches.on == {"freeze": True}


# -- listening ----------------------------------------------------------------------------------------------------


async def test_whoever_may_look_may_listen(world: World) -> None:
    """An answer that does not end, with the headers of any other; it ends when the gateway stops."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{world.door.port}/api/v1/stream") as response,
    ):
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Cache-Control"] == "no-store"
        first = [(await response.content.readline()).decode().strip() for _ in range(5)]
        assert first[:4] == ["retry: 1000", "", "id: 1", "event: status"]
        assert json.loads(first[4].removeprefix("data: ")) == world.api.snapshot()
        assert len(world.api.stream.listeners) == 1
        await world.door.stop()
        assert b"status" not in await response.content.read()
    assert world.api.stream.listeners == set()


async def test_who_hangs_up_is_forgotten(world: World) -> None:
    """And makes room for somebody else."""
    async with aiohttp.ClientSession() as session:
        response = await session.get(f"http://127.0.0.1:{world.door.port}/api/v1/stream")
        assert len(world.api.stream.listeners) == 1
        response.close()
    async with asyncio.timeout(5):
        while world.api.stream.listeners:  # noqa: ASYNC110 - what ends it is aiohttp's
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Sec_Fetch_Site": "cross-site"}, {"Host": "evil.example"}]
)
async def test_a_page_of_another_site_hears_nothing(world: World, headers: dict[str, Any]) -> None:
    """A browser lets any page open an event stream anywhere."""
    assert (await world.ask("GET", "/api/v1/stream", None, **headers))[0] in (403, 421)
    assert (await world.ask("POST", "/api/v1/stream"))[0] == 405
    assert (await world.ask("HEAD", "/api/v1/stream"))[0] == 405
    assert world.api.stream.listeners == set()


async def test_a_thousand_listeners_are_bounded_and_keep_nobody_out() -> None:
    """So many listen; the others are told to come back later, and whoever asks for readiness is answered."""
    world = World(descriptors=Descriptors(1024), listeners=Descriptors(1024).listeners)
    await world.open()
    assert (world.listeners, world.descriptors.operators) == (40, 64)
    sent = b"GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n"
    taken: list[asyncio.StreamWriter] = []
    refused = 0

    async def listen() -> None:
        nonlocal refused
        reader, writer = await asyncio.open_connection("127.0.0.1", world.door.port)
        writer.write(sent)
        try:
            answer = await reader.readline()
            if answer.startswith(b"HTTP/1.1 200"):
                taken.append(writer)
                return
            assert answer in (b"", b"HTTP/1.1 503 Service Unavailable\r\n")
            if answer:
                rest = await reader.read()
                assert b"Retry-After: 5" in rest
                refused += 1
        except ConnectionError:
            pass
        writer.close()

    for _ in range(10):
        await asyncio.gather(*(listen() for _ in range(100)))
    assert len(taken) == len(world.api.stream.listeners) == 40
    assert refused > 0
    assert (await world.ask("GET", "/api/v1/status"))[0] == 200
    for writer in taken:
        writer.close()
    await world.door.stop()


async def test_there_is_no_room_for_listeners_that_are_not_counted_yet(world: World) -> None:
    """Between the look and the head nobody else gets in."""
    world.api.stream.most = 0
    status, found, headers = await world.ask("GET", "/api/v1/stream")
    assert (status, headers["Retry-After"]) == (503, "5")
    assert "status" in found["detail"]
    assert not any(isinstance(one, Listener) for one in world.api.stream.listeners)


# -- who may ------------------------------------------------------------------------------------------------------


async def test_an_order_needs_the_token(world: World) -> None:
    """And is told how to show it; a missing one is no guess."""
    for token in (None, ""):
        status, found, headers = await world.ask("POST", "/api/v1/wallets/main/backends/ec-1/hold", token=token)
        assert status == 401
        assert "Authorization: Bearer TOKEN" in found["detail"]
        assert headers["WWW-Authenticate"] == 'Bearer realm="ec-gateway"'
    status, said = await world.order(token=None, Authorization=f"Basic {TOKEN}")
    assert status == 401
    status, said = await world.order(token=None, Cookie=f"token={TOKEN}")
    assert status == 401
    assert world.orders.heard == []
    assert world.slept == []
    assert world.told("order.refused") == []
    status, said = await world.order(token=None, Authorization=f"bearer  {TOKEN}")
    assert (status, said) == (200, "restart ec-2 ")


async def test_a_wrong_token_is_told_and_answered_ever_later(world: World) -> None:
    """And the right one at once, whatever others try."""
    for _ in range(8):
        status, said = await world.order(token="guessed")
        assert status == 401
        assert "see admin.token" in said
    assert world.slept[:3] == [0.0, 0.0, 0.0]
    assert world.slept[3:] == pytest.approx([0.5, 1.0, 2.0, 4.0, 5.0], rel=0.1)
    told = world.told("order.refused")
    assert len(told) == 8
    assert told[0]["why"] == "wrong token"
    assert str(told[0]["peer"]).startswith("127.0.0.1:")
    assert "guessed" not in repr(world.events)
    assert world.orders.heard == []
    assert (await world.order())[0] == 200
    assert len(world.slept) == 8


async def test_without_a_token_no_orders_are_taken() -> None:
    """Not even with an empty one; and it says what to set."""
    world = World()
    await world.open(Admin(port=0))
    for token in (None, "", "anything"):
        status, said = await world.order(token=token)
        assert status == 403
        assert "admin.token_file" in said
    assert world.orders.heard == []
    assert (await world.ask("GET", "/api/v1/status"))[0] == 200
    await world.door.stop()


# -- where from ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example:7780"},
    ],
)
async def test_a_page_of_another_site_orders_nothing_and_sees_nothing(world: World, headers: dict[str, Any]) -> None:
    """Not with the token either, which it cannot have."""
    status, _ = await world.order(**headers)
    assert status in (403, 421)
    assert (await world.ask("GET", "/api/v1/status", None, **headers))[0] == status
    assert world.orders.heard == []


async def test_a_page_of_this_door_and_a_tool_may(world: World) -> None:
    """A browser says of itself where its page is from."""
    own = f"127.0.0.1:{world.door.port}"
    assert (await world.order(Origin=f"http://{own}", Sec_Fetch_Site="same-origin"))[0] == 200
    assert (await world.order(Host="ec-gateway:7780"))[0] == 200
    assert (await world.order(Host="localhost"))[0] == 200
