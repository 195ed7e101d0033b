"""What the tests of the ledger share: one in memory with all tables, and rows that agree with each other."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, insert

from gateway.ledger.migrations import bring_up
from gateway.ledger.schema import addresses, holds, intents, invoices, keys, publications, receipts, wallets
from gateway.ledger.store import InlineLedger

AT = 1_800_000_000.0
"""The time of these rows; seconds since 1970."""


@pytest.fixture
def ledger() -> Iterator[InlineLedger]:
    """An empty one with its tables."""
    made = InlineLedger(None)
    made.transact(bring_up)
    yield made
    made.close()


def fill(connection: Connection, at: float = AT) -> None:
    """Write down a small shop: five addresses, one invoice that was paid, one key with two coins, one broadcast."""
    connection.execute(
        insert(wallets).values(
            name="main", state="adopted", epoch=3, primary_backend="ec-1", fingerprint="bchreg:qa0", since=at
        )
    )
    states = ["foreign", "handed", "handed", "burnt", "pool"]
    connection.execute(
        insert(addresses),
        [
            {"wallet": "main", "place": n, "address": f"qa{n}", "state": state, "at": at, "epoch": 1,
             "client": "shop" if state == "handed" else "", "method": ""}
            for n, state in enumerate(states)
        ],
    )  # fmt: skip
    connection.execute(
        insert(invoices).values(
            wallet="main", address="qa1", id="i1", client="shop", amount=900_000, memo="m", time=int(at), exp=3600,
            status="Paid", place=1,
        )
    )  # fmt: skip
    connection.execute(insert(receipts).values(wallet="main", address="qa1", txid="r" * 64, value=900_000, height=5))
    connection.execute(insert(keys).values(key_of("signed", "order-1", at)))
    connection.execute(
        insert(holds),
        [
            {"wallet": "main", "outpoint": f"{'c' * 64}:{n}", "txid": "t" * 64, "client": "shop",
             "key_hash": hash_of("order-1"), "value": 50_000, "since": at}
            for n in range(2)
        ],
    )  # fmt: skip
    connection.execute(
        insert(publications).values(
            wallet="main", txid="p" * 64, hex="00ff", state="unknown", client="shop", spends_own=1, first_at=at,
            last_at=at, tries=2,
        )
    )  # fmt: skip
    connection.execute(insert(holds).values(wallet="main", outpoint=f"{'d' * 64}:0", txid="p" * 64, since=at))
    connection.execute(
        insert(intents).values(
            wallet="main", epoch=2, client="shop", method="payto", state="unknown", opened_at=at, closed_at=at,
            backend="ec-1", request="77", note="the gateway ended before it was answered",
        )
    )  # fmt: skip


def hash_of(key: str) -> str:
    """What stands for the hash of a key here."""
    return key.encode().hex().ljust(64, "0")


def key_of(state: str, key: str, at: float = AT, **more: object) -> dict[str, object]:
    """A row of `keys`."""
    row: dict[str, object] = {
        "wallet": "main", "client": "shop", "key_hash": hash_of(key), "key": key, "params_mac": "m" * 64,
        "method": "payto", "state": state, "epoch": 2, "result": '{"hex": "00"}', "txid": "t" * 64,
        "opened_at": at, "updated_at": at,
    }  # fmt: skip
    return row | more
