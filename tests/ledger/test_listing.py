"""The list of a wallet, a page at a time: all of it, in order, and none of it twice; what came since is read alone."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection

from gateway.ledger import addresses, listing, takeover
from gateway.ledger.addresses import BURNT, FOREIGN
from gateway.ledger.store import InlineLedger, LedgerError

AT = 1_800_000_000.0


@pytest.fixture(autouse=True)
def short_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of three."""
    monkeypatch.setattr(listing, "PAGE", 3)


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """From which places lists were read in one statement to their end."""
    found: list[int] = []
    real = addresses.listed

    def listed(connection: Connection, wallet: str, start: int = 0) -> list[str]:
        found.append(start)
        return real(connection, wallet, start)

    monkeypatch.setattr(addresses, "listed", listed)
    return found


def fill(ledger: InlineLedger, count: int, wallet: str = "main") -> list[str]:
    """Append so many and return what there is."""
    known = ledger.transact(lambda c: addresses.count(c, wallet))
    names = [f"q{n}" for n in range(known, known + count)]
    ledger.transact(lambda c: addresses.add(c, wallet, names, FOREIGN, 1, AT))
    return [f"q{n}" for n in range(known + count)]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 6, 10])
async def test_a_list_is_read_to_its_end(ledger: InlineLedger, count: int) -> None:
    """Whether or not its last page is full; another wallet's is another one."""
    wanted = fill(ledger, count)
    fill(ledger, 5, "other")
    assert await listing.read(ledger, "main") == listing.read_now(ledger, "main") == wanted


async def test_a_transaction_reads_what_came_since_and_nothing_else(ledger: InlineLedger, starts: list[int]) -> None:
    """It keeps everybody waiting."""
    fill(ledger, 7)
    before = await listing.read(ledger, "main")
    assert starts == []
    assert ledger.transact(lambda c: listing.whole(c, "main", before)) == before
    wanted = fill(ledger, 5)
    assert ledger.transact(lambda c: listing.whole(c, "main", before)) == wanted
    assert starts == [6, 6]
    assert ledger.transact(lambda c: listing.whole(c, "main", ())) == wanted


@pytest.mark.parametrize("known", [["q0", "q1", "q2", "q3"], ["q0", "q9"]])
def test_a_list_that_is_another_one_by_now_is_read_again(ledger: InlineLedger, known: list[str]) -> None:
    """As after a failover to a copy that lagged; neither a shorter nor another one is gone on with."""
    fill(ledger, 3)
    with pytest.raises(LedgerError, match="has to be read again"):
        ledger.transact(lambda c: listing.whole(c, "main", known))


async def test_a_wallet_is_taken_over_once_more_without_reading_its_list_in_the_transaction(
    ledger: InlineLedger, starts: list[int]
) -> None:
    """By an operator, after an older ledger was put back."""
    known = fill(ledger, 7)
    before = await listing.read(ledger, "main")

    def adopt(listed: list[str]) -> Callable[[Connection], Any]:
        return lambda c: takeover.take_over(c, "main", listed, 1, AT, lambda _connection: None, before)

    assert ledger.transact(adopt(["x", *known[1:]])) == takeover.OtherSeed()
    assert ledger.transact(adopt([*known, "q7"])) == takeover.Counted(8, 0)
    assert starts == [6, 6]
    assert BURNT not in ledger.transact(lambda c: addresses.listed(c, "main"))
