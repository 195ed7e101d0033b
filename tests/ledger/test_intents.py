"""Intents: what was begun is either closed or called unknown, and an answer of an older epoch is withheld."""

import functools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, delete, select

from gateway.ledger import epochs, intents
from gateway.ledger.intents import ANSWERED, NOT_EXECUTED, OPEN, UNKNOWN, WITHHELD
from gateway.ledger.schema import intents as rows
from gateway.ledger.schema import metadata, wallets
from gateway.ledger.store import InlineLedger

AT = 1_800_000_000.0


@functools.cache
def in_memory() -> InlineLedger:
    """A ledger in memory; its tables are made once for all examples."""
    made = InlineLedger(None)
    metadata.create_all(made.engine)
    return made


def fresh() -> InlineLedger:
    """The same with one wallet in epoch 1."""

    def work(connection: Connection) -> None:
        connection.execute(delete(rows))
        connection.execute(delete(wallets))
        epochs.begin(connection, "main", "ec-1", ["ec-1", "ec-2"], AT)

    in_memory().transact(work)
    return in_memory()


def open_one(ledger: InlineLedger, epoch: int = 1, wallet: str = "main", key_hash: str | None = None) -> int:
    """Write down that a payment is about to be made."""
    return ledger.transact(lambda c: intents.open_(c, wallet, epoch, "shop", "payto", AT, key_hash))


def close(ledger: InlineLedger, intent: int, state: str, epoch: int, **more: str) -> bool:
    """Write down how it ended."""
    return ledger.transact(lambda c: intents.close(c, intent, state, epoch, AT + 1, "ec-1", "g7", **more))


def row(ledger: InlineLedger, intent: int) -> dict[str, object]:
    """What is written of an intent."""
    found = ledger.transact(lambda c: c.execute(select(rows).where(rows.c.id == intent)).one())
    return dict(found._mapping)


def test_what_is_opened_is_there_before_anything_is_sent() -> None:
    """With all that is known then, and a number of its own."""
    ledger = fresh()
    one, other = open_one(ledger, key_hash="h" * 64), open_one(ledger)
    assert one != other
    assert row(ledger, one) == {
        "id": one, "wallet": "main", "epoch": 1, "client": "shop", "method": "payto", "state": OPEN, "opened_at": AT,
        "closed_at": None, "backend": "", "request": "", "key_hash": "h" * 64, "txid": None, "note": "",
    }  # fmt: skip


def test_an_answer_of_the_epoch_counts() -> None:
    """And the row says who gave it."""
    ledger = fresh()
    intent = open_one(ledger)
    assert close(ledger, intent, ANSWERED, 1, note="all well", txid="t" * 64)
    found = row(ledger, intent)
    assert (found["state"], found["backend"], found["request"], found["note"], found["txid"], found["closed_at"]) == (
        ANSWERED, "ec-1", "g7", "all well", "t" * 64, AT + 1,
    )  # fmt: skip


def test_an_answer_of_an_older_epoch_is_withheld() -> None:
    """The promotion came between; the row says so, and not that it was answered."""
    ledger = fresh()
    intent = open_one(ledger)
    ledger.transact(lambda c: epochs.promote(c, "main", "ec-2", 1, AT))
    assert not close(ledger, intent, ANSWERED, 1)
    assert row(ledger, intent)["state"] == WITHHELD


def test_a_call_that_was_opened_before_a_promotion_and_sent_after_it_counts() -> None:
    """What matters is when it was sent."""
    ledger = fresh()
    intent = open_one(ledger)
    ledger.transact(lambda c: epochs.promote(c, "main", "ec-2", 1, AT))
    assert close(ledger, intent, ANSWERED, 2)
    assert row(ledger, intent)["epoch"] == 2


@pytest.mark.parametrize("epoch", [0, 1, 2])
@pytest.mark.parametrize("state", [NOT_EXECUTED, UNKNOWN])
def test_an_end_without_an_answer_has_nothing_to_withhold(state: str, epoch: int) -> None:
    """Whatever epoch it is; one that was never sent keeps the epoch that it was opened in."""
    ledger = fresh()
    intent = open_one(ledger)
    assert close(ledger, intent, state, epoch)
    assert (row(ledger, intent)["state"], row(ledger, intent)["epoch"]) == (state, epoch or 1)


def test_an_answer_to_what_was_never_sent_counts_for_nothing() -> None:
    """Epoch 0 is no wallet's."""
    ledger = fresh()
    assert not close(ledger, open_one(ledger), ANSWERED, 0)


def test_an_answer_to_an_intent_that_nobody_wrote_down_is_withheld() -> None:
    """There is no wallet that it could belong to."""
    assert not close(fresh(), 4711, ANSWERED, 1)


def test_what_an_earlier_process_left_open_is_unknown() -> None:
    """Told once, with what a person needs to look for it; what was closed stays as it was."""
    ledger = fresh()
    left, done, other = open_one(ledger), open_one(ledger), open_one(ledger, wallet="other")
    close(ledger, done, ANSWERED, 1)
    assert ledger.transact(lambda c: intents.orphans(c, "main", AT + 5)) == [(left, "shop", "payto")]
    assert ledger.transact(lambda c: intents.orphans(c, "main", AT + 6)) == []
    assert (row(ledger, left)["state"], row(ledger, left)["closed_at"]) == (UNKNOWN, AT + 5)
    assert "ended before it was answered" in str(row(ledger, left)["note"])
    assert (row(ledger, done)["state"], row(ledger, other)["state"]) == (ANSWERED, OPEN)


steps = st.lists(st.sampled_from(["open", "send", "answer", "lose", "promote", "restart"]), max_size=30)


@settings(deadline=None)
@given(steps)
def test_no_answer_is_told_over_an_epoch(done: list[str]) -> None:
    """Whatever happens between sending and closing: what was told was sent in the epoch in which it was closed."""
    ledger = fresh()
    epoch, sent = 1, dict[int, int]()
    opened: list[int] = []
    for what in done:
        if what == "open":
            opened.append(open_one(ledger, epoch))
        elif what == "send" and opened:
            sent[opened[-1]] = epoch
        elif what in ("answer", "lose") and opened:
            intent = opened.pop()
            is_told = close(ledger, intent, ANSWERED if what == "answer" else UNKNOWN, sent.get(intent, 0))
            assert is_told == (what == "lose" or sent.get(intent) == epoch)
            assert row(ledger, intent)["state"] == (UNKNOWN if what == "lose" else ANSWERED if is_told else WITHHELD)
        elif what == "promote":
            epoch = ledger.transact(lambda c, epoch=epoch: epochs.promote(c, "main", "ec-2", epoch, AT)) or 0  # type: ignore[misc]
            assert epoch
        elif what == "restart":
            epoch = ledger.transact(lambda c: epochs.begin(c, "main", "ec-1", ["ec-1", "ec-2"], AT)).epoch
            assert len(ledger.transact(lambda c: intents.orphans(c, "main", AT))) == len(opened)
            opened.clear()
