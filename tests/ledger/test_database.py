"""A database is named by a url without a password, and what is wrong with it is told without one."""

from pathlib import Path

import pytest

from gateway.base.cluster import DatabaseTls
from gateway.ledger.database import LOCK, Database, engine_of, parse
from gateway.ledger.server import unsafe_standbys
from gateway.ledger.store import MisplacedError


def test_a_place_in_words_and_no_password_in_sight() -> None:
    """As it stands in the log."""
    database = Database("postgresql://gw@db.internal/ledger", "hidden")
    assert database.where == "ledger on db.internal:5432"
    assert "hidden" not in repr(database)
    assert database.patience == 4.0
    assert LOCK.bit_length() < 64


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://gw:hidden@db/ledger", "has a password in it"),
        ("mysql://gw@db/ledger", "of no database that this gateway knows"),
        ("postgresql://gw@db", "lacks"),
        ("postgresql://db/ledger", "lacks"),
        ("postgresql:///ledger", "lacks"),
        ("hidden", "cannot be read"),
        ("postgresql://gw@db:hidden/ledger", "cannot be read"),
    ],
)
def test_a_url_that_is_none_is_refused(url: str, words: str) -> None:
    """And nothing of it is repeated that may be a password."""
    with pytest.raises(MisplacedError, match=words) as caught:
        parse(url)
    assert "hidden" not in str(caught.value)


def test_an_engine_is_bounded_and_limits_are_the_servers() -> None:
    """The pool has an end."""
    engine = engine_of(Database("postgresql://gw@db/ledger", "p", pool=3), "me")
    assert engine.pool.size() == 3  # type: ignore[attr-defined]  # a queue


def test_certificates_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    """One that is no certificate; one that is away was found when the settings were read."""
    path = tmp_path / "ca.pem"
    path.write_text("nothing", encoding="utf-8")
    with pytest.raises(MisplacedError, match=r"ledger\.tls\.ca_file cannot be read"):
        engine_of(Database("postgresql://gw@db/ledger", tls=DatabaseTls(ca_file=str(path))), "me")


@pytest.mark.parametrize(
    ("standbys", "words"),
    [
        ([], None),
        ([("a", "sync"), ("b", "async")], None),
        ([("a", "quorum")], None),
        ([("a", "async")], "the standby a, which is asynchronous"),
        ([("a", "potential"), ("b", "async")], None),
        ([("a", "async"), ("b", "async")], "the standby a, b, which"),
        ([("a", "async"), ("a", "async")], "the standby a, which"),
        ([("a", None)], "GRANT pg_monitor"),
    ],
)
def test_a_standby_that_is_not_waited_for_is_named(standbys: list[tuple[str, str | None]], words: str | None) -> None:
    """Unless another one is."""
    found = list(unsafe_standbys(standbys))
    assert (words is None and found == []) or (words is not None and words in found[0])
