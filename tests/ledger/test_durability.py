"""What was committed is there, whatever ends the process or the disk; what was not is nowhere."""

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO

import pytest
from sqlalchemy import Connection, insert, select

from gateway.base.cluster import Ledger as Settings
from gateway.ledger import addresses, check
from gateway.ledger.opening import open_ledger, open_reader
from gateway.ledger.schema import intents, keys
from gateway.ledger.store import LedgerError, SqliteLedger, UncertainError

from .conftest import AT, fill, key_of

LIVES = 20

BROKEN_DISK = """
#include <errno.h>
int is_broken = 0;
static int sync_(void) { if (is_broken) { errno = EIO; return -1; } return 0; }
int fsync(int file) { (void)file; return sync_(); }
int fdatasync(int file) { (void)file; return sync_(); }
"""
"""A disk that takes what is written and, from a moment on, fails to say that it lasts."""


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqliteLedger]:
    """A ledger on this disk, with a small shop in it."""
    opened = open_ledger(Settings(path=str(tmp_path / "ledger.db"), may_be_lost=True), AT)
    with closing(opened.ledger) as ledger:
        ledger.transact(fill)
        yield ledger


def write(connection: Connection) -> None:
    """Some hundred kB in one transaction."""
    rows = [key_of("signed", f"more-{n}", result="x" * 4000, txid=f"{n:064x}") for n in range(50)]
    connection.execute(insert(keys), rows)


def count(connection: Connection) -> int:
    """How many keys there are."""
    return len(connection.execute(select(keys.c.key)).all())


@pytest.mark.integration
def test_what_a_killed_process_said_to_be_committed_is_there(tmp_path: Path) -> None:
    """Twenty times, at any instant: every number it told, in whole transactions, in a file without damage."""
    path = tmp_path / "ledger.db"
    chance = random.Random(7)
    program = [sys.executable, "-m", "tests.ledger.victim", str(path)]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as victim:
        assert victim.stdin is not None
        assert victim.stdout is not None
        there = 0
        for _ in range(LIVES):
            victim.stdin.write(b"live\n")
            told = kill_somewhen(victim.stdout, chance)
            there = assert_whole(path, max(there, told + 1))
        victim.stdin.close()
    assert there > LIVES


def kill_somewhen(stdout: IO[bytes], chance: random.Random) -> int:
    """Kill a life soon after it began and return the last number that it told; -1 when it told none."""
    pid = int(stdout.readline().removeprefix(b"pid "))
    time.sleep(chance.random() * 0.1)
    os.kill(pid, signal.SIGKILL)
    told = -1
    while (line := stdout.readline()) != b"dead\n":
        told = int(line)
    return told


def assert_whole(path: Path, sure: int) -> int:
    """All that was told or seen before is there, and nothing of a transaction without the rest; return how much."""
    engine = open_reader(path)
    with engine.begin() as connection:
        places = addresses.count(connection, "main")
        assert places in (sure, sure + 1), "one may have been committed and not told any more"
        assert addresses.handed_places(connection, "main") == places
        assert [row.state for row in connection.execute(select(intents.c.state))] == ["unknown"] * places
        wrong = [finding for finding in check.check(connection) if "of a wallet main that is not known" not in finding]
        assert wrong == []
    engine.dispose()
    return places


def test_a_full_disk_undoes_the_transaction_and_the_next_one_may_find_room(ledger: SqliteLedger) -> None:
    """What was durable before stays; nothing of the failed one is there."""

    def pages(most: int) -> None:
        with ledger.engine.connect() as connection:
            connection.exec_driver_sql(f"PRAGMA max_page_count = {most}")

    before = ledger.transact(count)
    pages(1)
    with pytest.raises(LedgerError, match="full"):
        ledger.transact(write)
    assert "full" in ledger.last_error
    assert ledger.transact(count) == before
    assert "full" in ledger.last_error, "that it can be read does not say that there is room again"
    with pytest.raises(LedgerError, match="no such table"):
        ledger.transact(lambda connection: connection.exec_driver_sql("SELECT * FROM nowhere"))
    assert ledger.transact(count) == before
    assert "full" in ledger.last_error, "nor does another error meanwhile"
    pages(100_000)
    ledger.transact(write)
    assert ledger.last_error == ""
    assert ledger.transact(count) == before + 50


@pytest.mark.parametrize("room", [0, 30_000, 60_000])
def test_a_write_that_fails_while_committing_is_no_commit(ledger: SqliteLedger, room: int) -> None:
    """The system refuses to let the file grow, at the first page or in the midst of them; later it does again."""
    before = ledger.transact(count)
    size = Path(f"{ledger.path}-wal").stat().st_size
    with no_file_beyond(size + room), pytest.raises(LedgerError, match=r"disk I/O error|full"):
        ledger.transact(write)
    assert ledger.transact(count) == before
    ledger.transact(write)
    assert ledger.transact(count) == before + 50
    assert ledger.transact(check.check) == []


@pytest.mark.integration
@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler to make a broken disk with")
def test_of_a_commit_whose_fsync_fails_nobody_says_that_it_was_not_done(tmp_path: Path) -> None:
    """All of it is in the log by then, and the next start finds it there."""
    source, library, path = tmp_path / "disk.c", tmp_path / "disk.so", tmp_path / "ledger.db"
    source.write_text(BROKEN_DISK)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True, timeout=60)
    program = [sys.executable, "-m", "tests.ledger.broken_disk", str(path), str(library)]
    told = subprocess.run(
        program, env=os.environ | {"LD_PRELOAD": str(library)}, check=True, capture_output=True, text=True, timeout=60
    )
    assert told.stdout == "UncertainError"
    engine = open_reader(path)
    with engine.begin() as connection:
        assert addresses.count(connection, "main") == 2
    engine.dispose()


def test_of_a_commit_after_which_the_log_was_gone_nobody_says_that_it_was_not_done(ledger: SqliteLedger) -> None:
    """What SQLite has written is brought where a restart finds it."""

    def work(connection: Connection) -> None:
        write(connection)
        log = Path(f"{ledger.path}-wal")
        log.rename(f"{log}.moved")

    before = ledger.transact(count)
    with pytest.raises(UncertainError, match="-wal is gone"):
        ledger.transact(work)
    with pytest.raises(LedgerError) as later:
        ledger.transact(count)
    assert not isinstance(later.value, UncertainError), "nothing was begun"
    assert ledger.path is not None
    engine = open_reader(ledger.path)
    with engine.begin() as connection:
        assert count(connection) == before + 50
    engine.dispose()


def test_a_full_disk_while_committing_is_certain(ledger: SqliteLedger) -> None:
    """The client may be told that nothing was done: what ended so is in no log."""
    with ledger.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1")
    with pytest.raises(LedgerError) as told:
        ledger.transact(write)
    assert not isinstance(told.value, UncertainError)


@contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    """Let no file of this process grow past a size; what it had is given back."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
