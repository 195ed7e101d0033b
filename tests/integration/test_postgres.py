"""The ledger on a real PostgreSQL: what rooms may rely on, and what it says when the server is hurt."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import Connection, insert, select, text, update

from gateway.base.cluster import Ledger as Settings
from gateway.base.events import Event
from gateway.ledger import addresses, epochs, leases, listing, opening_postgres
from gateway.ledger.database import COMMAND, Database
from gateway.ledger.key_file import make_key
from gateway.ledger.looking import looking_at
from gateway.ledger.opening_postgres import OpenedDatabase, open_database, take_for_granted
from gateway.ledger.postgres import PostgresLedger
from gateway.ledger.schema import meta, wallets
from gateway.ledger.seal import LOST, OWN, SEQUENCE
from gateway.ledger.store import LedgerError, MisplacedError, OlderError, UncertainError
from gateway.rules import durability as rules
from gateway.rules.lease import Gateway
from gateway.supervision.durability import Durability
from tests.integration.postgres_server import OWNER, PASSWORD, Server, give, running, server, small_disk, wait

__all__ = ("server",)

AT = 1_800_000_000.0


class OurError(Exception):
    """What a transaction may raise."""


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """The key file that all gateways share."""
    make_key(tmp_path / "key")
    return tmp_path / "key"


@pytest.fixture
def settings(server: Server, key: Path) -> Settings:
    """Those of a ledger in a database that is empty."""
    return settings_for(server.database(), key)


@pytest.fixture
def opened(settings: Settings) -> Iterator[OpenedDatabase]:
    """The ledger of a gateway."""
    one = open_database(settings, AT)
    yield one
    one.ledger.close()


@pytest.fixture
def ledger(opened: OpenedDatabase) -> PostgresLedger:
    """The same, where nothing else of it counts."""
    return opened.ledger


def settings_for(database: Database, key: Path, **more: object) -> Settings:
    """What a configuration says of a database."""
    said = {"url": database.url, "password": PASSWORD, "key_file": str(key)}
    limits = {"statement_timeout": database.statement_timeout, "connect_timeout": database.connect_timeout}
    return Settings.model_validate(said | limits | more)


def put(name: str, value: str = "x") -> Callable[[Connection], str]:
    """A transaction that writes one fact."""

    def work(connection: Connection) -> str:
        connection.execute(insert(meta).values(key=name, value=value))
        return name

    return work


def fill(ledger: PostgresLedger, told: list[str]) -> None:
    """Write 50 MB that cannot be pressed into less; takes down what was told as written."""
    while len(told) < 200:
        told += [ledger.transact(put(f"t-{len(told):03}", os.urandom(128 * 1024).hex()))]


def is_secret(connection: Connection) -> bool:
    """Whether this connection speaks TLS."""
    return bool(connection.scalar(text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")))


def facts(connection: Connection) -> list[str]:
    """What facts of the tests there are."""
    return [one for one in connection.scalars(select(meta.c.key).order_by(meta.c.key)) if one.startswith("t-")]


def name_of(settings: Settings) -> str:
    """The name of the database."""
    return settings.url.rpartition("/")[2]


def pid_of(connection: Connection) -> int:
    """The process that serves this connection."""
    return int(connection.scalar(text("SELECT pg_backend_pid()")) or 0)


# -- transactions -----------------------------------------------------------------------------------------------


def test_what_is_committed_is_there_and_what_is_raised_undoes_all_of_it(ledger: PostgresLedger) -> None:
    """And comes out as it is, where it is not the engine's; the next one goes on."""

    def work(connection: Connection) -> None:
        put("t-a")(connection)
        raise OurError

    with pytest.raises(OurError):
        ledger.transact(work)
    assert ledger.transact(put("t-b")) == "t-b"
    assert ledger.transact(facts) == ["t-b"]
    with pytest.raises(LedgerError, match="duplicate key value violates unique constraint") as caught:
        ledger.transact(put("t-b", "secret"))
    assert "secret" not in str(caught.value)
    assert "<class" not in str(caught.value)
    assert ledger.last_error == str(caught.value)
    ledger.transact(put("t-c"))
    assert ledger.last_error == ""


def test_a_full_disk_is_not_well_because_it_can_be_read(ledger: PostgresLedger) -> None:
    """Whoever is called by an alert would be told that it is over, again and again."""

    def full(connection: Connection) -> None:
        put("t-a")(connection)
        raise asyncpg.DiskFullError("could not extend file: No space left on device")

    with pytest.raises(LedgerError, match="make room on the disk"):
        ledger.transact(full)
    assert ledger.transact(facts) == []
    assert "make room on the disk" in ledger.last_error
    with pytest.raises(LedgerError, match="nowhere"):
        ledger.transact(lambda connection: connection.execute(text("SELECT * FROM nowhere")))
    assert ledger.transact(facts) == []
    assert "make room on the disk" in ledger.last_error, "another error meanwhile has not made any"
    ledger.transact(put("t-b"))
    assert ledger.last_error == ""


def test_only_what_writes_is_counted(ledger: PostgresLedger) -> None:
    """So a read costs the disk nothing."""
    before = ledger.memory.highest
    ledger.transact(facts)
    assert ledger.memory.highest == before
    ledger.transact(put("t-a"))
    assert ledger.memory.highest == before + 1


def test_two_gateways_take_their_turns(settings: Settings, ledger: PostgresLedger) -> None:
    """What was read cannot be another thing when the write comes: each address leaves once."""
    found = [f"qa{n}" for n in range(60)]
    ledger.transact(lambda c: addresses.add(c, "main", found, addresses.POOL, 1, AT))
    with closing(open_database(settings, AT).ledger) as other, ThreadPoolExecutor(6) as threads:

        def take(one: PostgresLedger) -> str | None:
            return one.transact(lambda c: addresses.take(c, "main", "shop", "m", 1, AT))

        taken = list(threads.map(take, [ledger, other] * 30))
    assert sorted(taken, key=str) == sorted(found)


