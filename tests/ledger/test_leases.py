"""Leases as statements: never taken from a holder, by the clock of the database, whenever they are carried out."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select
from sqlalchemy.dialects import postgresql

from gateway.base.errors import LedgerError
from gateway.ledger import leases
from gateway.ledger.held import HeldLedger, LeaseError
from gateway.ledger.schema import leases as rows
from gateway.ledger.schema import meta
from gateway.ledger.store import InlineLedger, UncertainError
from gateway.rules.lease import Gateway, Lease

AT = 1_800_000_000.0
TTL = 3.0
ONE = Gateway("gw-1", "one", "http://10.0.0.1:7777", "c" * 64)
TWO = Gateway("gw-2", "two", "http://10.0.0.2:7777", "c" * 64)


class Book:
    """A ledger, and the clock that it goes by."""

    def __init__(self, ledger: InlineLedger) -> None:
        """Begin at AT."""
        self.ledger = ledger
        self.at = AT

    def clock(self) -> float:
        """Return the time of the database."""
        return self.at

    def acquire(self, me: Gateway, seen: int, term: int | None = None, wallet: str = "main") -> Lease | None:
        """Try to take it."""
        wanted = seen + 1 if term is None else term
        return self.ledger.transact(lambda c: leases.acquire(c, wallet, me, seen, wanted, TTL, self.clock))

    def renew(self, me: Gateway, term: int) -> float | None:
        """Try to renew it."""
        return self.ledger.transact(lambda c: leases.renew(c, "main", me, term, TTL, self.clock))

    def publish(self, me: Gateway, wallet: str = "main") -> None:
        """Write down how it is configured."""
        self.ledger.transact(lambda c: leases.publish(c, wallet, me))

    def release(self, instance: str, term: int) -> bool:
        """Try to give it up."""
        return self.ledger.transact(lambda c: leases.release(c, "main", instance, term))

    def read(self) -> Lease | None:
        """Look at it."""
        return self.ledger.transact(lambda c: leases.read(c, "main", self.clock))

    def is_current(self, instance: str, term: int) -> bool:
        """Ask the fence."""
        return self.ledger.transact(lambda c: leases.is_current(c, "main", instance, term, self.clock))


@pytest.fixture
def book(ledger: InlineLedger) -> Book:
    """An empty one."""
    return Book(ledger)


def test_a_lease_that_nobody_has_is_taken_once(book: Book) -> None:
    """And read back as it was taken."""
    assert book.read() is None
    taken = book.acquire(ONE, 0)
    assert taken == Lease("gw-1", "one", "http://10.0.0.1:7777", "c" * 64, 1, AT + TTL, AT, AT)
    assert book.read() == taken
    assert book.acquire(TWO, 0) is None, "who saw none comes too late"
    assert book.acquire(TWO, 1) is None, "it runs"
    assert book.read() == taken


def test_a_lease_is_taken_over_when_it_has_ended_and_not_before(book: Book) -> None:
    """By the clock of the database, to the moment."""
    book.acquire(ONE, 0)
    book.at = AT + TTL - 0.001
    assert book.acquire(TWO, 1) is None
    book.at = AT + TTL
    taken = book.acquire(TWO, 1)
    assert taken is not None
    assert (taken.holder, taken.term, taken.until, taken.since) == ("gw-2", 2, AT + 2 * TTL, AT + TTL)
    assert book.renew(ONE, 1) is None
    assert not book.release("one", 1)
    assert book.read() == taken


def test_a_statement_that_comes_late_changes_nothing(book: Book) -> None:
    """It goes by the term that was seen when it was sent, and that one is over."""
    book.acquire(ONE, 0)
    book.at = AT + 10.0
    assert book.acquire(ONE, 1) is not None
    now = book.read()
    assert book.acquire(ONE, 1) is None, "the same try once more, from before"
    assert book.acquire(ONE, 0) is None
    assert book.renew(ONE, 1) is None
    assert not book.release("one", 1)
    assert book.read() == now


def test_a_process_takes_its_own_lease_anew_with_a_new_term(book: Book) -> None:
    """As after an answer that was lost: nobody else can have it, so it need not run out."""
    book.acquire(ONE, 0)
    taken = book.acquire(ONE, 1)
    assert taken is not None
    assert taken.term == 2
    assert not book.is_current("one", 1)
    assert book.is_current("one", 2)


def test_a_term_may_skip_what_the_database_has_forgotten(book: Book) -> None:
    """No term is used twice by whoever knows of it."""
    taken = book.acquire(ONE, 0, term=8)
    assert taken is not None
    assert taken.term == 8


def test_the_same_name_is_not_the_same_process(book: Book) -> None:
    """Two gateways with one name do not both hold."""
    book.acquire(ONE, 0)
    twin = Gateway("gw-1", "twin", ONE.address, ONE.config)
    assert book.acquire(twin, 1) is None
    assert book.renew(twin, 1) is None
    assert not book.release("twin", 1)
    assert not book.is_current("twin", 1)


def test_a_renewal_moves_the_end_and_publishes_what_changed(book: Book) -> None:
    """A lease that has ended is not renewed, even if nobody took it."""
    book.acquire(ONE, 0)
    book.at = AT + 1.0
    assert book.renew(Gateway("gw-1", "one", "http://10.0.0.9:7777", "d" * 64), 1) == AT + 1.0 + TTL
    found = book.read()
    assert found is not None
    assert (found.address, found.config, found.since, found.now) == ("http://10.0.0.9:7777", "d" * 64, AT, AT + 1.0)
    book.at = AT + 1.0 + TTL
    assert book.renew(ONE, 1) is None


def test_a_lease_that_was_given_up_is_anybodys_at_once(book: Book) -> None:
    """And can be told from one that has run out; a renewal that comes late does not bring it back."""
    book.acquire(ONE, 0)
    assert book.release("one", 1)
    found = book.read()
    assert found is not None
    assert (found.is_given_up, found.holder, found.left) == (True, "gw-1", 0.0)
    assert book.renew(ONE, 1) is None
    assert not book.is_current("one", 1)
    assert book.acquire(TWO, 1) is not None


def test_wallets_have_leases_of_their_own(book: Book) -> None:
    """Different ones may have different holders."""
    book.acquire(ONE, 0)
    assert book.acquire(TWO, 0, wallet="other") is not None
    found = book.ledger.transact(lambda c: leases.read_all(c, book.clock))
    assert {name: one.holder for name, one in found.items()} == {"main": "gw-1", "other": "gw-2"}
    assert found["main"] == book.read()


# -- on PostgreSQL ------------------------------------------------------------------------------------------------


class Row:
    """What PostgreSQL would answer."""

    until, since = AT + TTL, AT


class Spy:
    """A connection that keeps what it is given, as PostgreSQL would read it."""

    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy's own has no types

    def __init__(self) -> None:
        """Begin with nothing."""
        self.said: list[str] = []

    def execute(self, statement: Any, values: dict[str, object]) -> "Spy":
        """Keep a statement, whose every value must be there."""
        compiled = statement.compile(dialect=self.dialect)
        compiled.construct_params(values, _check=True)
        self.said.append(str(compiled))
        return self

    def one_or_none(self) -> Row:
        """Return a row."""
        return Row()


def never() -> float:
    """Return the gateway's own time, which nobody may ask for here."""
    raise AssertionError("the clock of the gateway was asked")


