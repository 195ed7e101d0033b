"""Writes of clients: durable with their value or not acknowledged, and never a coin unfrozen that is being spent."""

import asyncio
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pydantic import SecretStr
from sqlalchemy import Connection, insert, select

from gateway.base.config import Client
from gateway.base.errors import (
    DEADLINE_BEFORE_SEND,
    INVALID_PARAMS,
    METHOD_REFUSED,
    OUTCOME_UNKNOWN,
    READ_ONLY,
    RESULT_WITHHELD,
    Failure,
)
from gateway.base.jsonrpc import Answer
from gateway.fleet.pool import Pool
from gateway.flow.carry import Carried, carrier
from gateway.flow.marks import Writes
from gateway.ledger import epochs, marks
from gateway.ledger import intents as intents_of
from gateway.ledger.marks import Change
from gateway.ledger.schema import holds, intents, metadata
from gateway.ledger.store import InlineLedger, LedgerError, T, UncertainError
from gateway.profiles import load
from gateway.rules.invoices import MAX_MEMO
from gateway.rules.methods import Granted
from tests.simulation.world import World
from tests.virtual_time import run_virtual

PROFILE = load("electron-cash")
SHOP = Client(name="shop", username="shop", password=SecretStr("x"))
COIN = "a" * 64 + ":0"


