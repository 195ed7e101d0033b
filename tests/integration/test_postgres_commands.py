"""The commands of the ledger on a real PostgreSQL: what they tell is the same as of a file."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import insert, select, update

from gateway.base.cluster import Ledger as Settings
from gateway.base.events import Event
from gateway.base.loader import load
from gateway.cli import main
from gateway.ledger import events, history, marks, orders
from gateway.ledger.backup import back_up
from gateway.ledger.database import parse
from gateway.ledger.key_file import make_key, mark_of
from gateway.ledger.key_of import MOVED, note
from gateway.ledger.opening import open_beside, open_ledger
from gateway.ledger.opening_postgres import open_database
from gateway.ledger.orders import Order
from gateway.ledger.postgres import PostgresLedger
from gateway.ledger.schema import addresses, intents, invoices, wallets
from gateway.ledger.seal import SEQUENCE
from gateway.ledger.store import LedgerError
from tests.integration.postgres_server import PASSWORD, Server, server
from tests.ledger import test_history
from tests.ledger.conftest import AT, fill

__all__ = ("server",)

CONFIG = """
wallets:
  main:
    backends:
      - {name: ec-1, url: "http://127.0.0.1:17001", username: rpc, password: secret-of-ec-1}
      - {name: ec-2, url: "http://127.0.0.1:17002", username: rpc, password: secret-of-ec-2}
clients:
  - {name: shop, username: shop, password: secret-of-the-shop, wallets: [main]}
