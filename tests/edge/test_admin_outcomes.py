"""Outcomes that nobody knows, at the operators' door: what is shown, and what a person says about one."""

from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection, select, text

from gateway.base.cluster import Ledger as Settings
from gateway.base.errors import LedgerError, OrderError
from gateway.base.people import Person, Role
from gateway.edge.admin_access import Refused
from gateway.edge.admin_outcomes import FRESH
from gateway.ledger.opening import open_ledger
from gateway.ledger.schema import intents
from gateway.ledger.store import InlineLedger
from tests.edge.admin_world import AT, World
from tests.ledger.conftest import fill, ledger

__all__ = ["ledger"]

KIM = Person("kim", Role.OPERATOR, "session")
SAID = b'{"executed": false, "reason": "asked the customer"}'


@pytest.fixture
async def till(world: World, ledger: InlineLedger) -> AsyncIterator[World]:
    """A door with a ledger behind it in which a call, a broadcast and a key are open."""
    ledger.transact(fill)
    world.ledger = ledger
    yield world
    world.ledger = None


async def call_of(world: World) -> str:
    """Return the id of the open call."""
    return next(str(one["id"]) for one in await world.api.outcomes() if str(one["id"]).startswith("call-"))


async def test_what_is_open_is_shown_to_whoever_may_look(till: World) -> None:
    """All of it, or that of one wallet."""
    status, found, _ = await till.ask("GET", "/api/v1/outcomes", token=None)
    assert status == 200
    assert [one["id"].split("-")[0] for one in found["outcomes"]] == ["call", "broadcast", "key"]
    assert found["outcomes"] == await till.api.outcomes()
    assert (await till.ask("GET", "/api/v1/outcomes?wallet=savings"))[1] == {"outcomes": []}
    status, found, _ = await till.ask("GET", "/api/v1/outcomes?wallet=mian")
    assert (status, sorted(found["known"])) == (404, ["main", "savings"])


async def test_a_call_is_closed_by_order(till: World) -> None:
    """With who said it, and why, in the ledger and in the log; the alert about it may close."""
    call = await call_of(till)
    status, found, _ = await till.ask("POST", f"/api/v1/wallets/main/outcomes/{call}/resolve", SAID)
    assert (status, found["outcome"], found["order"]) == (200, call, "resolve")
    assert found["answer"].endswith("is closed as not executed")
    (given,), (ended,) = till.told("order.given"), till.told("order.done")
    assert (given["verb"], given["outcome"], given["executed"]) == ("resolve", call, False)
    assert (given["who"], given["by"], given["reason"]) == ("token", "token", "asked the customer")
    assert ended["answer"] == found["answer"]
    assert till.resolved == ["main"]
    assert till.told("outcome.all_resolved") == [{}]
    assert till.ledger is not None
    notes = till.ledger.transact(lambda c: list(c.scalars(select(intents.c.note))))
    assert notes == ["token says that it was not executed: asked the customer"]
    status, said = await till.order(f"main/outcomes/{call}/resolve", body=SAID)
    assert status == 409
    assert "nothing is left to say" in said


@pytest.mark.parametrize(
    ("words", "body", "code"),
    [
        ("main/outcomes/call-999/resolve", SAID, 404), ("main/outcomes/x/resolve", SAID, 404),
        ("mian/outcomes/call-1/resolve", SAID, 404), ("main/outcomes/call-1/resolve", b"", 400),
        ("main/outcomes/call-1/resolve", b'{"reason": "x"}', 400),
        ("main/outcomes/call-1/resolve", b'{"executed": 1}', 400),
        ("main/outcomes/call-1/resolve", b'{"executed": null}', 400),
        ("main/outcomes/call-1/resolve", b'{"executed": true, "reason": "a\\nb"}', 400),
        (f"main/outcomes/broadcast-{'p' * 64}/resolve", SAID, 409),
    ],
)  # fmt: skip
async def test_what_cannot_be_said_changes_nothing(till: World, words: str, body: bytes, code: int) -> None:
    """And says why."""
    assert (await till.order(words, body=body))[0] == code
    assert len(await till.api.outcomes()) == 3
    assert till.resolved == []
    assert (await till.order(words, body=body, token=None))[0] == 401