class FailingLedger(InlineLedger):
    """A ledger whose disk fills up."""

    def __init__(self) -> None:
        """Begin with room."""
        super().__init__(None)
        metadata.create_all(self.engine)
        self.fails_after = 1_000_000
        self.loses_answers = False
        """What is committed is not heard of."""

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Fail once so many transactions were done."""
        self.fails_after -= 1
        if self.fails_after < 0:
            raise LedgerError("disk is full")
        result = await super().run(work)
        if self.loses_answers:
            raise UncertainError("whether it was committed is not known")
        return result


class Shop:
    """A ledger, a primary that answers as it is told to, and the room between them."""

    def __init__(self) -> None:
        """Begin in epoch 1."""
        self.ledger = FailingLedger()
        self.ledger.transact(lambda c: epochs.begin(c, "main", "ec-1", ["ec-1"], 1.0))
        self.pool = cast("Pool", SimpleNamespace(name="main", epoch=1))
        self.says: Callable[[], Answer | Failure] = lambda: Answer(b"null", None)
        self.sent: list[tuple[str, bytes]] = []
        self.states_when_sent: list[list[str]] = []
        self.marked: list[tuple[str, Change]] = []
        self.epoch = 1
        self.now = 10.0
        self.room = Writes(
            self.pool, self.ledger, self.carry, lambda: self.now, lambda *heard: self.marked.append(heard)
        )  # fmt: skip

    async def carry(self, _client: str, granted: Granted, _deadline: float) -> Carried:
        """Answer as the primary does, and note what was durable by then."""
        self.sent.append((granted.method.name, granted.params))
        self.states_when_sent.append(self.states())
        result = self.says()
        was_sent = isinstance(result, Answer) or result.kind is OUTCOME_UNKNOWN
        return Carried(result, self.epoch if was_sent else 0, "ec-1" if was_sent else "", "g7" if was_sent else "")

    def call(self, method: str, *params: object) -> Answer | Failure:
        """Make one call."""
        row = PROFILE.methods[method]
        granted = Granted(row, row.effect, row.bound, json.dumps(params).encode())
        return asyncio.run(self._handle(granted))

    async def _handle(self, granted: Granted) -> Answer | Failure:
        return await self.room.handle(SHOP, granted, 100.0, None)

    def states(self) -> list[str]:
        """The states of all intents."""
        return self.ledger.transact(lambda c: list(c.scalars(select(intents.c.state).order_by(intents.c.id))))

    def values(self) -> dict[tuple[str, str], str]:
        """The marks in the ledger."""
        found = self.ledger.transact(lambda c: marks.every(c, "main"))
        assert {one.owner for one in found} <= {"client"}
        return {(one.kind, one.key): one.value for one in found}


def failure(told: Answer | Failure) -> Failure:
    """The error that a client was told."""
    assert isinstance(told, Failure), told
    assert told.message.startswith(f"{told.kind.name}: ")
    return told


@pytest.mark.parametrize(
    ("call", "answer", "expected"),
    [
        (("setlabel", "some key", "rent"), b"null", {("label", "some key"): "rent"}),
        (("setlabel", "some key", None), b"null", {("label", "some key"): ""}),
        (("freeze", "bchreg:qabc"), b"true", {("freeze", "qabc"): "1"}),
        (("unfreeze", "qabc"), b"true", {("freeze", "qabc"): ""}),
        (("freeze_utxo", COIN), b"true", {("freeze_utxo", COIN): "1"}),
        (("unfreeze_utxo", COIN), b" true", {("freeze_utxo", COIN): ""}),
        (("freeze", "foreign"), b"false", {}),
        (("freeze", "qabc"), b'{"error": "no"}', {}),
    ],
)
def test_what_the_daemon_did_is_kept_as_the_last_value(
    call: tuple[str, object], answer: bytes, expected: dict[tuple[str, str], str]
) -> None:
    """And what it did not do leaves nothing; its answer goes to the client as it is."""
    shop = Shop()
    shop.says = lambda: Answer(answer, None)
    assert shop.call(*call) == Answer(answer, None)
    assert shop.values() == expected
    assert [(backend, (change.mark.kind, change.mark.key)) for backend, change in shop.marked] == [
        ("ec-1", key) for key in expected
    ]
    assert shop.states_when_sent == [["open"]]
    assert shop.states() == ["answered"]


def test_a_daemons_own_error_is_an_answer_and_leaves_no_mark() -> None:
    """It goes to the client verbatim."""
    shop = Shop()
    error = Answer(None, b'{"code": -32603, "message": "Server error"}')
    shop.says = lambda: error
    assert shop.call("setlabel", "k", "v") == error
    assert (shop.values(), shop.states(), shop.marked) == ({}, ["answered"], [])


SILENCE = Failure(OUTCOME_UNKNOWN, "outcome_unknown: silence", safe_to_repeat=True)


def test_what_was_not_sent_leaves_no_mark_and_a_closed_intent() -> None:
    """Not sent stays not sent."""
    shop = Shop()
    told = Failure(DEADLINE_BEFORE_SEND, "deadline_before_send: so it is", safe_to_repeat=True)
    shop.says = lambda: told
    assert shop.call("setlabel", "k", "v") is told
    assert (shop.values(), shop.states(), shop.marked) == ({}, ["not_executed"], [])


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (("setlabel", "k", "v"), {("label", "k"): "v"}),
        (("freeze", "qabc"), {("freeze", "qabc"): "1"}),
        (("unfreeze", "qabc"), {("freeze", "qabc"): ""}),
        (("freeze_utxo", COIN), {("freeze_utxo", COIN): "1"}),
    ],
)
def test_what_may_be_on_the_primary_alone_is_kept_for_all(
    call: tuple[str, str], expected: dict[tuple[str, str], str]
) -> None:  # fmt: skip
    """Nobody knows whether it ran; the reconciler makes it true on every daemon, that one too."""
    shop = Shop()
    shop.says = lambda: SILENCE
    assert shop.call(*call) is SILENCE
    assert (shop.values(), shop.states()) == (expected, ["unknown"])
    assert [backend for backend, _ in shop.marked] == [""], "no daemon is known to have it"
    shop.says = lambda: Answer(b"null" if call[0] == "setlabel" else b"true", None)
    shop.call(*call)
    assert shop.states() == ["resolved", "answered"], "the last value is known by now"
    assert shop.values() == expected


def test_an_answer_closes_what_was_unknown_of_its_own_mark_alone() -> None:
    """Whatever it says; a key in other letters is another key."""
    shop = Shop()
    shop.says = lambda: SILENCE
    for call in (("setlabel", "k", "v"), ("setlabel", "K", "v"), ("setlabel", "k2", "v"), ("freeze", "k")):
        shop.call(*call)
    shop.says = lambda: Answer(b"null", None)
    shop.call("setlabel", "k", "w")
    assert shop.states() == ["resolved", "unknown", "unknown", "unknown", "answered"]
    shop.says = lambda: Answer(b"false", None)
    shop.call("unfreeze", "k")
    assert shop.states()[3] == "resolved"


@pytest.mark.parametrize("late", [SILENCE, Answer(b"null", None)])
def test_a_later_call_that_was_answered_first_is_not_overtaken(late: Answer | Failure) -> None:
    """The earlier one may be run after it, so every daemon is given the later one again."""
    shop = Shop()
    kinds: list[tuple[str, Change]] = []

    def other_client() -> Answer | Failure:
        if isinstance(late, Answer):
            shop.ledger.transact(lambda c: epochs.promote(c, "main", "ec-2", 1, 5.0))
        change = shop.ledger.transact(lambda c: marks.put(c, "main", "label", "k", "later", "client", 11.0))
        assert change is not None
        kinds.append(("ec-2", change))
        return late

    shop.says = other_client
    shop.call("setlabel", "k", "earlier")
    assert shop.values() == {("label", "k"): "later"}
    assert shop.states() == ["withheld" if isinstance(late, Answer) else "resolved"]
    [(backend, change)] = shop.marked
    assert (backend, change.mark.value) == ("", "later")
    assert change.mark.at > kinds[0][1].mark.at, "given once more"


def test_a_coin_that_is_held_by_now_is_not_lifted_by_a_call_of_unknown_end() -> None:
    """The payment came between; the freeze that is the gateway's stays."""
    shop = Shop()

    def hold() -> Failure:
        row = insert(holds).values(wallet="main", outpoint=COIN, txid="f" * 64, since=1.0)
        shop.ledger.transact(lambda c: c.execute(row))
        return SILENCE

    shop.says = hold
    shop.call("unfreeze_utxo", COIN)
    assert (shop.values(), shop.states(), shop.marked) == ({}, ["unknown"], [])


