"""What several gateways share: each mistake about it is told with its key and what would be right."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from gateway.base.cluster import Cluster, Ledger
from gateway.base.config import Backend, Settings, Wallet
from gateway.base.loader import load, warnings

from .conftest import Folder

LEDGER = "ledger:\n  url: %s\n  key_file: shared.key\n"
CLUSTER = "cluster:\n  name: gw-1\n  address: %s\n  secret: %s\n"
URL, ADDRESS, SECRET = "postgresql://ec@db:5432/ec", "http://10.0.0.11:7777", "thirty-two random letters"
SHARED = LEDGER % URL
BOTH = SHARED + CLUSTER % (ADDRESS, SECRET)


def sole(folder: Folder, *texts: str, **environ: str) -> tuple[str, str, str]:
    """Key, message and remedy of the one mistake there is."""
    (problem,) = folder.problems(*texts, **environ)
    return problem.key, problem.message, problem.remedy


def test_a_gateway_among_others_needs_four_lines(folder: Folder, good: str) -> None:
    """The rest has defaults."""
    settings = folder.load(good + BOTH)
    assert settings.cluster is not None
    assert settings.ledger is not None
    assert (settings.cluster.name, settings.cluster.address, settings.cluster.lease) == ("gw-1", ADDRESS, 3.0)
    assert settings.cluster.secret.get_secret_value() == SECRET
    assert (settings.ledger.path, settings.ledger.url) == ("", URL)
    assert (settings.ledger.pool, settings.ledger.statement_timeout) == (4, 2.0)
    assert settings.ledger.key_file == str(folder.path / "shared.key")
    assert folder.load(good).cluster is None
    assert folder.load(good + SHARED).cluster is None


def test_secrets_may_stand_in_files(folder: Folder, good: str) -> None:
    """Of the database's user and of the cluster."""
    folder.write("db", "battery staple\n")
    folder.write("gw", SECRET + "\n")
    text = BOTH.replace(f"secret: {SECRET}", "secret_file: gw").replace("  key_file", "  password_file: db\n  key_file")
    settings = folder.load(good + text)
    assert settings.ledger is not None
    assert settings.cluster is not None
    assert settings.ledger.password.get_secret_value() == "battery staple"
    assert settings.cluster.secret.get_secret_value() == SECRET


def test_a_slash_behind_an_address_is_nothing() -> None:
    """Paths are put behind it."""
    assert Cluster(name="a", address="http://h:1/", secret=SECRET).address == "http://h:1"  # type: ignore[arg-type]  # pydantic takes text


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("mysql://u@h/d", "not the URL of a PostgreSQL database"),
        ("postgres://u@h/d", "not the URL of a PostgreSQL database"),
        ("postgresql://u:hunter2@h/d", "a password does not belong into the URL"),
        ("postgresql://u:@h/d", "a password does not belong into the URL"),
        ("postgresql://u@h/", "must name a user, a host and a database"),
        ("postgresql://h/d", "must name a user, a host and a database"),
        ("postgresql://u@/d", "must name a user, a host and a database"),
        ("postgresql://u@h/d?sslmode=require", "a query or fragment means nothing here"),
        ("postgresql://u@h:port/d", "not a URL"),
        ("postgresql://u@[::1/d", "not a URL"),
        ("postgresql://u@h:0/d", "not a usable URL"),
        ('"postgresql://u@h/d e"', "not a usable URL"),
    ],
)
def test_what_is_no_database_is_refused_and_not_repeated(folder: Folder, good: str, url: str, says: str) -> None:
    """A password may stand in it."""
    key, message, remedy = sole(folder, good + LEDGER % url)
    assert key == "ledger.url"
    assert says in message
    assert "postgresql://USER@HOST" in remedy or "password_file" in remedy
    assert "hunter2" not in message + remedy


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("10.0.0.11:7777", "not an http or https URL"),
        ("tcp://h:1", "not an http or https URL"),
        ("http://:1", "not an http or https URL"),
        ("http://user:hunter2@h:1", "need no password"),
        ("http://h:1/wallets", "nothing may follow the port"),
        ("http://h:1?a=b", "nothing may follow the port"),
        ("http://0.0.0.0:7777", "no host that another gateway could call"),
        ("http://[::]:7777", "no host that another gateway could call"),
        ("http://h:99999", "not a URL"),
    ],
)
def test_an_address_is_where_others_can_knock(folder: Folder, good: str, address: str, says: str) -> None:
    """Http or https, a host that is one, and nothing else."""
    key, message, remedy = sole(folder, good + SHARED + CLUSTER % (address, SECRET))
    assert key == "cluster.address"
    assert says in message
    assert "http://10.0.0.11:7777" in remedy
    assert "hunter2" not in message + remedy


def test_a_secret_that_could_be_guessed_is_refused(folder: Folder, good: str) -> None:
    """Fifteen characters are too few, and nobody repeats them."""
    key, message, remedy = sole(folder, good + SHARED + CLUSTER % (ADDRESS, "c" * 15))
    assert key == "cluster.secret"
    assert "fewer than 16" in message
    assert "32 random letters" in remedy
    assert "ccc" not in message + remedy
    assert folder.load(good + SHARED + CLUSTER % (ADDRESS, "c" * 16)).cluster is not None