async def test_a_wallet_that_is_held_elsewhere_is_told_of_there(till: World) -> None:
    """Its outcomes are seen from here, for the ledger is one."""
    till.elsewhere = {"main": "gw-2 has it: give the order at that one's own door"}
    call = await call_of(till)
    assert await till.order(f"main/outcomes/{call}/resolve", body=SAID) == (409, till.elsewhere["main"])
    with pytest.raises(Refused, match="gw-2"):
        await till.api.resolve(KIM, "main", call, False, "")  # noqa: FBT003 - as the pages call it
    assert till.told("order.given") == []


async def test_a_ledger_that_cannot_be_read_is_said_to_be(till: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """503, without what it said: that may quote what is in there."""
    call = await call_of(till)

    async def fail(_work: object) -> None:
        raise LedgerError("hunter2")

    monkeypatch.setattr(till.ledger, "run", fail)
    till.later(FRESH)
    for verb, path, body in (
        ("GET", "/api/v1/outcomes", None), ("POST", f"/api/v1/wallets/main/outcomes/{call}/resolve", SAID),
    ):  # fmt: skip
        status, found, headers = await till.ask(verb, path, body)
        assert (status, headers["Retry-After"]) == (503, "2")
        assert "hunter2" not in found["detail"]
    assert till.resolved == []


async def test_a_ledger_that_is_not_open_is_no_ledger_without_outcomes(till: World) -> None:
    """Where the configuration has one nobody may be told that every call has a known end."""
    till.ledger, till.is_kept = None, True
    status, found, headers = await till.ask("GET", "/api/v1/outcomes")
    assert (status, headers["Retry-After"], "cannot be read" in found["detail"]) == (503, "2", True)


async def test_whoever_looks_takes_no_turn_of_those_who_pay(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list is read beside the ledger's thread, also while a transaction is under way there."""
    settings = Settings(path=str(tmp_path / "ledger.db"), may_be_lost=True)
    with closing(open_ledger(settings, AT).ledger) as ledger:
        ledger.transact(fill)
        world.ledger = ledger
        with ledger.engine.begin() as connection:
            connection.execute(text("INSERT INTO meta VALUES ('tea', 'is made')"))
            for turn in ("run", "transact", "look", "see"):
                monkeypatch.setattr(ledger, turn, None)
            assert len(await world.api.outcomes()) == 3
        monkeypatch.undo()
        assert ledger.damage == ""
        ledger.damage = "database disk image is malformed"
        world.later(FRESH)
        with pytest.raises(Refused, match="cannot be read"):
            await world.api.outcomes()


async def test_many_who_look_cost_one_look(till: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a moment, or until there is another outcome, or somebody has said something."""
    assert till.ledger is not None
    looks, see = [], till.ledger.see

    async def counted(work: Callable[[Connection], object]) -> object:
        looks.append(work)
        return await see(work)

    monkeypatch.setattr(till.ledger, "see", counted)
    for _ in range(5):
        await till.api.outcomes()
    assert len(looks) == 1
    till.mark = 1
    await till.api.outcomes()
    assert len(looks) == 2
    till.later(FRESH)
    call = await call_of(till)
    assert len(looks) == 3
    assert (await till.order(f"main/outcomes/{call}/resolve", body=SAID))[0] == 200
    assert call not in {one["id"] for one in await till.api.outcomes()}


async def test_without_a_ledger_there_is_nothing_to_resolve(world: World) -> None:
    """And nothing is listed."""
    assert (await world.ask("GET", "/api/v1/outcomes"))[1] == {"outcomes": []}
    assert (await world.order("main/outcomes/call-1/resolve", body=SAID))[0] == 409
    world.api.outcome_desk = None
    assert await world.api.outcomes() == []
    with pytest.raises(OrderError, match="without a ledger"):
        await world.api.resolve(KIM, "main", "call-1", False, "")  # noqa: FBT003 - as the pages call it


async def test_who_may_only_look_says_nothing(till: World) -> None:
    """Whatever page forgot to ask."""
    viewer = Person("lee", Role.VIEWER, "session")
    with pytest.raises(Refused, match="may look"):
        await till.api.resolve(viewer, "main", await call_of(till), True, "")  # noqa: FBT003 - as above
    assert len(await till.api.outcomes()) == 3
