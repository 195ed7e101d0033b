"""The operators' API: who may order what, and what becomes of it."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from gateway.base.config import Admin
from gateway.base.errors import OrderError
from gateway.base.events import Event
from gateway.edge import admin_api as module
from gateway.edge.admin import AdminDoor
from gateway.edge.admin_access import Access, Brake, is_own_host, is_own_origin
from gateway.edge.admin_api import AdminApi
from gateway.edge.rpc import DoorCounters
from gateway.observe.metrics import Metrics

TOKEN = "secret-of-the-operators-32-letters"
STATUS: dict[str, object] = {"version": "1", "draining": False, "wallets": {"main": {"backends": []}}}


def head(*lines: str) -> bytes:
    """Return the head of an order."""
    first = ("POST /api/v1/wallets/main/backends/ec-1/restart HTTP/1.1", "Host: localhost")
    return "\r\n".join([*first, f"Authorization: Bearer {TOKEN}", *lines, "", ""]).encode()


async def done(*said: str) -> str:
    """Answer at once."""
    return " ".join(said)


@dataclass
class FakeOrders:
    """Remembers what was ordered, and does what a test tells it."""

    heard: list[tuple[str, ...]] = field(default_factory=list)
    act: Callable[..., Awaitable[str]] = done

    async def _take(self, *said: str) -> str:
        self.heard.append(said)
        return await self.act(*said)

    def drain(self, backend: str) -> Awaitable[str]:
        """Drain."""
        return self._take("drain", backend)

    def undrain(self, backend: str) -> str:
        """Undrain; a plain function is as good."""
        self.heard.append(("undrain", backend))
        return f"undrain {backend}"

    def restart(self, backend: str, reason: str) -> Awaitable[str]:
        """Restart."""
        return self._take("restart", backend, reason)

    def hold(self, backend: str) -> Awaitable[str]:
        """Hold."""
        return self._take("hold", backend)

    def release(self, backend: str) -> Awaitable[str]:
        """Release."""
        return self._take("release", backend)


@dataclass
class World:
    """A door on loopback, whom it orders, and what it told."""

    orders: FakeOrders = field(default_factory=FakeOrders)
    events: list[Event] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    draining: bool = False
    breaks: bool = False
    wallets: int = 2
    elsewhere: dict[str, str] = field(default_factory=dict)
    api: AdminApi = field(init=False)
    door: AdminDoor = field(init=False)

    async def open(self, token: str) -> None:
        """Open the door."""
        admin = Admin(port=0, token=SecretStr(token))
        loop = asyncio.get_running_loop()
        api = self.api = AdminApi(
            Access(admin, emit=self.events.append, now=loop.time, sleep=self._sleep),
            status=self._status,
            backends=lambda: {"main": ["ec-1", "ec-2"], "savings": ["cold"]},
            orders=lambda: dict.fromkeys(("main", "savings")[: self.wallets], self.orders),
            draining=lambda: self.draining,
            emit=self.events.append,
            elsewhere=lambda: self.elsewhere,
        )
        metrics = Metrics(version="1", door=DoorCounters(), dropped_lines=lambda: 0)
        self.door = AdminDoor(
            admin, ready=dict, ailing=dict, draining=lambda: self.draining, registry=metrics.registry, api=api
        )
        await self.door.start()

    def _status(self) -> dict[str, object]:
        if self.breaks:
            raise RuntimeError("hunter2")
        return STATUS

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    async def ask(
        self, verb: str, path: str, body: bytes | None = None, *, token: str | None = TOKEN, **headers: str
    ) -> tuple[int, dict[str, Any], dict[str, str]]:
        """Send a request; return status, JSON and headers of the answer."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            sent.setdefault("Authorization", f"Bearer {token}")
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
        async with (
            aiohttp.ClientSession(skip_auto_headers=["Content-Type"]) as session,
            session.request(verb, f"http://127.0.0.1:{self.door.port}{path}", data=body, headers=sent) as response,
        ):
            text = await response.text()
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert not [name for name in response.headers if name.lower().startswith("access-control")]
            assert TOKEN not in text
            return response.status, json.loads(text) if text else {}, dict(response.headers)

    async def order(self, words: str = "main/backends/ec-2/restart", **how: Any) -> tuple[int, str]:
        """Give an order; return the status, and what was said, which is a problem as RFC 9457 has it or an answer."""
        status, found, headers = await self.ask("POST", f"/api/v1/wallets/{words}", **how)
        if status == 200:
            return status, found["answer"]
        assert headers["Content-Type"] == "application/problem+json"
        assert found["status"] == status
        assert found["title"]
        return status, found["detail"]

    def told(self, name: str) -> list[dict[str, object]]:
        """What was told under a name."""
        assert TOKEN not in repr(self.events)
        return [event.fields for event in self.events if event.name == name]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A door that takes orders."""
    one = World()
    await one.open(TOKEN)
    yield one
    await one.door.stop()


# -- looking ------------------------------------------------------------------------------------------------------


async def test_everybody_may_look(world: World) -> None:
    """Without a token, as at /readyz."""
    status, found, headers = await world.ask("GET", "/api/v1/status", token=None)
    assert (status, found) == (200, STATUS)
    assert headers["Cache-Control"] == "no-store"
    assert (await world.ask("HEAD", "/api/v1/status", token=None))[0] == 200


async def test_a_wrong_path_or_verb_is_told_with_the_right_one(world: World) -> None:
    """404 and 405, as problems."""
    for path in ("/api/", "/api/v1/", "/api/v2/status", "/api/v1/status/", "/api/v1/wallets/main/backends/ec-1"):
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


# -- several gateways ---------------------------------------------------------------------------------------------


async def test_a_wallet_is_handed_over_by_order(world: World) -> None:
    """Also one that has no backends here; what came of it is told and answered."""
    asked: list[str] = []

    async def hand_over(wallet: str) -> str:
        asked.append(wallet)
        if wallet == "savings":
            raise OrderError("this gateway does not hold savings; gw-2 does")
        return "main was given up"

    world.api.hand_over = hand_over
    assert await world.order("main/handover", body=b'{"reason": "upgrade"}') == (200, "main was given up")
    assert world.told("order.given")[0]["reason"] == "upgrade"
    assert await world.order("savings/handover") == (409, "this gateway does not hold savings; gw-2 does")
    assert (await world.order("nothing/handover"))[0] == 404
    assert (await world.order("main/handover", token=None))[0] == 401
    assert (await world.ask("GET", "/api/v1/wallets/main/handover"))[0] == 405
    assert asked == ["main", "savings"]
    assert [one["answer"] for one in world.told("order.done")] == ["main was given up"]
    assert len(world.told("order.failed")) == 1


async def test_a_gateway_that_is_alone_hands_nothing_over(world: World) -> None:
    """And says what would be needed."""
    status, said = await world.order("main/handover")
    assert status == 409
    assert "`cluster:`" in said


async def test_an_order_for_a_wallet_that_is_held_elsewhere_says_where(world: World) -> None:
    """Nothing is done here."""
    world.elsewhere = {"main": "this gateway does not hold main; gw-2 (http://gw-2:7777) does"}
    status, said = await world.order()
    assert (status, said) == (409, world.elsewhere["main"])
    assert world.orders.heard == []
    assert (await world.order("savings/backends/cold/drain"))[0] == 200


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
    await world.open("")
    for token in (None, "", "anything"):
        status, said = await world.order(token=token)
        assert status == 403
        assert "admin.token_file" in said
    assert world.orders.heard == []
    assert (await world.ask("GET", "/api/v1/status"))[0] == 200
    await world.door.stop()


@given(st.lists(st.floats(0, 600), max_size=60))
def test_the_brake_never_waits_long_and_forgets(gaps: list[float]) -> None:
    """At most five seconds however many there were, and after half an hour the first ones are free again."""
    brake, now = Brake(), 100.0
    for gap in gaps:
        now += gap
        assert 0.0 <= brake.failed(now) <= Brake.LONGEST
    assert brake.failed(now + 1800.0) == 0.0


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


@pytest.mark.parametrize(
    ("host", "is_own"),
    [
        ("127.0.0.1:7780", True), ("127.0.0.1", True), ("[::1]:7780", True), ("10.2.3.4:80", True),
        ("localhost:7780", True), ("gateway", True), ("GATEWAY:7780", True), ("gw.shop.internal", True),
        ("ops.example.net:7780", True), ("Machine.example.net", True),
        ("evil.example", False), ("127.0.0.1.evil.example", False), ("localhost.evil.example", False),
        ("evil.example:7780", False), ("", False), (":7780", False), ("[::1", False),
        ("user@localhost", False), ("localhost/x", False), ("localhost?x", False), ("evil.example#localhost", False),
    ],
)  # fmt: skip
def test_only_names_that_nobody_else_can_own_are_ours(host: str, *, is_own: bool) -> None:
    """Else a page could let its own name point at this door."""
    assert is_own_host(host, "ops.example.net", "machine.example.net") is is_own


def test_an_origin_is_ours_if_it_is_this_very_door() -> None:
    """With the same port, over either scheme."""
    assert is_own_origin("http://localhost:7780", "LocalHost:7780")
    assert is_own_origin("https://ops:7780", "ops:7780")
    assert not is_own_origin("http://localhost:7781", "localhost:7780")
    assert not is_own_origin("http://localhost:7780.evil.example", "localhost:7780")


# -- orders -------------------------------------------------------------------------------------------------------


async def test_each_order_reaches_its_daemon_and_leaves_a_trace(world: World) -> None:
    """Who, what, why, and what came of it."""
    for verb in ("drain", "undrain", "hold", "release"):
        assert await world.order(f"savings/backends/cold/{verb}") == (200, f"{verb} cold")
    assert await world.order(body=b'{"reason": "new disk"}') == (200, "restart ec-2 new disk")
    assert world.orders.heard == [
        ("drain", "cold"), ("undrain", "cold"), ("hold", "cold"), ("release", "cold"), ("restart", "ec-2", "new disk"),
    ]  # fmt: skip
    given, ended = world.events[-2:]
    assert (given.name, given.wallet, given.backend) == ("order.given", "main", "ec-2")
    assert (given.fields["verb"], given.fields["reason"]) == ("restart", "new disk")
    assert str(given.fields["peer"]).startswith("127.0.0.1:")
    assert (ended.name, ended.fields["answer"]) == ("order.done", "restart ec-2 new disk")
    assert len(world.told("order.given")) == len(world.told("order.done")) == 5


@pytest.mark.parametrize(
    ("words", "known"),
    [
        ("mian/backends/ec-1/restart", ["main", "savings"]),
        ("main/backends/ec-9/restart", ["ec-1", "ec-2"]),
        ("savings/backends/ec-1/restart", ["cold"]),
        ("main/backends/ec-1/reboot", ["drain", "undrain", "restart", "hold", "release"]),
    ],
)
async def test_what_is_not_there_is_told_with_what_is(world: World, words: str, known: list[str]) -> None:
    """In words and as a list; and nothing of it to who has no token."""
    status, found, _ = await world.ask("POST", f"/api/v1/wallets/{words}")
    assert (status, found["known"]) == (404, known)
    assert ", ".join(known) in found["detail"]
    assert world.told("order.given") == []
    status, found, _ = await world.ask("POST", f"/api/v1/wallets/{words}", token=None)
    assert (status, "known" in found) == (401, False)


@pytest.mark.parametrize("body", [b"", b"  ", b"{}", b'{"reason": ""}', b'{"reason": " "}'])
async def test_a_reason_is_optional(world: World, body: bytes) -> None:
    """Nothing is as good as an empty one."""
    assert await world.order(body=body) == (200, "restart ec-2 ")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"x", 400), (b"[]", 400), (b"null", 400), (b'"x"', 400), (b'{"reason": 1}', 400), (b'{"reasons": "x"}', 400),
        (b'{"reason": "\xff"}', 400), (b'{"reason": "a\\nb"}', 400), (b'{"reason": "\\u001b[2J"}', 400),
        (b'{"reason": "%s"}' % (b"x" * 201), 400), (b'{"reason": "%s"}' % (b"x" * 5000), 413),
    ],
)  # fmt: skip
async def test_a_body_that_is_no_order_is_refused(world: World, body: bytes, code: int) -> None:
    """With what would be right, and nothing is done."""
    status, said = await world.order(body=body)
    assert status == code
    assert said
    assert world.orders.heard == []


async def test_a_body_that_has_no_end_in_sight_is_refused(world: World) -> None:
    """Neither by its length nor by the clock does it hold anything up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.door.port)
    writer.write(head("Transfer-Encoding: chunked") + b"400\r\n" + b" " * 1024 + b"\r\n")
    for _ in range(4):
        writer.write(b"400\r\n" + b" " * 1024 + b"\r\n")
    async with asyncio.timeout(5):
        assert (await reader.readline()).startswith(b"HTTP/1.1 413")
    writer.close()
    assert world.orders.heard == []