async def test_transactions_of_one_gateway_follow_each_other_in_the_order_of_their_calls(
    ledger: PostgresLedger,
) -> None:
    """So that what rooms conclude from one another holds; the loop of the gateway goes on meanwhile."""
    order: list[int] = []

    def work(number: int) -> Callable[[Connection], int]:
        def run(_connection: Connection) -> int:
            order.append(number)
            return number

        return run

    assert await asyncio.gather(*(ledger.run(work(n)) for n in range(30))) == list(range(30))
    assert order == list(range(30))


@pytest.mark.parametrize("has_begun", [True, False])
async def test_a_caller_that_leaves_takes_nothing_back(
    ledger: PostgresLedger,
    caplog: pytest.LogCaptureFixture,
    has_begun: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """The transaction is done all the same, whether it was under way or still waited for its turn."""
    begun, may_end = threading.Event(), threading.Event()

    def hold(connection: Connection) -> None:
        put("t-held")(connection)
        begun.set()
        assert may_end.wait(10)

    before = asyncio.create_task(ledger.run(hold))
    leaving = before if has_begun else asyncio.create_task(ledger.run(put("t-waiting")))
    await asyncio.to_thread(begun.wait, 10)
    leaving.cancel()
    with suppress(asyncio.CancelledError):
        await leaving
    may_end.set()
    assert await ledger.run(facts) == (["t-held"] if has_begun else ["t-held", "t-waiting"])
    await asyncio.gather(before, return_exceptions=True)
    assert not caplog.records


async def test_what_is_asked_of_a_closed_ledger_fails_as_a_ledger(settings: Settings) -> None:
    """And it leaves no row of its own behind."""
    ledger = open_database(settings, AT).ledger
    ledger.transact(put("t-a"))
    ledger.close()
    ledger.close()
    with pytest.raises(LedgerError, match="closed"):
        await ledger.run(facts)
    with pytest.raises(LedgerError, match="closed"):
        ledger.transact(facts)
    with closing(open_database(settings, AT).ledger) as again:
        left = again.transact(lambda c: [one for one in c.scalars(select(meta.c.key)) if one.startswith("commit ")])
        # the opening of this one wrote, and that is all
        assert len(left) == 1


def test_a_look_sees_one_moment_and_keeps_nobody_from_writing(settings: Settings, ledger: PostgresLedger) -> None:
    """An export of minutes must not hold up a single payment."""
    ledger.transact(put("t-a"))
    with closing(opening_postgres.open_beside(settings)) as command:

        def work(connection: Connection) -> tuple[list[str], list[str]]:
            first = facts(connection)
            ledger.transact(put("t-b"))
            return first, facts(connection)

        assert command.look(work) == (["t-a"], ["t-a"])
        assert command.look(facts) == ["t-a", "t-b"]
        with pytest.raises(LedgerError, match="read-only transaction"):
            command.look(put("t-c"))


async def test_a_long_list_is_read_while_others_write(
    server: Server, settings: Settings, ledger: PostgresLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gateway that takes over reads years of addresses; its own lease is renewed meanwhile, as is everybody's."""
    monkeypatch.setattr(listing, "PAGE", 2000)
    count = 2 * listing.PAGE + 17
    rows = f"SELECT 'main', n, 'q' || n, 'handed', 1.0 FROM generate_series(0, {count - 1}) n"  # noqa: S608 - ours
    server.sql(f"INSERT INTO addresses (wallet, place, address, state, at) {rows}", name_of(settings))
    begun, may_end = threading.Event(), threading.Event()

    def hold(connection: Connection) -> None:
        put("t-held")(connection)
        begun.set()
        assert may_end.wait(10)

    with closing(open_database(settings, AT).ledger) as other:
        holding = asyncio.create_task(other.run(hold))
        assert await asyncio.to_thread(begun.wait, 10)
        found = await listing.read(ledger, "main")
        may_end.set()
        await holding
    assert found == [f"q{n}" for n in range(count)]
    assert listing.read_now(ledger, "main") == found
    ledger.transact(lambda c: addresses.add(c, "main", ["qlast"], addresses.POOL, 1, AT))
    assert await ledger.run(lambda c: listing.whole(c, "main", found)) == [*found, "qlast"]
    with pytest.raises(LedgerError, match="read-only transaction"):
        await ledger.see(put("t-c"))


# -- a server that is hurt ----------------------------------------------------------------------------------------


def test_after_a_restart_the_first_transaction_finds_the_way(server: Server, ledger: PostgresLedger) -> None:
    """Without a lost one: nothing was asked of a connection that is no more."""
    ledger.transact(put("t-a"))
    server.stop()
    with pytest.raises(LedgerError, match="see whether the database runs"):
        ledger.transact(facts)
    assert "see whether the database runs" in ledger.last_error
    server.start()
    ledger.transact(put("t-b"))
    server.stop()
    server.start()
    assert ledger.transact(facts) == ["t-a", "t-b"]
    assert ledger.last_error == ""


def test_what_was_told_is_there_after_a_death(server: Server, ledger: PostgresLedger) -> None:
    """Every commit waits for the disk; and what was under way is not done."""
    ledger.transact(put("t-a"))

    def work(connection: Connection) -> None:
        put("t-b")(connection)
        server.kill()
        put("t-c")(connection)

    with pytest.raises(LedgerError):
        ledger.transact(work)
    wait(lambda: _starts(server))
    assert ledger.transact(facts) == ["t-a"]


def _starts(server: Server) -> bool:
    try:
        server.start()
    except AssertionError:
        return False
    return True


def test_a_frozen_server_is_told_in_time_and_used_again(server: Server, key: Path) -> None:
    """In the middle of a transaction, and before one."""
    with closing(open_database(settings_for(server.database(limit=0.5), key), AT).ledger) as ledger:
        frozen = threading.Event()

        def freeze(connection: Connection) -> None:
            put("t-a")(connection)
            server.signal(signal.SIGSTOP)
            frozen.set()
            put("t-b")(connection)

        try:
            with pytest.raises(LedgerError, match="did not answer in time"):
                ledger.transact(freeze)
            with pytest.raises(LedgerError, match="did not answer in time"):
                ledger.transact(facts)
        finally:
            server.signal(signal.SIGCONT)
        assert frozen.is_set()
        wait(lambda: _answers(ledger))
        assert ledger.transact(facts) == []


def _answers(ledger: PostgresLedger) -> bool:
    try:
        ledger.transact(facts)
    except LedgerError:
        return False
    return True


def test_a_connection_that_is_ended_in_the_middle_undoes_it(server: Server, ledger: PostgresLedger) -> None:
    """The next one has a new one."""

    def work(connection: Connection) -> None:
        put("t-a")(connection)
        server.sql(f"SELECT pg_terminate_backend({pid_of(connection)})")
        put("t-b")(connection)

    with pytest.raises(LedgerError):
        ledger.transact(work)
    assert ledger.transact(facts) == []


@pytest.mark.parametrize("is_done", [True, False])
def test_a_commit_whose_answer_was_lost_is_found_out_about(
    ledger: PostgresLedger,
    monkeypatch: pytest.MonkeyPatch,
    is_done: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """It was done and counts, or it was not and nothing of it counts."""
    real = ledger._commit

    async def lost(raw: object) -> bool:
        if is_done:
            assert await real(raw)
        raw.terminate()  # type: ignore[attr-defined]  # a connection of the driver
        return False

    with monkeypatch.context() as patched:
        patched.setattr(ledger, "_commit", lost)
        if is_done:
            assert ledger.transact(put("t-a")) == "t-a"
        else:
            with pytest.raises(LedgerError, match="lost before it had committed") as caught:
                ledger.transact(put("t-a"))
            assert not isinstance(caught.value, UncertainError)
    ledger.transact(put("t-b"))
    assert ledger.transact(facts) == (["t-a", "t-b"] if is_done else ["t-b"])


def test_a_commit_that_nobody_can_find_out_about_is_told_as_such(
    server: Server, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server died with it, and does not come back in time."""
    with closing(open_database(settings_for(server.database(limit=0.5), key), AT).ledger) as ledger:
        real = ledger._commit

        async def lost(raw: object) -> bool:
            await real(raw)
            server.kill()
            return False

        with monkeypatch.context() as patched:
            patched.setattr(ledger, "_commit", lost)
            with pytest.raises(UncertainError, match="whether it was is not known"):
                ledger.transact(put("t-a"))
        wait(lambda: _starts(server))
        ledger.transact(put("t-b"))
        assert ledger.transact(facts) == ["t-a", "t-b"]


FROZEN = """
import sys
from sqlalchemy import insert
from gateway.base.cluster import Ledger
from gateway.ledger.opening_postgres import open_database
from gateway.ledger.schema import meta

ledger = open_database(Ledger.model_validate_json(sys.argv[1]), 1.0).ledger


def work(connection):
    connection.execute(insert(meta).values(key="t-stale", value="x"))
    print("in it", flush=True)
    sys.stdin.readline()
    connection.execute(insert(meta).values(key="t-later", value="x"))


try:
    ledger.transact(work)
    print("done", flush=True)
except Exception as error:
    print(type(error).__name__, error, flush=True)
ledger.close()
"""


def test_a_gateway_that_is_frozen_in_a_transaction_holds_nobody_up_for_long(
    settings: Settings, ledger: PostgresLedger
) -> None:
    """The server throws it out; when it goes on it hears that nothing of it counts."""
    said = settings.model_dump(mode="json", exclude_defaults=True) | {"password": PASSWORD}
    words = [sys.executable, "-c", FROZEN, json.dumps(said)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout is not None
            assert other.stdin is not None
            assert other.stdout.readline() == "in it\n"
            os.kill(other.pid, signal.SIGSTOP)
            ledger.transact(put("t-mine"))
            os.kill(other.pid, signal.SIGCONT)
            other.stdin.write("\n")
            other.stdin.flush()
            assert other.stdout.readline().startswith("LedgerError")
        finally:
            other.kill()
    assert ledger.transact(facts) == ["t-mine"]


BETWEEN = """
import asyncio, signal, sys
from sqlalchemy import insert
from gateway.base.cluster import Ledger
from gateway.ledger.connections import driver
from gateway.ledger.opening_postgres import open_database

ledger = open_database(Ledger.model_validate_json(sys.argv[1]), 1.0).ledger


async def work():
    async with ledger._connections.begun() as connection:
        await (await driver(connection)).prepare("SELECT key FROM meta WHERE key = $1")
        signal.raise_signal(signal.SIGSTOP)
        await (await driver(connection)).execute("COMMIT")


try:
    ledger._ask(work()).result()
    print("done", flush=True)
except Exception as error:
    print("thrown out", flush=True)
ledger.close()
"""


def test_a_gateway_that_is_frozen_between_the_halves_of_a_statement_holds_nobody_up_for_long(
    server: Server, settings: Settings, ledger: PostgresLedger
) -> None:
    """To the server that is no transaction that stands still either: who waits throws it out."""
    said = settings.model_dump(mode="json", exclude_defaults=True) | {"password": PASSWORD}
    words = [sys.executable, "-c", BETWEEN, json.dumps(said)]
    frozen = "SELECT wait_event FROM pg_stat_activity WHERE query LIKE 'SELECT key%' AND state = 'active'"
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as other:
        try:
            wait(lambda: server.sql(frozen) == "ClientRead")
            assert ledger.transact(put("t-mine")) == "t-mine"
            os.kill(other.pid, signal.SIGCONT)
            assert other.stdout is not None
            assert other.stdout.readline() == "thrown out\n"
        finally:
            other.kill()


RECEIVING = """
import sys
from sqlalchemy import text
from gateway.base.cluster import Ledger
from gateway.ledger.opening_postgres import open_database

ledger = open_database(Ledger.model_validate_json(sys.argv[1]), 1.0).ledger
try:
    ledger.transact(lambda c: c.execute(text("SELECT repeat('x', 1000000) FROM generate_series(1, 1500)")).all())
    print("done", flush=True)
except Exception as error:
    print(type(error).__name__, error, flush=True)
ledger.close()
"""


def test_a_gateway_that_is_frozen_while_it_receives_an_answer_holds_nobody_up_for_long(
    server: Server, settings: Settings, ledger: PostgresLedger
) -> None:
    """To the server that is no transaction that stands still: it has something to send."""
    said = settings.model_dump(mode="json", exclude_defaults=True) | {"password": PASSWORD}
    words = [sys.executable, "-c", RECEIVING, json.dumps(said)]
    sending = "SELECT wait_event FROM pg_stat_activity WHERE query LIKE 'SELECT repeat%' AND state = 'active'"

    def writes() -> bool:
        with suppress(LedgerError):
            return ledger.transact(put("t-mine")) == "t-mine"
        return False

    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as other:
        try:
            wait(lambda: ledger.look(lambda c: c.execute(text(sending)).all()))
            os.kill(other.pid, signal.SIGSTOP)
            wait(lambda: server.sql(sending) == "ClientWrite")
            wait(writes)
            os.kill(other.pid, signal.SIGCONT)
            assert other.stdout is not None
            assert other.stdout.readline().startswith("LedgerError")
        finally:
            other.kill()


def test_a_server_without_room_for_one_more_is_told(settings: Settings) -> None:
    """And the ledger goes on when there is room."""
    database = opening_postgres.database_of(settings)
    ends = threading.Event()

    def hold(one: PostgresLedger) -> None:
        while not ends.is_set():
            with suppress(LedgerError):
                one.look(lambda _connection: ends.wait(30))

    taken = [PostgresLedger(database) for _ in range(20)]
    with closing(PostgresLedger(database)) as late, ThreadPoolExecutor(20) as threads:
        try:
            held = [threads.submit(hold, one) for one in taken]
            wait(lambda: _is_refused(database))
            with pytest.raises(LedgerError, match="raise max_connections"):
                late.transact(pid_of)
        finally:
            ends.set()
            for one in held:
                one.result()
            for each in taken:
                each.close()
        wait(lambda: _looks(late))


def _is_refused(database: Database) -> bool:
    with closing(PostgresLedger(database)) as one:
        return not _looks(one)


def _looks(ledger: PostgresLedger) -> bool:
    with suppress(LedgerError):
        return bool(ledger.look(pid_of))
    return False


# -- a server that lost something ---------------------------------------------------------------------------------


def set_back(server: Server, settings: Settings, number: int) -> None:
    """Let a database show what it did before, as a replica that lagged and took over."""
    for statement in (
        f"UPDATE meta SET value = '{number}' WHERE key = '{SEQUENCE}'",  # noqa: S608 - ours
        f"UPDATE meta SET value = least(value::bigint, {number})::text WHERE key LIKE '{OWN}%'",  # noqa: S608 - ours
    ):
        server.sql(statement, name_of(settings))


def test_a_database_that_lost_something_is_not_gone_on_with_before_an_operator_looked(
    server: Server, settings: Settings, ledger: PostgresLedger
) -> None:
    """Not by the gateway that remembers, nor by one that does not, nor for reading."""
    ledger.transact(lambda c: epochs.begin(c, "main", "ec-1", ["ec-1"], AT))
    ledger.transact(lambda c: c.execute(update(wallets).values(state="adopted")))
    ledger.transact(lambda c: addresses.add(c, "main", ["qa0"], addresses.POOL, 1, AT))
    known = ledger.memory.highest
    set_back(server, settings, known - 1)
    with closing(open_database(settings, AT).ledger) as young:
        for _ in range(2):
            with pytest.raises(LedgerError, match="older than what was committed"):
                ledger.transact(facts)
        with pytest.raises(LedgerError, match="older than what was committed"):
            young.transact(put("t-a"))
        with pytest.raises(LedgerError, match="older than what was committed"):
            open_database(settings, AT)
        with closing(opening_postgres.open_beside(settings, may_be_behind=True)) as command:
            lost = command.look(lambda c: c.scalar(select(meta.c.value).where(meta.c.key == LOST)))
            assert int(lost or 0) >= known
            assert command.transact(lambda c: take_for_granted(c, AT))
            assert not command.transact(lambda c: take_for_granted(c, AT))
        for one in (ledger, young):
            standing = one.transact(lambda c: epochs.current(c, "main"))
            assert standing is not None
            assert (standing.state, standing.epoch > 1000) == ("doubted", True)
            assert one.transact(lambda c: addresses.in_pool(c, "main")) == 0


async def test_a_lease_goes_on_in_a_database_that_lost_something_and_nothing_else_does(
    server: Server, settings: Settings, ledger: PostgresLedger
) -> None:
    """Or nobody would serve reads.  Its statements take the very numbers again that were lost, and hide nothing."""
    me = Gateway("gw-1", "one", "http://gw-1", "c")

    def renewal() -> leases.OfLease[float | None]:
        return leases.OfLease(lambda c: leases.renew(c, "main", me, 1, 60.0))

    assert await ledger.run(leases.OfLease(lambda c: leases.acquire(c, "main", me, 0, 1, 60.0)))
    for n in range(9):
        ledger.transact(put(f"t-{n}"))
    set_back(server, settings, ledger.memory.highest - 9)
    with closing(open_database(settings, AT).ledger) as young:
        young.transact(put("t-y"))
        assert await ledger.run(renewal()) is not None
        with pytest.raises(OlderError, match="older than what was committed"):
            young.transact(put("t-a"))
        # what it does for leases is no reason to forget what it knew
        server.sql(f"DELETE FROM meta WHERE key = '{LOST}'", name_of(settings))  # noqa: S608 - ours
        with pytest.raises(OlderError, match="older than what was committed"):
            await ledger.run(put("t-a"))
        for _ in range(12):
            question = renewal()
            assert await ledger.run(question) is not None
            assert "older than what was committed" in question.older
            assert ledger.last_error == question.older
            read = leases.OfLease(lambda c: leases.read(c, "main"))
            assert await young.run(read) is not None
            assert "older than what was committed" in read.older
            for one in (young, ledger):
                with pytest.raises(OlderError, match="older than what was committed"):
                    await one.run(put("t-a"))
        with closing(opening_postgres.open_beside(settings, may_be_behind=True)) as command:
            assert command.transact(lambda c: take_for_granted(c, AT))
        for one in (ledger, young):
            question = renewal()
            assert await one.run(question) is not None
            assert (question.older, one.last_error) == ("", "")
            one.transact(put(f"t-{one.memory.highest}"))
    server.sql("UPDATE meta SET value = 'another' WHERE key = 'id'", name_of(settings))
    with pytest.raises(LedgerError, match="has another ledger"):
        await ledger.run(renewal())


async def test_a_database_that_lost_something_is_opened_for_its_leases_where_gateways_share_it(
    server: Server, settings: Settings, opened: OpenedDatabase
) -> None:
    """By one that never saw it whole: it knows what there should be, and writes once an operator looked."""
    ledger, name = opened.ledger, name_of(settings)
    me = Gateway("gw-2", "two", "http://gw-2", "c")
    for n in range(9):
        ledger.transact(put(f"t-{n}"))
    known = ledger.memory.highest
    set_back(server, settings, known - 5)
    with pytest.raises(OlderError):
        ledger.transact(facts)
    young = open_database(settings, AT, may_be_behind=True)
    with closing(young.ledger) as one:
        assert (young.key, young.id) == (opened.key, opened.id)
        taking = leases.OfLease(lambda c: leases.acquire(c, "main", me, 0, 1, 60.0))
        assert await one.run(taking) is not None
        assert "older than what was committed" in taking.older
        for work in (put("t-a"), facts):
            with pytest.raises(OlderError, match="older than what was committed"):
                await one.run(work)
        # a copy of before it was known, as a dump that is played back or a further failover brings it
        server.sql(f"DELETE FROM meta WHERE key = '{LOST}'", name)  # noqa: S608 - ours
        set_back(server, settings, known - 3)
        with pytest.raises(OlderError, match="older than what was committed"):
            await one.run(put("t-a"))
        with closing(opening_postgres.open_beside(settings, may_be_behind=True)) as command:
            assert command.transact(lambda c: take_for_granted(c, AT))
        assert await one.run(put("t-a")) == "t-a"
        assert one.memory.highest > known


@pytest.mark.parametrize(
    "spoils",
    [
        (
            "DROP TABLE lives, incidents, restarts, audit, availability; DROP INDEX ix_keys_state, ix_holds_key; "
            "UPDATE alembic_version SET version_num = '0002'"
        ),
        "DELETE FROM meta WHERE key = 'key_mark'",
        "DELETE FROM meta WHERE key = 'id'",
    ],
)
def test_one_that_wants_more_than_a_look_stays_closed_until_an_operator_looked(
    server: Server, settings: Settings, ledger: PostgresLedger, spoils: str
) -> None:
    """Steps to this version, the mark of its key, a name: none of them can be written into it."""
    ledger.transact(put("t-a"))
    set_back(server, settings, ledger.memory.highest - 1)
    with pytest.raises(OlderError):
        ledger.transact(facts)
    server.sql(spoils, name_of(settings))
    with pytest.raises(OlderError, match="older than what was committed"):
        open_database(settings, AT, may_be_behind=True)


def test_another_key_is_no_key_of_one_that_lost_something(
    server: Server, settings: Settings, ledger: PostgresLedger, tmp_path: Path
) -> None:
    """What is written once an operator looked would be under two keys."""
    ledger.transact(put("t-a"))
    set_back(server, settings, ledger.memory.highest - 1)
    with pytest.raises(OlderError):
        ledger.transact(facts)
    make_key(tmp_path / "other")
    other = settings.model_copy(update={"key_file": str(tmp_path / "other")})
    with pytest.raises(LedgerError, match="is not the one of this ledger"):
        open_database(other, AT, may_be_behind=True)


async def test_who_cannot_open_a_ledger_sees_its_leases_and_writes_nothing(
    server: Server, settings: Settings, ledger: PostgresLedger
) -> None:
    """Also in one of a newer version; it counts as no gateway that has it open."""
    me = Gateway("gw-1", "one", "http://gw-1", "c")
    assert await ledger.run(leases.OfLease(lambda c: leases.acquire(c, "main", me, 0, 1, 60.0)))
    server.sql("UPDATE alembic_version SET version_num = '9999'", name_of(settings))
    ledger.close()
    looking = looking_at(settings)
    found = await looking.run(leases.OfLease(lambda c: leases.read(c, "main")))
    assert found is not None
    assert (found.holder, found.term) == ("gw-1", 1)
    with pytest.raises(LedgerError, match="read-only transaction"):
        await looking.run(leases.OfLease(lambda c: leases.acquire(c, "other", me, 0, 1, 60.0)))
    with closing(PostgresLedger(opening_postgres.database_of(settings), COMMAND)) as command:
        assert command.look(lambda c: leases.read(c, "other")) is None
        assert not command.look(opening_postgres.is_in_use)
    late = asyncio.create_task(looking.run(lambda c: c.scalar(text("SELECT 'done' FROM pg_sleep(0.3)"))))
    await asyncio.sleep(0.05)
    await looking.end()
    assert await late == "done", "it was waited for"
    with pytest.raises(LedgerError, match="closed"):
        await looking.run(leases.OfLease(lambda c: leases.read(c, "main")))


def test_another_ledger_behind_the_same_url_is_refused(
    server: Server, settings: Settings, ledger: PostgresLedger
) -> None:
    """Somebody made the database anew."""
    server.sql("UPDATE meta SET value = 'other' WHERE key = 'id'", name_of(settings))
    with pytest.raises(LedgerError, match="has another ledger than the one that was opened"):
        ledger.transact(facts)


def test_a_dump_that_is_played_back_is_taken_for_older_than_what_was_done(
    server: Server, settings: Settings, key: Path
) -> None:
    """Its tables are others; of its pool nobody knows what was given out since."""
    with closing(open_database(settings, AT).ledger) as ledger:
        ledger.transact(lambda c: epochs.begin(c, "main", "ec-1", ["ec-1"], AT))
        ledger.transact(lambda c: c.execute(update(wallets).values(state="adopted")))
        ledger.transact(lambda c: addresses.add(c, "main", ["qa0"], addresses.POOL, 1, AT))
    other = server.database()
    environment = {**os.environ, "PGPASSWORD": PASSWORD}
    where = ["-h", "127.0.0.1", "-p", str(server.port), "-U", OWNER]
    dump = subprocess.run(
        [server.binaries / "pg_dump", *where, name_of(settings)], env=environment, capture_output=True, check=True
    )
    name = other.url.rpartition("/")[2]
    subprocess.run([server.binaries / "psql", "-X", "-q", *where, name], env=environment, input=dump.stdout, check=True,
                   stdout=subprocess.DEVNULL)  # fmt: skip
    found = open_database(settings_for(other, key), AT)
    with closing(found.ledger) as ledger:
        assert found.copied == "an unknown time"
        standing = ledger.transact(lambda c: epochs.current(c, "main"))
        assert standing is not None
        assert (standing.state, ledger.transact(lambda c: addresses.in_pool(c, "main"))) == ("doubted", 0)
    again = open_database(settings_for(other, key), AT)
    again.ledger.close()
    assert again.copied == ""


# -- opening ----------------------------------------------------------------------------------------------------


def refusal(settings: Settings, kind: type[LedgerError] = LedgerError) -> str:
    """Why it is not opened."""
    with pytest.raises(kind) as caught:
        open_database(settings, AT)
    assert PASSWORD not in str(caught.value)
    return str(caught.value)


def test_two_gateways_that_start_at_once_make_one_ledger(settings: Settings) -> None:
    """One of them makes the tables, the other finds them."""
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _n: open_database(settings, AT), range(4)))
    assert len({one.id for one in found}) == 1
    assert len({one.key for one in found}) == 1
    assert [one.before for one in found].count(None) == 1
    for one in found:
        one.ledger.close()


def test_a_ledger_that_is_there_is_opened_as_it_is(settings: Settings) -> None:
    """It keeps its id, and what is in it."""
    first = open_database(settings, AT)
    first.ledger.transact(put("t-a"))
    first.ledger.close()
    second = open_database(settings, AT)
    with closing(second.ledger):
        assert (second.id, second.key, second.copied, second.warnings) == (first.id, first.key, "", ())
        assert (first.before, second.before is None) == (None, False)
        assert second.ledger.transact(facts) == ["t-a"]


def test_nobody_there_a_wrong_password_and_no_such_database_are_told(server: Server, settings: Settings) -> None:
    """Each with what would be right, and without the password."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
        nobody = settings.model_copy(update={"url": f"postgresql://{OWNER}@127.0.0.1:{port}/x"})
        assert "see whether the database runs" in refusal(nobody)
    there = f"postgresql://{OWNER}@127.0.0.1:{server.port}"
    assert "make that database" in refusal(settings.model_copy(update={"url": f"{there}/nowhere"}))
    wrong = Settings.model_validate({"url": settings.url, "password": "wrong-one", "key_file": settings.key_file})
    assert "password_file" in refusal(wrong)


def test_a_user_without_rights_is_told(server: Server, key: Path) -> None:
    """Where nothing can be made, and where a table is closed to it."""
    database = server.database()
    name = database.url.rpartition("/")[2]
    server.sql(f"CREATE ROLE guest_{name} LOGIN PASSWORD '{PASSWORD}'", name)
    guest = settings_for(server.database(name, user=f"guest_{name}"), key)
    assert "may not write" in refusal(guest)
    assert "no table can be made" in refusal(guest)
    open_database(settings_for(database, key), AT).ledger.close()
    assert "(table addresses)" in refusal(guest)
    server.sql(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO guest_{name}", name)
    server.sql(f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO guest_{name}", name)
    open_database(guest, AT).ledger.close()


def test_a_read_only_server_is_told_and_never_written_past(
    server: Server, settings: Settings, ledger: PostgresLedger
) -> None:
    """At the start, and while the gateway runs: reading is no better, for what it reads may be old."""
    server.sql(f"ALTER DATABASE {name_of(settings)} SET default_transaction_read_only = on")
    assert "is read-only" in refusal(settings)
    ledger.transact(put("t-a"))
    them = f"pg_stat_activity WHERE datname = '{name_of(settings)}'"
    server.sql(f"SELECT pg_terminate_backend(pid) FROM {them}")  # noqa: S608 - ours
    for work in (put("t-b"), facts):
        with pytest.raises(LedgerError, match=r"read-only transaction.*name the primary"):
            ledger.transact(work)
    server.sql(f"ALTER DATABASE {name_of(settings)} SET default_transaction_read_only = off")
    # the connection to the one that was read-only is not used again
    assert ledger.transact(facts) == ["t-a"]


def test_a_database_proves_itself_by_its_certificate(key: Path) -> None:
    """TLS or nothing once it is asked for, checked against our authority; and what to look at where that fails."""
    with running() as server:
        database = server.database()
        strict = settings_for(database, key, tls={})
        assert re.search("rejected SSL upgrade; see ledger.tls", refusal(strict))
        certificate, secret = server.folder / "own.pem", server.folder / "own.key"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-keyout", secret, "-out", certificate, "-days", "2", "-subj", "/CN=tests",
             "-addext", "subjectAltName=IP:127.0.0.1"],
            check=True, capture_output=True,
        )  # fmt: skip
        for path in (certificate, secret):
            give(path)
        server.stop()
        server.configure(ssl="on", ssl_cert_file=f"'{certificate}'", ssl_key_file=f"'{secret}'")
        server.start()
        assert re.search("certificate verify failed.*; see ledger.tls", refusal(strict))
        for tls in ({"ca_file": str(certificate)}, {"verify": False}):
            with closing(open_database(settings_for(database, key, tls=tls), AT).ledger) as ledger:
                assert ledger.transact(is_secret)
        # by another name its certificate is worth nothing
        elsewhere = Database(database.url.replace("127.0.0.1", "localhost"))
        named = settings_for(elsewhere, key, tls={"ca_file": str(certificate)})
        assert re.search("certificate.*localhost.*; see ledger.tls", refusal(named))


def test_a_full_disk_is_told_undoes_what_it_met_and_ends_when_there_is_room(key: Path) -> None:
    """Nothing is half written, what was told before stays readable, and no restart is needed."""
    if os.geteuid() != 0:
        pytest.skip("a disk of its own can be made by root alone")
    with running() as server, small_disk(server, 32) as enlarge:
        name = "on_a_small_disk"
        server.sql(f"CREATE DATABASE {name} TEMPLATE template0 TABLESPACE small")
        with closing(open_database(settings_for(server.database(name), key), AT).ledger) as ledger:
            told: list[str] = []
            with pytest.raises(LedgerError, match="make room on the disk of the database") as caught:
                fill(ledger, told)
            assert not isinstance(caught.value, UncertainError)
            assert told
            assert ledger.transact(facts) == told
            enlarge(64)
            assert ledger.transact(put("t-more")) == "t-more"
            assert ledger.transact(facts) == [*told, "t-more"]


def test_a_ledger_from_the_future_and_a_strange_database_are_refused(
    server: Server, settings: Settings, key: Path
) -> None:
    """By the gateway and by the commands; nothing is changed."""
    open_database(settings, AT).ledger.close()
    server.sql("UPDATE alembic_version SET version_num = '9999'", name_of(settings))
    assert "was written by a newer ec-gateway (schema 9999" in refusal(settings)
    for command in (opening_postgres.open_beside, opening_postgres.look):
        with pytest.raises(LedgerError, match="written by a newer ec-gateway"):
            command(settings)
    strange = server.database()
    name = strange.url.rpartition("/")[2]
    server.sql("CREATE TABLE cookies (host TEXT)", name)
    assert "another program's database (tables cookies)" in refusal(settings_for(strange, key), MisplacedError)
    assert server.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", name) == "1"


def test_an_older_ledger_is_brought_up_by_the_same_steps(server: Server, key: Path) -> None:
    """And they lead to the tables that a new one has."""
    from alembic import command  # noqa: PLC0415 - takes 10 MiB
    from alembic.autogenerate import compare_metadata  # noqa: PLC0415 - the same
    from alembic.config import Config  # noqa: PLC0415 - the same
    from alembic.runtime.migration import MigrationContext  # noqa: PLC0415 - the same

    from gateway.ledger.schema import metadata  # noqa: PLC0415 - the same

    settings = settings_for(server.database(), key)

    def first(connection: Connection) -> None:
        config = Config()
        config.attributes["connection"] = connection
        config.set_main_option("script_location", "gateway.ledger:migrations")
        config.set_main_option("path_separator", "os")
        command.upgrade(config, "0001")

    with closing(PostgresLedger(opening_postgres.database_of(settings))) as maker:
        maker.transact(first, 30)
    # a start would bring it up, so that the check before an upgrade finds nothing
    opening_postgres.look(settings)
    with pytest.raises(LedgerError, match="is older than this ec-gateway; start the gateway"):
        opening_postgres.open_beside(settings)
    found = open_database(settings, AT)
    with closing(found.ledger) as ledger:
        assert found.before == "0001"
        assert ledger.look(lambda c: compare_metadata(MigrationContext.configure(c), metadata)) == []


def test_the_key_is_the_same_everywhere(settings: Settings, tmp_path: Path) -> None:
    """It is never made here: each gateway would make its own."""
    absent = settings.model_copy(update={"key_file": str(tmp_path / "none")})
    assert "make it by `head -c 32 /dev/urandom" in refusal(absent)
    assert not (tmp_path / "none").exists()
    open_database(settings, AT).ledger.close()
    assert "is not there, and the ledger" in refusal(absent)
    make_key(tmp_path / "other")
    assert "is not the one of this ledger" in refusal(settings.model_copy(update={"key_file": str(tmp_path / "other")}))


def test_looking_finds_what_a_start_would_refuse_and_changes_nothing(settings: Settings, tmp_path: Path) -> None:
    """A database that is empty is no mistake."""
    assert opening_postgres.look(settings) == ()
    with pytest.raises(LedgerError, match="there is no ledger in the database"):
        opening_postgres.open_beside(settings)
    open_database(settings, AT).ledger.close()
    assert opening_postgres.look(settings) == ()
    with pytest.raises(LedgerError, match="is not there"):
        opening_postgres.look(settings.model_copy(update={"key_file": str(tmp_path / "none")}))


# -- standbys -----------------------------------------------------------------------------------------------------


async def test_a_standby_that_comes_to_a_database_in_use_is_told_and_what_mends_it(
    key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is connected anew; a restart of the server is, and is seen as such; nobody's transaction waits for it."""
    monkeypatch.setattr(rules, "EVERY", 0.5)
    monkeypatch.setattr(rules, "SOON", 0.2)
    monkeypatch.setattr(rules, "REST", 0.1)
    with running() as primary:
        found = open_database(settings_for(primary.database(), key), AT)
        told: list[Event] = []
        loop = asyncio.get_running_loop()
        with closing(found.ledger) as ledger:
            watching = Durability(ledger, found.warnings, told.append, loop.time, is_borne=False)
            task = loop.create_task(watching.run())

            async def hears(name: str) -> str:
                async with asyncio.timeout(30):
                    while not any(one.name == name for one in told):  # noqa: ASYNC110 - no event for it
                        await asyncio.sleep(0.05)
                said = "; ".join(str(one.fields.get("warning")) for one in told)
                told.clear()
                return said

            await asyncio.sleep(2.0)
            assert told == []
            with running(primary):
                assert "which is asynchronous" in await hears("ledger.unsafe")
                assert await ledger.run(put("a")) == "a", "it serves on"
                primary.sql("ALTER SYSTEM SET synchronous_standby_names = '*'")
                primary.sql("SELECT pg_reload_conf()")
                await hears("ledger.safe")
                assert watching.alarm == ""
            primary.sql("ALTER SYSTEM RESET synchronous_standby_names")
            primary.sql("ALTER SYSTEM SET fsync = off")
            primary.sql("SELECT pg_reload_conf()")
            assert "has fsync off" in await hears("ledger.unsafe")
            made = ledger.connections_made
            await asyncio.to_thread(primary.stop)
            await asyncio.sleep(1.0)
            assert "fsync off" in watching.alarm, "what is not answered changes nothing"
            await asyncio.to_thread(primary.start)
            async with asyncio.timeout(30):
                while ledger.connections_made == made:  # noqa: ASYNC110 - the same
                    await asyncio.sleep(0.05)
            task.cancel()


async def test_a_frozen_server_keeps_no_connection_of_who_judges_it(key: Path) -> None:
    """It ends in time, and the next judgement comes through."""
    with running() as primary:
        database = replace(primary.database(), statement_timeout=0.3, connect_timeout=0.5)
        found = open_database(settings_for(database, key), AT)
        with closing(found.ledger) as ledger:
            assert await ledger.judge() == ()
            primary.signal(signal.SIGSTOP)
            try:
                async with asyncio.timeout(10):
                    with pytest.raises(LedgerError):
                        await ledger.judge()
                waiting, waited = asyncio.create_task(ledger.run(put("b"))), 0.0
                while not waiting.done():
                    waited = max(waited, ledger.timing.waits)
                    await asyncio.sleep(0.01)
                assert waited > 0.1, "one that is under way counts while it is"
                with pytest.raises(LedgerError):
                    await waiting
            finally:
                primary.signal(signal.SIGCONT)
            assert ledger.timing.figures().failed >= 1
            assert ledger.timing.last >= 0.3
            assert await ledger.judge() == ()


def test_a_server_that_forgets_is_refused_unless_that_is_borne(key: Path) -> None:
    """What is committed lies on the disk whatever the server's own habit is; and an asynchronous standby is named."""
    with running() as primary:
        primary.configure(synchronous_commit="off")
        primary.stop()
        primary.start()
        database = primary.database()
        found = open_database(settings_for(database, key), AT)
        with closing(found.ledger) as ledger:
            assert ledger.transact(lambda c: c.scalar(text("SHOW synchronous_commit"))) == "on"
        with running(primary) as standby:
            wait(lambda: primary.sql("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'") == "1")
            said = refusal(settings_for(database, key), MisplacedError)
            assert "which is asynchronous" in said
            assert "ledger.may_be_asynchronous: true" in said
            borne = open_database(settings_for(database, key, may_be_asynchronous=True), AT)
            borne.ledger.close()
            assert len(borne.warnings) == 1
            primary.sql("ALTER SYSTEM SET synchronous_standby_names = '*'")
            primary.sql("SELECT pg_reload_conf()")
            wait(lambda: primary.sql("SELECT sync_state FROM pg_stat_replication") == "sync")
            open_database(settings_for(database, key), AT).ledger.close()
            there = settings_for(standby.database(database.url.rpartition("/")[2]), key)
            assert "is a standby and takes no writes" in refusal(there)
        primary.sql("ALTER SYSTEM SET fsync = off")
        primary.sql("ALTER SYSTEM RESET synchronous_standby_names")
        primary.sql("SELECT pg_reload_conf()")
        wait(lambda: primary.sql("SHOW fsync") == "off")
        assert "has fsync off" in refusal(settings_for(database, key), MisplacedError)