def test_postgresql_goes_by_its_own_clock_of_the_moment() -> None:
    """Not by the gateway's, and not by the begin of the transaction, which may have waited for its turn."""
    spy: Any = Spy()
    leases.acquire(spy, "main", ONE, 0, 1, TTL, never)
    leases.renew(spy, "main", ONE, 1, TTL, never)
    leases.is_current(spy, "main", "one", 1, never)
    assert len(spy.said) == 3, "one statement each"
    for said in spy.said:
        assert "CAST(EXTRACT(epoch FROM clock_timestamp()) AS FLOAT)" in said
    assert "ON CONFLICT (wallet) DO UPDATE" in spy.said[0]


# -- how the holder is configured -----------------------------------------------------------------------------


def test_how_a_holder_is_configured_stands_beside_its_lease(book: Book) -> None:
    """By wallet, and of its holder alone: an older version that takes over leaves what the one before it wrote."""
    told = replace(ONE, sections="clients=1 limits=2")
    taken = book.acquire(told, 0)
    assert taken is not None
    assert taken.sections == told.sections
    assert book.read() == replace(taken, sections=""), "nobody wrote it down so far"
    book.publish(told)
    book.publish(replace(TWO, sections="clients=7"), "w" * 63)
    assert book.read() == taken
    book.publish(replace(told, sections="clients=3"))
    found = book.read()
    assert found is not None
    assert found.sections == "clients=3"
    book.at += TTL + 1.0
    book.acquire(TWO, 1)
    found = book.read()
    assert found is not None
    assert (found.instance, found.sections) == ("two", "")
    keys = book.ledger.transact(lambda c: c.execute(select(meta.c.key)).scalars().all())
    assert max(map(len, keys)) <= 63, "as many as the column has"


def test_an_older_version_finds_a_lease_as_ever(book: Book) -> None:
    """The hash that it compares is the same, and no column is new."""
    book.acquire(replace(ONE, sections="clients=1"), 0)
    book.publish(replace(ONE, sections="clients=1"))
    row = book.ledger.transact(lambda c: c.execute(select(rows)).one())
    assert row._asdict() == {
        "wallet": "main", "holder": "gw-1", "instance": "one", "address": "http://10.0.0.1:7777", "config": "c" * 64,
        "term": 1, "until": AT + TTL, "since": AT,
    }  # fmt: skip