async def test_a_body_that_does_not_come_is_not_waited_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """408."""
    monkeypatch.setattr(module, "BODY_TIMEOUT", 0.1)
    reader, writer = await asyncio.open_connection("127.0.0.1", world.door.port)
    writer.write(head("Content-Length: 10") + b"{")
    async with asyncio.timeout(5):
        assert (await reader.readline()).startswith(b"HTTP/1.1 408")
    writer.close()
    assert world.orders.heard == []


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
async def test_what_a_form_could_send_is_refused(world: World, kind: str) -> None:
    """These three a page may send anywhere without asking."""
    status, said = await world.order(body=b'{"reason": "x"}', Content_Type=kind)
    assert status == 415
    assert "application/json" in said


async def test_an_order_that_is_refused_says_why(world: World) -> None:
    """409 with the way out; what fails otherwise is 500 and not shown.  Both are in the log."""

    async def refuse(*_: str) -> str:
        raise OrderError("ec-2 has no launcher; name one")

    async def fail(*_: str) -> str:
        raise RuntimeError("hunter2")

    world.orders.act = refuse
    assert await world.order() == (409, "ec-2 has no launcher; name one")
    world.orders.act = fail
    status, said = await world.order()
    assert status == 500
    assert "hunter2" not in said
    assert [fields["answer"] for fields in world.told("order.failed")] == ["ec-2 has no launcher; name one", "hunter2"]
    assert world.told("order.done") == []


