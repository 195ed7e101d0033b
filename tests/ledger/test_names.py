"""Names that are gone from the configuration while their keys are not: told, for a new name pays again."""

import pytest
from sqlalchemy import insert, update

from gateway.ledger import names
from gateway.ledger.retention import DAY, KEY_DAYS
from gateway.ledger.schema import keys
from gateway.ledger.store import InlineLedger

from .conftest import AT, fill, key_of


def told(ledger: InlineLedger, clients: list[str], wallets: list[str], at: float = AT) -> list[str]:
    """The warnings for such a configuration."""
    return [str(one) for one in ledger.transact(lambda c: names.strays(c, clients, wallets, at))]


@pytest.mark.parametrize(
    ("clients", "wallets", "what"),
    [
        (["till"], ["main"], "no client is called shop any more"),
        (["shop"], ["purse"], "no wallet is called main any more"),
        ([], [], "no client is called shop any more"),
    ],
)
def test_keys_of_a_name_that_is_gone_are_told_with_the_way_out(
    ledger: InlineLedger, clients: list[str], wallets: list[str], what: str
) -> None:
    """How many, whose, and that each pays again; never the key itself."""
    ledger.transact(fill)
    [warning] = told(ledger, clients, wallets)
    assert "1 keys of client shop in wallet main" in warning
    assert what in warning
    assert "pays again" in warning
    assert "old name back" in warning
    assert "order-1" not in warning


def test_what_is_configured_is_nothing_to_tell(ledger: InlineLedger) -> None:
    """Nor are names without keys."""
    assert told(ledger, [], []) == []
    ledger.transact(fill)
    assert told(ledger, ["shop", "till"], ["main", "new"]) == []


@pytest.mark.parametrize(
    ("state", "age", "is_told"),
    [
        ("tombstone", KEY_DAYS * DAY + 1, False),
        ("tombstone", KEY_DAYS * DAY - 1, True),
        ("signed", 10 * KEY_DAYS * DAY, True),
        ("confirmed", KEY_DAYS * DAY + 1, True),
    ],
)
def test_keys_that_ended_long_ago_are_not_told(
    ledger: InlineLedger, state: str, age: float, is_told: bool  # noqa: FBT001 - a parameter of the test
) -> None:  # fmt: skip
    """Nobody sends them again; and such as can still pay always are."""
    ledger.transact(lambda c: c.execute(insert(keys).values(key_of("signed", "order-1", AT))))
    ledger.transact(lambda c: c.execute(update(keys).values(state=state)))
    assert bool(told(ledger, ["till"], ["main"], AT + age)) == is_told


def test_the_names_that_the_ledger_knows(ledger: InlineLedger) -> None:
    """Of wallets and of those who paid or began something."""
    assert ledger.transact(names.known_clients) == ledger.transact(names.known_wallets) == set()
    ledger.transact(fill)
    assert ledger.transact(names.known_wallets) == {"main"}
    assert ledger.transact(names.known_clients) == {"shop"}
    assert list(names.configured_clients(["shop"], anonymous=False)) == ["shop"]
    assert list(names.configured_clients(["shop"], anonymous=True)) == ["shop", "anonymous"]