def test_a_mark_outlives_the_gateway_that_was_sending_it() -> None:
    """Killed before the answer: the next start keeps it, unless somebody wanted otherwise since."""
    shop = Shop()
    shop.ledger.fails_after = 1
    shop.says = lambda: SILENCE
    assert shop.call("setlabel", "k", "v") is SILENCE
    shop.ledger.fails_after = 1
    shop.call("freeze", "qabc")
    shop.ledger.fails_after = 1_000_000
    assert (shop.values(), shop.states()) == ({}, ["open", "open"])
    shop.ledger.transact(lambda c: marks.put(c, "main", "freeze", "qabc", "", "client", 11.0))
    left = shop.ledger.transact(lambda c: intents_of.orphans(c, "main", 12.0))
    assert [method for _, _, method in left] == ["setlabel", "freeze"]
    assert shop.values() == {("label", "k"): "v", ("freeze", "qabc"): ""}
    assert shop.states() == ["unknown", "resolved"]
    shop.says = lambda: Answer(b"null", None)
    shop.call("setlabel", "k", "v")
    assert shop.states() == ["resolved", "resolved", "answered"]


def test_a_label_has_a_size() -> None:
    """Every daemon and the ledger keep it; what is too long is told with the cap and not sent."""
    shop = Shop()
    assert shop.call("setlabel", "k", "é" * MAX_MEMO) == Answer(b"null", None)
    told = failure(shop.call("setlabel", "k", "x" * (MAX_MEMO + 1)))
    assert told.kind is INVALID_PARAMS
    assert "at most 2,000 characters, this one has 2,001" in told.message
    assert len(shop.sent) == 1


def test_with_the_ledger_away_nothing_is_sent() -> None:
    """The client is told so, and may send it again."""
    shop = Shop()
    shop.ledger.fails_after = 0
    told = failure(shop.call("setlabel", "k", "v"))
    assert (told.kind, told.safe_to_repeat) == (READ_ONLY, True)
    assert "disk is full" in told.message
    assert shop.sent == []


def test_a_write_of_which_nobody_knows_whether_it_is_written_down_is_no_call_that_was_not_made() -> None:
    """Whoever starts next on this ledger brings it to every daemon; one that leaves no mark is lost for good."""
    shop = Shop()
    shop.ledger.loses_answers = True
    told = failure(shop.call("freeze_utxo", COIN))
    assert (told.kind, told.safe_to_repeat) == (OUTCOME_UNKNOWN, True)
    assert "may be brought about later" in told.message
    assert shop.sent == []
    told = failure(shop.call("version"))
    assert (told.kind, told.safe_to_repeat) == (READ_ONLY, True)
    assert shop.sent == []
    assert shop.values() == {}
    shop.ledger.transact(lambda c: intents_of.orphans(c, "main", 9.0))
    assert shop.values() == {("freeze_utxo", COIN): "1"}


def test_with_the_ledger_gone_after_the_daemons_answer_nothing_is_acknowledged() -> None:
    """It ran, it is not written down: withheld, and made twice it comes to the same."""
    shop = Shop()
    shop.ledger.fails_after = 1
    told = failure(shop.call("setlabel", "k", "v"))
    assert (told.kind, told.safe_to_repeat, told.backend, told.request) == (RESULT_WITHHELD, True, "ec-1", "g7")
    assert (shop.values(), shop.states(), shop.marked) == ({}, ["open"], [])


def test_with_the_ledger_gone_after_no_answer_the_first_error_is_told() -> None:
    """It says more than that the ledger has failed too."""
    shop = Shop()
    shop.ledger.fails_after = 1
    shop.says = lambda: SILENCE
    assert failure(shop.call("setlabel", "k", "v")).kind is OUTCOME_UNKNOWN


def test_an_answer_of_an_older_epoch_is_withheld_and_kept_for_all() -> None:
    """The daemon that ran it is not the primary any more, and is not left alone with it."""
    shop = Shop()
    shop.ledger.transact(lambda c: epochs.promote(c, "main", "ec-2", 1, 5.0))
    told = failure(shop.call("setlabel", "k", "v"))
    assert (told.kind, told.safe_to_repeat) == (RESULT_WITHHELD, True)
    assert (shop.values(), shop.states()) == ({("label", "k"): "v"}, ["withheld"])
    assert [backend for backend, _ in shop.marked] == [""]


