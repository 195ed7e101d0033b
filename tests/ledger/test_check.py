"""Every way in which a ledger can contradict itself is found, and a sound one has no finding."""

import pytest
from sqlalchemy import Connection, delete, insert, text, update

from gateway.ledger.check import check
from gateway.ledger.schema import addresses, holds, intents, invoices, keys, publications, receipts, spending, wallets
from gateway.ledger.store import InlineLedger

from .conftest import AT, fill, key_of

ADDRESS = {"wallet": "main", "place": 5, "address": "qa5", "state": "pool", "at": AT}


@pytest.fixture
def shop(ledger: InlineLedger) -> InlineLedger:
    """A ledger with a small shop in it."""
    ledger.transact(fill)
    return ledger


def test_a_sound_ledger_has_no_finding(ledger: InlineLedger) -> None:
    """Neither an empty one nor that of a small shop."""
    assert ledger.transact(check) == []
    ledger.transact(fill)
    assert ledger.transact(check) == []


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        (update(wallets).values(epoch=0), "wallet main: its epoch is 0, and the first one is 1"),
        (update(wallets).values(primary_backend=""), "wallet main: no backend is named as primary"),
        (update(wallets).values(fingerprint="bchreg:qx"), "wallet main: its first address is not the one"),
        (update(wallets).values(state="new"), "wallet main: it has addresses and was never adopted"),
        (update(wallets).values(state="odd"), "wallets: 1 with the unknown state odd"),
        (delete(wallets), "addresses: 5 of a wallet main that is not known"),
        (update(addresses).where(addresses.c.place == 4).values(place=5), "5 addresses stand on the places 0 to 5"),
        (update(addresses).where(addresses.c.place == 0).values(place=9), "stand on the places 1 to 9"),
        (update(addresses).where(addresses.c.place == 2).values(address="bchtest:qa2"), "have the prefix of a network"),
        (update(addresses).where(addresses.c.place == 2).values(client=""), "were given out and nobody is named"),
        (update(addresses).where(addresses.c.place == 4).values(client="shop"), "wait in the pool and name a client"),
        (
            update(addresses).where(addresses.c.place == 4).values(epoch=4),
            "are of an epoch that has not begun",
        ),
        (update(addresses).where(addresses.c.place == 1).values(state="pool", client=""), "1 invoices have no address"),
        (
            update(addresses).where(addresses.c.place == 4).values(state="odd"),
            "1 with the unknown state odd",
        ),
        (delete(addresses).where(addresses.c.place == 1), "1 invoices have no address"),
        (update(invoices).values(place=2), "1 invoices have no address that was given out at their place"),
        (update(invoices).values(amount=-1), "1 invoices have an amount or a time below nothing"),
        (delete(invoices), "1 receipts have no invoice"),
        (update(receipts).values(wallet="none"), "1 receipts have no invoice"),
        (delete(keys), "2 coins are held by no live key and no broadcast"),
        (update(keys).values(state="abandoned", key=None, result=None), "2 coins are held by no live key"),
        (delete(publications), "1 coins are held by no live key and no broadcast"),
        (update(holds).values(wallet="none"), "holds: 3 of a wallet none that is not known"),
        (update(keys).values(result=None), "1 keys are signed and have no bytes"),
        (update(keys).values(txid=None), "1 keys are signed and have no txid"),
        (update(keys).values(state="tombstone"), "1 keys were given up and still have bytes or text"),
        (update(keys).values(epoch=4), "1 keys are of an epoch that has not begun"),
        (insert(keys).values(key_of("signed", "order-2")), "1 transactions belong to two live keys"),
        (update(publications).values(hex=""), "1 broadcasts of unknown fate have lost their bytes"),
        (
            insert(spending).values(wallet="main", client="shop", txid="t", day=1, satoshi=-1),
            "1 transactions spent less than nothing",
        ),
        (update(intents).values(closed_at=None), "1 intents have ended and do not say when"),
        (update(intents).values(epoch=4), "1 intents are of an epoch that has not begun"),
    ],
)
def test_each_contradiction_is_found(shop: InlineLedger, statement: object, finding: str) -> None:
    """And told in words; the same whatever else is wrong."""
    shop.transact(lambda connection: connection.execute(statement))  # type: ignore[call-overload]  # of any kind
    found = shop.transact(check)
    assert any(finding in one for one in found), found


def test_an_address_that_is_there_twice_is_found(shop: InlineLedger) -> None:
    """In one wallet, should its constraint ever be lost, and in two: one seed that was configured as two wallets."""

    def twice(connection: Connection) -> None:
        connection.execute(insert(wallets).values(name="b", state="new", epoch=1, primary_backend="x", since=1.0))
        connection.execute(insert(addresses).values(ADDRESS | {"wallet": "b", "place": 0, "address": "qa1"}))
        rows = connection.execute(text("SELECT * FROM addresses")).mappings().all()
        connection.execute(text("ALTER TABLE addresses RENAME TO before"))
        connection.execute(text("CREATE TABLE addresses AS SELECT * FROM before"))
        connection.execute(text("DROP TABLE before"))
        assert len(rows) == 6
        connection.execute(insert(addresses).values(ADDRESS | {"address": "qa3"}))

    shop.transact(twice)
    found = shop.transact(check)
    assert "wallet main: 1 addresses are there twice" in found
    assert "1 addresses belong to two wallets; one seed is one wallet" in found


def test_a_damaged_index_is_found(shop: InlineLedger) -> None:
    """SQLite looks at each row of each index; a quick look does not."""

    def damage(connection: Connection) -> None:
        connection.execute(text("PRAGMA writable_schema = ON"))
        swapped = "UPDATE sqlite_master SET sql = 'CREATE INDEX ix_intents_state ON intents (state, wallet)'"
        connection.execute(text(swapped + " WHERE name = 'ix_intents_state'"))

    shop.transact(damage)
    with shop.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA schema_version = 999")
    assert any("the file is damaged: " in one for one in shop.transact(check))


def test_findings_show_neither_addresses_nor_keys(shop: InlineLedger) -> None:
    """They are sent around to be understood."""

    def harm(connection: Connection) -> None:
        connection.execute(delete(wallets))
        connection.execute(update(addresses).values(client=""))
        connection.execute(delete(keys))
        connection.execute(update(invoices).values(amount=-1))

    shop.transact(harm)
    found = "\n".join(shop.transact(check))
    assert found
    assert not any(secret in found for secret in ("qa1", "order-1", "t" * 64))