# -- the fence ------------------------------------------------------------------------------------------------


class Tenant:
    """A gateway that believes what it likes."""

    wallet = "main"
    me = ONE

    def __init__(self, book: Book) -> None:
        """Begin in the belief that all is well."""
        self.clock = book.clock
        self.believes = True
        self.current = 1

    def holds(self, term: int) -> bool:
        """Whether it believes that it holds."""
        return self.believes and term == self.current


@pytest.fixture
def tenant(book: Book) -> Tenant:
    """One that has the lease."""
    book.acquire(ONE, 0)
    return Tenant(book)


def write(connection: Connection) -> str:
    """Write something down."""
    connection.execute(insert(meta).values(key="k", value="v"))
    return "written"


def is_written(book: Book) -> bool:
    """Whether it was."""
    return book.ledger.transact(lambda c: c.execute(select(meta).where(meta.c.key == "k")).one_or_none()) is not None


async def test_whoever_holds_writes(book: Book, tenant: Tenant) -> None:
    """And gets what the work returns."""
    held = HeldLedger(book.ledger, tenant, 1)
    assert await held.run(write) == "written"
    assert held.transact(lambda c: c.execute(select(rows)).one().holder) == "gw-1"
    assert held.last_error == ""
    held.close()
    assert is_written(book), "the ledger is the gateway's, and stays open"


@pytest.mark.parametrize("how", ["ended", "taken", "given up", "a newer term", "gone"])
async def test_a_stale_holder_writes_nothing_whatever_it_believes(book: Book, tenant: Tenant, how: str) -> None:
    """Neither at once nor later, and it is told why; the trouble is not the ledger's."""
    held = HeldLedger(book.ledger, tenant, 1)
    match how:
        case "ended":
            book.at = AT + TTL
        case "taken":
            book.at = AT + TTL
            book.acquire(TWO, 1)
        case "given up":
            book.release("one", 1)
        case "a newer term":
            book.acquire(ONE, 1)
        case _:
            book.ledger.transact(lambda c: c.execute(rows.delete()))
    with pytest.raises(LeaseError, match="lease of wallet main"):
        await held.run(write)
    with pytest.raises(LedgerError, match="nothing was written"):
        held.transact(write)
    assert not is_written(book)
    assert "lease" in held.last_error
    assert book.ledger.last_error == ""


async def test_a_holder_whose_own_clock_says_that_it_is_over_asks_nobody(book: Book, tenant: Tenant) -> None:
    """As after it was frozen; the same for rooms of an earlier holding."""
    held = HeldLedger(book.ledger, tenant, 1)
    tenant.believes = False
    book.ledger.close()
    for _ in range(2):
        with pytest.raises(LeaseError):
            await held.run(write)
        tenant.believes, tenant.current = True, 2
    with pytest.raises(LeaseError):
        held.transact(write)


@pytest.mark.parametrize("trouble", [LedgerError, UncertainError])
async def test_a_ledger_that_fails_after_the_lease_has_ended_is_told_as_a_lost_lease(
    tenant: Tenant, trouble: type[LedgerError]
) -> None:
    """Whoever goes on without the ledger must not; and what may have been committed is never called not done."""

    class Slow(InlineLedger):
        """A database that is waited for longer than a lease lasts."""

        def transact(self, work: Any) -> Any:
            del work
            tenant.believes = not is_over
            raise trouble("it did not answer")

    held = HeldLedger(Slow(None), tenant, 1)
    for is_over in (False, True):
        for do in (held.run,):
            with pytest.raises(LedgerError, match="it did not answer") as caught:
                await do(write)
            assert isinstance(caught.value, LeaseError) is is_over
            assert isinstance(caught.value, UncertainError) is (trouble is UncertainError)
            assert ("nothing was written" in str(caught.value)) is (is_over and trouble is LedgerError)
            tenant.believes = True
        for act in (held.transact,):
            with pytest.raises(LedgerError) as told:
                act(write)
            assert isinstance(told.value, LeaseError) is is_over
            tenant.believes = True


async def test_other_troubles_are_told_as_they_are(book: Book, tenant: Tenant) -> None:
    """What the work raises undoes it, and what the ledger says is its last error."""
    held = HeldLedger(book.ledger, tenant, 1)

    def breaks(connection: Connection) -> None:
        write(connection)
        raise InterruptedError

    with pytest.raises(InterruptedError):
        await held.run(breaks)
    assert not is_written(book)
    with pytest.raises(LedgerError):
        held.transact(lambda c: c.exec_driver_sql("SELECT * FROM nowhere"))
    assert "nowhere" in held.last_error
    assert held.transact(write) == "written"
    assert held.last_error == ""