"""


@pytest.fixture
def settings(server: Server, tmp_path: Path) -> Settings:
    """Of a ledger that is empty."""
    make_key(tmp_path / "key")
    said = {"url": server.database().url, "password": PASSWORD, "key_file": str(tmp_path / "key")}
    return Settings.model_validate(said)


@pytest.fixture
def config(settings: Settings, tmp_path: Path) -> Path:
    """A configuration whose ledger holds a small shop; no gateway runs."""
    path = tmp_path / "gateway.yaml"
    lines = f"ledger: {{url: '{settings.url}', password: {PASSWORD}, key_file: {settings.key_file}}}\n"
    path.write_text(CONFIG + lines, encoding="utf-8")
    path.chmod(0o600)
    with closing(open_database(settings, AT).ledger) as ledger:
        ledger.transact(fill)
    return path


def ec_gateway(*words: str | Path) -> Result:
    """Run a command, which never shows a traceback or a secret."""
    done = CliRunner().invoke(main, [str(word) for word in words])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert "Traceback" not in done.output
    assert "secret-of" not in done.output
    return done


@contextmanager
def gateway(settings: Settings) -> Iterator[PostgresLedger]:
    """Run what a gateway does with orders."""
    over = threading.Event()

    def serve(ledger: PostgresLedger) -> None:
        while not over.wait(0.02):
            for order in ledger.transact(lambda connection: orders.take(connection, time.time())):
                answer(ledger, order)

    def answer(ledger: PostgresLedger, order: Order) -> None:
        ledger.transact(lambda c: orders.finish(c, order.id, f"{order.verb} is done", time.time(), is_done=True))

    with closing(open_database(settings, AT).ledger) as ledger:
        thread = threading.Thread(target=serve, args=(ledger,))
        thread.start()
        try:
            yield ledger
        finally:
            over.set()
            thread.join()


def test_a_sound_ledger_is_ok_and_findings_are_told(config: Path, settings: Settings) -> None:
    """One line each, and code 1."""
    done = ec_gateway("ledger", "check", "-c", config)
    assert (done.exit_code, done.stdout) == (0, "ok\n")
    with closing(open_database(settings, AT).ledger) as ledger:
        ledger.transact(lambda connection: connection.execute(update(addresses).values(epoch=9)))
        done = ec_gateway("ledger", "check", "-c", config)
    assert done.exit_code == 1
    assert f"5 addresses are of an epoch that has not begun\n1 finding; keep a copy of {settings.url}" in done.stderr


def test_the_whole_ledger_is_printed_and_pruned(config: Path, settings: Settings) -> None:
    """While a gateway runs, too."""
    old = {"wallet": "main", "epoch": 1, "client": "shop", "method": "payto", "state": "answered", "opened_at": 1.0}
    with closing(open_database(settings, AT).ledger) as ledger:
        ledger.transact(lambda c: c.execute(insert(intents), [old | {"closed_at": 1.0} for _ in range(201)]))
        done = ec_gateway("ledger", "export", "-c", config)
        assert done.exit_code == 0
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        assert [row["address"] for row in rows if row["table"] == "addresses"] == [f"qa{n}" for n in range(5)]
        done = ec_gateway("ledger", "prune", "-c", config)
        assert (done.exit_code, done.stdout) == (0, "201 rows removed or shortened\n")


def test_outcomes_are_told_and_given_up(config: Path) -> None:
    """As of a file."""
    done = ec_gateway("outcome", "-c", config)
    assert done.exit_code == 0
    assert "key order-1: signed" in done.stdout
    assert ec_gateway("outcome", "order-1", "-c", config).stdout.startswith("key order-1: signed")
    done = ec_gateway("outcome", "order-1", "--abandon", "-c", config)
    assert done.stdout == "the key order-1 is given up; 2 coins are released, and it never signs again\n"
    done = ec_gateway("outcome", "nobody", "-c", config)
    assert (done.exit_code, "no client ever used the key nobody" in done.stderr) == (1, True)
    assert ec_gateway("outcome", "-c", config, "--wallet", "other").exit_code == 2


def test_orders_go_to_a_gateway_that_runs(config: Path, settings: Settings) -> None:
    """Without one they are not placed."""
    done = ec_gateway("promote", "ec-2", "-c", config)
    assert done.exit_code == 1
    assert f"no gateway has {settings.url} open; start it" in done.stderr
    with gateway(settings):
        for words, told in ((("promote", "ec-2"), "promote is done\n"), (("ledger", "adopt"), "adopt is done\n")):
            done = ec_gateway(*words, "-c", config)
            assert (done.exit_code, done.stdout) == (0, told)


def test_what_was_lost_is_taken_for_granted_by_adopt(config: Path, settings: Settings, server: Server) -> None:
    """First for all wallets, and then each by itself."""
    name = settings.url.rpartition("/")[2]
    server.sql("INSERT INTO meta (key, value) VALUES ('lost', '9000')", name)
    assert "older than what was committed" in ec_gateway("ledger", "prune", "-c", config).stderr
    done = ec_gateway("ledger", "adopt", "-c", config)
    assert done.exit_code == 0
    assert "Restart the gateways, then run this again for each wallet" in done.stdout
    assert int(server.sql(f"SELECT value FROM meta WHERE key = '{SEQUENCE}'", name)) > 9000  # noqa: S608 - ours
    with gateway(settings) as ledger:
        assert ledger.transact(lambda c: c.scalar(select(wallets.c.state))) == "doubted"
        assert ec_gateway("ledger", "adopt", "-c", config).stdout == "adopt is done\n"


def test_copies_are_left_to_the_means_of_the_database(config: Path, settings: Settings, tmp_path: Path) -> None:
    """Said clearly, with the command."""
    done = ec_gateway("ledger", "backup", tmp_path / "copy", "-c", config)
    assert done.exit_code == 1
    assert f"`pg_dump --format=custom --file={tmp_path / 'copy'} {settings.url}`" in done.stderr
    done = ec_gateway("ledger", "restore", tmp_path / "copy", "-c", config)
    assert done.exit_code == 1
    assert "`pg_restore --clean --if-exists" in done.stderr


# -- from a file into a database --------------------------------------------------------------------------------


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """The ledger of a gateway that was alone, and that has stopped."""
    path = tmp_path / "shop.db"
    with closing(open_ledger(Settings(path=str(path), may_be_lost=True), AT).ledger) as ledger:
        ledger.transact(fill)
        ledger.transact(lambda c: marks.put(c, "main", marks.LABEL, "q1", "ring\0 twice", "client", AT))
        for _ in range(3):
            ledger.transact(lambda c: events.add(c, Event("backend.ejected"), AT))
        ledger.transact(lambda c: history.begin(c, test_history.FIRST, 0))
        ledger.transact(lambda c: history.write(c, test_history.FIRST, test_history.BATCH, AT, history.STOPPED))
    return path


@pytest.fixture
def empty(server: Server, shop: Path, tmp_path: Path) -> Path:
    """A configuration whose database holds nothing, with the key of the shop."""
    return config_of(server.database().url, Path(f"{shop}.key"), tmp_path / "empty.yaml")


def config_of(url: str, key: Path, path: Path) -> Path:
    """Write a configuration with a database."""
    lines = f"ledger: {{url: '{url}', password: {PASSWORD}, key_file: {key}}}\n"
    path.write_text(CONFIG + lines, encoding="utf-8")
    path.chmod(0o600)
    return path


def rows_of(config: Path) -> list[dict[str, object]]:
    """What a ledger holds, but what it says of itself."""
    lines = map(json.loads, ec_gateway("ledger", "export", "-c", config).stdout.splitlines())
    return [one for one in lines if one["table"] not in (None, "meta")]


def test_a_shop_takes_its_ledger_along(shop: Path, empty: Path, tmp_path: Path) -> None:
    """Row by row; numbers go on where they were; the file is closed for good, and a second move changes nothing."""
    alone = tmp_path / "alone.yaml"
    alone.write_text(CONFIG + f"ledger: {{path: {shop}, may_be_lost: true}}\n", encoding="utf-8")
    alone.chmod(0o600)
    before = rows_of(alone)
    assert {"incidents", "restarts", "audit", "availability", "lives"} <= {one["table"] for one in before}
    done = ec_gateway("ledger", "move", shop, "-c", empty)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith(f"{len(before)} rows of {shop} are in the database ledger_")
    after = rows_of(empty)
    moved = after.pop(next(at for at, one in enumerate(after) if one.get("name") == "ledger.moved"))
    assert moved["seq"] == 1 + max(int(str(one["seq"])) for one in before if one["table"] == "events")
    assert [one if one["table"] != "marks" else one | {"value": "ring\ufffd twice"} for one in before] == after
    for refused in (ec_gateway("ledger", "check", "-c", alone), ec_gateway("check", alone)):
        assert refused.exit_code == 1
        assert "was moved into the database" in refused.output
    with pytest.raises(LedgerError, match="was moved into the database"):
        open_ledger(Settings(path=str(shop), may_be_lost=True), AT)
    again = ec_gateway("ledger", "move", shop, "-c", empty)
    assert (again.exit_code, "already" in again.stdout) == (0, True)
    assert len(rows_of(empty)) == len(before) + 1


def test_a_ledger_never_comes_to_two_databases(shop: Path, empty: Path, server: Server, tmp_path: Path) -> None:
    """Not after a move, not after one that was broken off, and not into a database that was made anew."""
    other = config_of(server.database().url, Path(f"{shop}.key"), tmp_path / "other.yaml")
    # broken off before anything came, and given again
    with closing(open_beside(shop)) as ledger:
        place = parse(load([empty], {}).ledger.url).database  # type: ignore[union-attr]  # it has one
        ledger.transact(lambda connection: note(connection, MOVED, f"{place} on 127.0.0.1:{server.port}"))
    refused = ec_gateway("ledger", "move", shop, "-c", other)
    assert (refused.exit_code, "was broken off" in refused.stderr) == (1, True)
    assert ec_gateway("ledger", "move", shop, "-c", empty).exit_code == 0
    refused = ec_gateway("ledger", "move", shop, "-c", other)
    assert (refused.exit_code, "what was done since is not in it" in refused.stderr) == (1, True)
    assert rows_of(other) == []
    server.sql(f"DROP DATABASE {place}")
    server.sql(f"CREATE DATABASE {place} TEMPLATE template0")
    refused = ec_gateway("ledger", "move", shop, "-c", empty)
    assert (refused.exit_code, "what was done since is not in it" in refused.stderr) == (1, True)


def test_a_move_that_cannot_be_done_changes_nothing(
    shop: Path, empty: Path, config: Path, settings: Settings, tmp_path: Path, server: Server
) -> None:
    """A database in use, one that was used, a wrong key, a copy, a file in use, and one that the server refuses."""
    mine = Settings(path=str(shop), may_be_lost=True)

    def refusal(config: Path, file: Path = shop) -> str:
        done = ec_gateway("ledger", "move", file, "-c", config)
        assert done.exit_code == 1
        return done.stderr

    assert "is not the one of that ledger" in refusal(config)
    url = load([config], {}).ledger.url  # type: ignore[union-attr]  # it has one
    # the same key there
    Path(str(settings.key_file)).write_bytes(Path(f"{shop}.key").read_bytes())
    mark = mark_of(Path(f"{shop}.key").read_bytes())
    server.sql(f"UPDATE meta SET value = '{mark}' WHERE key = 'key_mark'", url.rpartition("/")[2])  # noqa: S608 - ours
    assert "has a ledger that was used already" in refusal(config)
    with closing(open_database(settings, AT).ledger):
        assert "has the database" in refusal(config)
    with closing(open_ledger(mine, AT).ledger):
        assert "is in use by a gateway" in refusal(empty)
    back_up(mine, tmp_path / "copy.db", AT)
    assert "is a copy and not the ledger" in refusal(empty, tmp_path / "copy.db")
    assert "there is no" in refusal(empty, tmp_path / "nowhere.db")
    # a name that is longer than the column
    with closing(open_beside(shop)) as ledger:
        ledger.transact(lambda c: c.execute(update(invoices).values(client="x" * 64)))
    assert "too long" in refusal(empty)
    assert rows_of(empty) == []
    # the file is as good as before
    open_ledger(mine, AT).ledger.close()
    with closing(open_beside(shop)) as ledger:
        ledger.transact(lambda c: c.execute(update(invoices).values(client="shop")))
    assert ec_gateway("ledger", "move", shop, "-c", empty).exit_code == 0


def test_a_database_that_is_away_or_empty_is_told(config: Path, settings: Settings, server: Server) -> None:
    """By each command, in one line."""
    empty = server.database().url
    config.write_text(config.read_text(encoding="utf-8").replace(settings.url, empty), encoding="utf-8")
    for words in (("export",), ("prune",), ("adopt",)):
        done = ec_gateway("ledger", *words, "-c", config)
        assert done.exit_code == 1
        assert "there is no ledger in the database" in done.stderr
    config.write_text(config.read_text(encoding="utf-8").replace(str(server.port), "1"), encoding="utf-8")
    done = ec_gateway("ledger", "check", "-c", config)
    assert (done.exit_code, "see whether the database runs" in done.stderr) == (1, True)