@pytest.mark.parametrize("coin", [COIN, COIN.upper(), f"{COIN[:-1]}00"])
def test_a_coin_that_the_gateway_holds_is_not_unfrozen(coin: str) -> None:
    """However it is written; nothing is sent, and the owner may still freeze it himself."""
    shop = Shop()
    shop.ledger.transact(
        lambda c: c.execute(insert(holds).values(wallet="main", outpoint=COIN, txid="f" * 64, since=1.0))
    )
    told = failure(shop.call("unfreeze_utxo", coin))
    assert (told.kind, told.safe_to_repeat) == (METHOD_REFUSED, False)
    assert "payment" in told.message
    assert "f" * 64 not in told.message
    assert (shop.sent, shop.states()) == ([], [])
    shop.says = lambda: Answer(b"true", None)
    assert shop.call("freeze_utxo", COIN) == Answer(b"true", None)
    assert shop.call("unfreeze_utxo", "b" * 64 + ":0") == Answer(b"true", None)


@pytest.mark.parametrize(
    "call",
    [
        ("setlabel", 5, "x"),
        ("setlabel", "k", 5),
        ("setlabel", "k"),
        ("setlabel", "", "x"),
        ("setlabel", None, "x"),
        ("setlabel", "k" * 201, "x"),
        ("setlabel", "k\0", "x"),
        ("setlabel", "k", "x\0"),
        ("setlabel", "k", "x", "too many"),
        ("freeze", ["qabc"]),
        ("freeze",),
        ("unfreeze_utxo", {"a": 1}),
    ],
)
def test_arguments_that_no_daemon_takes_are_told_and_not_sent(call: tuple[str, Any]) -> None:
    """What cannot be kept for the standbys is not done on the primary either."""
    shop = Shop()
    assert failure(shop.call(*call)).kind is INVALID_PARAMS
    assert (shop.sent, shop.states()) == ([], [])


def test_arguments_by_name_are_understood_as_those_by_position() -> None:
    """And go to the daemon as they were written."""
    shop = Shop()
    row = PROFILE.methods["setlabel"]
    params = b'{"label": "rent", "key": "k"}'
    asyncio.run(shop._handle(Granted(row, row.effect, row.bound, params)))
    assert shop.values() == {("label", "k"): "rent"}
    assert shop.sent == [("setlabel", params)]


def test_a_write_without_a_role_is_written_down_and_leaves_no_mark() -> None:
    """Such as one that an operator's own profile allows."""
    shop = Shop()
    shop.says = lambda: Answer(b"true", None)
    assert shop.call("version", "whatever", 1) == Answer(b"true", None)
    assert (shop.values(), shop.states()) == ({}, ["answered"])


def test_in_a_whole_gateway_the_primary_runs_it_once_and_the_ledger_has_it() -> None:
    """Real runner, real carrier, in virtual time; the daemon's answer counts as success only where it is null."""

    async def live() -> None:
        world = World(2, 1)
        answer = world.daemons[0].wallet.answer
        world.daemons[0].wallet.answer = (  # type: ignore[method-assign]  # a daemon that knows setlabel
            lambda method, params: None if method == "setlabel" else answer(method, params)
        )
        world.start()
        await asyncio.sleep(2.0)
        ledger = FailingLedger()
        ledger.transact(lambda c: epochs.begin(c, "main", "ec-1", ["ec-1", "ec-2"], 1.0))
        world.plant.pool.epoch = 1
        heard: list[str] = []
        room = Writes(
            world.plant.pool, ledger, carrier(world.plant.runner), world.loop.time,
            lambda backend, _change: heard.append(backend),
        )  # fmt: skip
        row = PROFILE.methods["setlabel"]
        granted = Granted(row, row.effect, row.bound, b'["k", "v"]')
        told = await room.handle(SHOP, granted, world.loop.time() + 5.0, None)
        assert told == Answer(b"null", None)
        assert [one.value for one in ledger.transact(lambda c: marks.every(c, "main"))] == ["v"]
        assert [sum(m == "setlabel" for _, m, _ in one.journal) for one in world.daemons] == [1, 0]
        assert heard == ["ec-1"]
        world.daemons[0].freeze()
        told = await room.handle(SHOP, granted, world.loop.time() + 0.2, None)
        assert (failure(told).kind, failure(told).safe_to_repeat) == (OUTCOME_UNKNOWN, True)
        assert failure(told).next_step == "send the same call again"
        assert heard == ["ec-1", ""]
        world.daemons[0].thaw()
        await world.stop()

    run_virtual(live())