def test_a_ledger_is_a_file_or_a_database(folder: Folder, good: str) -> None:
    """Both and neither are refused, with what to keep or to add."""
    key, message, remedy = sole(folder, good + SHARED + "  path: a.db\n")
    assert (key, message) == ("ledger.path", "stands beside url, and a ledger is one of the two")
    assert remedy == "keep path for one gateway, or url for several"
    key, message, remedy = sole(folder, good + "ledger:\n  may_be_lost: true\n")
    assert (key, "is missing" in message) == ("ledger.path", True)
    assert "`path: ...`" in remedy
    assert "`url: ...`" in remedy
    with pytest.raises(ValidationError, match="is missing, and so is the other"):
        load_with(Ledger())


def load_with(ledger: Ledger) -> object:
    """Settings made in code."""
    backend = Backend(name="a", url="http://127.0.0.1:1")
    return Settings(anonymous=True, wallets={"main": Wallet(backends=(backend,))}, ledger=ledger)


def test_gateways_compare_by_one_key(folder: Folder, good: str) -> None:
    """A key of each gateway's own would let one payment be signed twice."""
    key, message, remedy = sole(folder, good + f"ledger:\n  url: {URL}\n")
    assert key == "ledger.key_file"
    assert "would not know a payment again" in message
    assert "same 32 random bytes" in remedy


def test_a_password_belongs_to_a_database(folder: Folder, good: str) -> None:
    """Beside a file it is a mistake: somebody meant url."""
    key, message, _ = sole(folder, good + "ledger:\n  path: a.db\n  password: x\n")
    assert (key, message) == ("ledger.password", "means nothing for a file")


def test_what_is_lost_is_told_once(folder: Folder, good: str) -> None:
    """A variable that is not set is no further mistake about what it should have held."""
    assert folder.told(good + LEDGER % "${NOT_SET}" + CLUSTER % (ADDRESS, "${NOT_SET}")) == [
        ("0.yaml", 13, "ledger.url"), ("0.yaml", 18, "cluster.secret"),
    ]  # fmt: skip
    assert folder.told(good + f"ledger:\n  url: {URL}\n  key_file: ${{NOT_SET}}\n") == [
        ("0.yaml", 14, "ledger.key_file")
    ]


@pytest.mark.parametrize("ledger", ["", "ledger:\n  path: a.db\n"])
def test_gateways_meet_in_a_database(folder: Folder, good: str, ledger: str) -> None:
    """A file is one gateway's."""
    key, message, remedy = sole(folder, good + ledger + CLUSTER % (ADDRESS, SECRET))
    assert key == "cluster"
    assert "ledger.url names none" in message
    assert "take cluster out" in remedy


PROCESS = "        launcher: {kind: %s, command: [a]}\n"


def test_children_of_one_gateway_cannot_be_in_a_cluster(folder: Folder, good: str) -> None:
    """The other gateway could neither see them nor start them."""
    key, message, remedy = sole(folder, good + PROCESS % "process" + BOTH)
    assert key == "wallets.main.backends[1].launcher.kind"
    assert "children of one gateway" in message
    assert "docker, supervisor or command" in remedy
    assert folder.load(good + PROCESS % "docker" + BOTH).cluster is not None
    assert folder.load(good + PROCESS % "process" + SHARED).cluster is None


TLS = "listen: {host: 10.0.0.11, tls: {certificate: a.pem, key: a.pem}}\n"


def test_an_address_speaks_as_the_door_behind_it(folder: Folder, good: str) -> None:
    """Http at a door of TLS would be answered by nothing."""
    folder.write("a.pem", "")
    key, message, _ = sole(folder, good + TLS + BOTH)
    assert (key, "listen.tls" in message) == ("cluster.address", True)
    secured = BOTH.replace("http://", "https://") + "  ca_file: a.pem\n"
    settings = folder.load(good + TLS + secured)
    assert settings.cluster is not None
    assert settings.cluster.ca_file == str(folder.path / "a.pem")
    assert folder.told(good + TLS + secured.replace("ca_file: a", "ca_file: gone")) == [
        ("0.yaml", 20, "cluster.ca_file")
    ]


def test_a_database_without_a_cluster_is_worth_a_word(folder: Folder, good: str) -> None:
    """A file is locked against a second gateway, a database is not."""
    assert any("without `cluster:`" in told for told in warnings(folder.load(good + SHARED)))
    assert not any("without `cluster:`" in told for told in warnings(folder.load(good + BOTH)))


@pytest.mark.parametrize(
    ("listen", "address", "says"),
    [
        ("127.0.0.1", "http://localhost:7777", "is reached by gateways on this machine alone"),
        ("127.0.0.1", ADDRESS, "is not reached by cluster.address unless a proxy"),
        ("10.0.0.11", ADDRESS, ""),
    ],
)
def test_an_address_that_leads_nowhere_is_worth_a_word(
    folder: Folder, good: str, listen: str, address: str, says: str
) -> None:
    """It may be meant: a trial on one machine, or a proxy."""
    path = folder.write("c.yaml", good + f"listen: {{host: {listen}}}\n" + SHARED + CLUSTER % (address, SECRET))
    told = [one for one in warnings(load([Path(path)], {})) if "cluster" in one]
    assert len(told) == bool(says)
    assert all(says in one for one in told)


def test_a_lease_is_neither_shorter_than_a_database_answers_nor_longer_than_anybody_waits(
    folder: Folder, good: str
) -> None:
    """Half a second to a minute."""
    assert folder.told(good + BOTH + "  lease: 0.1\n") == [("0.yaml", 19, "cluster.lease")]
    assert folder.told(good + BOTH + "  lease: 61\n") == [("0.yaml", 19, "cluster.lease")]
