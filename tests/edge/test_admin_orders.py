"""Orders at the operators' door: what becomes of them, and the lines that they leave."""

import asyncio

import pytest

from gateway.base.errors import OrderError
from gateway.base.people import Person, Role
from gateway.edge import admin_orders, admin_requests
from gateway.edge.admin_access import Refused
from tests.edge.admin_world import World, head

# -- orders -------------------------------------------------------------------------------------------------------


async def test_each_order_reaches_its_daemon_and_leaves_a_trace(world: World) -> None:
    """Who, what, why, and what came of it."""
    for verb in ("drain", "undrain", "hold", "release", "promote"):
        assert await world.order(f"savings/backends/cold/{verb}") == (200, f"{verb} cold")
    assert await world.order(body=b'{"reason": "new disk"}') == (200, "restart ec-2 new disk")
    assert world.orders.heard == [
        ("drain", "cold"), ("undrain", "cold"), ("hold", "cold"), ("release", "cold"), ("promote", "cold"),
        ("restart", "ec-2", "new disk"),
    ]  # fmt: skip
    given, ended = world.events[-2:]
    assert (given.name, given.wallet, given.backend) == ("order.given", "main", "ec-2")
    assert (given.fields["verb"], given.fields["reason"]) == ("restart", "new disk")
    assert str(given.fields["peer"]).startswith("127.0.0.1:")
    assert (ended.name, ended.fields["answer"]) == ("order.done", "restart ec-2 new disk")
    assert len(world.told("order.given")) == len(world.told("order.done")) == 6


async def test_an_order_is_answered_once_it_is_in_the_trail(world: World) -> None:
    """Also one that failed; by its number its answer is told from another one's."""
    seen: list[list[str]] = []

    async def recorded() -> None:
        seen.append([f"{one.name} {one.fields['order']}" for one in world.events])

    world.api.desk.recorded = recorded
    assert await world.order("main/backends/ec-1/hold") == (200, "hold ec-1")
    assert seen == [["order.given door-1", "order.done door-1"]]

    async def cannot(*_said: str) -> str:
        raise OrderError("its disk is gone; mend it first")

    world.orders.act = cannot
    assert (await world.order("main/backends/ec-1/hold"))[0] == 409
    assert seen[-1][2:] == ["order.given door-2", "order.failed door-2"]


async def test_the_same_order_again_is_taken_again(world: World) -> None:
    """Letter for letter, over other connections; also where a refusal left a body unread."""
    for _ in range(3):
        assert await world.order(body=b'{"reason": "new disk"}') == (200, "restart ec-2 new disk")
        assert (await world.order("mian/backends/ec-2/restart", body=b'{"reason": "new disk"}'))[0] == 404
    assert len(world.orders.heard) == 3


@pytest.mark.parametrize(
    ("words", "known"),
    [
        ("mian/backends/ec-1/restart", ["main", "savings"]),
        ("main/backends/ec-9/restart", ["ec-1", "ec-2"]),
        ("savings/backends/ec-1/restart", ["cold"]),
        ("main/backends/ec-1/reboot", ["drain", "undrain", "restart", "hold", "release", "promote"]),
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
    monkeypatch.setattr(admin_requests, "BODY_TIMEOUT", 0.1)
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
    monkeypatch.setattr(admin_orders, "PATIENCE", 0.05)
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


# -- several gateways ---------------------------------------------------------------------------------------------


async def test_a_wallet_is_handed_over_by_order(world: World) -> None:
    """Also one that has no backends here; what came of it is told and answered."""
    asked: list[str] = []

    async def hand_over(wallet: str) -> str:
        asked.append(wallet)
        if wallet == "savings":
            raise OrderError("this gateway does not hold savings; gw-2 does")
        return "main was given up"

    world.api.desk.hand_over = hand_over
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


# -- given by a page ----------------------------------------------------------------------------------------------


async def test_a_page_gives_orders_as_a_script_does(world: World) -> None:
    """With the same lines in the log, and the same refusals."""
    kim = Person("kim", Role.OPERATOR, "session")
    assert await world.api.give_order(kim, "main", "ec-1", "promote", "slow disk", "10.0.0.1:5") == "promote ec-1"
    given = world.told("order.given")[-1]
    assert given == {
        "verb": "promote", "who": "kim", "by": "session", "peer": "10.0.0.1:5", "reason": "slow disk",
        "order": "door-1",
    }  # fmt: skip
    for wallet, backend, verb, reason in (
        ("mian", "ec-1", "drain", ""), ("main", "ec-9", "drain", ""), ("main", "ec-1", "explode", ""),
        ("main", "", "drain", ""), ("main", "", "handover", ""), ("main", "ec-1", "handover", ""),
        ("main", "ec-1", "drain", "a\nb"), ("main", "ec-1", "drain", "x" * 201),
    ):  # fmt: skip
        with pytest.raises(Refused):
            await world.api.give_order(kim, wallet, backend, verb, reason)
    assert world.orders.heard == [("promote", "ec-1")]


async def test_who_may_only_look_orders_nothing(world: World) -> None:
    """Whatever page forgot to ask."""
    lee = Person("lee", Role.VIEWER, "session")
    with pytest.raises(Refused, match="may look"):
        await world.api.give_order(lee, "main", "ec-1", "drain", "")
    assert world.orders.heard == []
    assert world.told("order.given") == []