async def test_an_order_goes_on_when_the_operator_hangs_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or when it takes longer than he is let wait."""
    began, go_on, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slowly(*_: str) -> str:
        began.set()
        await go_on.wait()
        ended.set()
        return "done at last"

    world.orders.act = slowly
    asking = asyncio.create_task(world.order())
    await began.wait()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await asyncio.sleep(0.05)
    go_on.set()
    async with asyncio.timeout(5):
        await ended.wait()
    assert [fields["answer"] for fields in world.told("order.done")] == ["done at last"]
    go_on.clear()
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    status, said = await world.order()
    assert status == 504
    assert "still at it" in said
    assert world.told("order.failed") == []


async def test_a_gateway_on_its_way_out_takes_no_orders(world: World) -> None:
    """They would be lost; it can be looked at until the end."""
    world.draining = True
    status, _ = await world.order()
    assert status == 503
    assert (await world.ask("GET", "/api/v1/status"))[0] == 200
    assert world.orders.heard == []


async def test_a_wallet_that_a_reload_takes_away_is_not_ordered_about(world: World) -> None:
    """It was there when the request came, and is gone when its body has."""
    world.wallets = 1
    status, found, _ = await world.ask("POST", "/api/v1/wallets/savings/backends/cold/hold")
    assert (status, found["known"]) == (404, ["main"])
    assert world.orders.heard == []
