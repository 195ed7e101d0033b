"""The commands of the ledger: what they say, and what they ask of a gateway that runs or does not."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import insert, select, update

from gateway.base.cluster import Ledger as Settings
from gateway.cli import main
from gateway.ledger import history, orders
from gateway.ledger.opening import open_ledger
from gateway.ledger.orders import Order
from gateway.ledger.schema import addresses, intents, keys
from gateway.ledger.store import SqliteLedger
from gateway.rules import payment
from tests.ledger.conftest import AT, fill, hash_of, key_of

CONFIG = """
clients: [{name: shop, username: shop, password: secret-of-the-shop}]
ledger: {path: ledger.db, may_be_lost: true}
wallets:
  main:
    backends:
      - {name: ec-1, url: "http://127.0.0.1:17771", username: user, password: secret-of-the-daemon}
      - {name: ec-2, url: "http://127.0.0.1:17772", username: user, password: secret-of-the-daemon}
"""
SECOND = '  savings: {backends: [{name: ec-9, url: "http://127.0.0.1:17779"}]}\n'


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration whose ledger holds a small shop; no gateway runs."""
    path = tmp_path / "gateway.yaml"
    path.write_text(CONFIG, encoding="utf-8")
    with closing(opened(path)) as ledger:
        ledger.transact(fill)
    return path


def opened(config: Path) -> SqliteLedger:
    """Open the ledger of a configuration as its gateway does."""
    return open_ledger(Settings(path=str(config.with_name("ledger.db")), may_be_lost=True), AT).ledger


def ec_gateway(*words: str | Path) -> Result:
    """Run a command, which never shows a traceback or a secret."""
    done = CliRunner().invoke(main, [str(word) for word in words])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert "Traceback" not in done.output
    assert "secret-of" not in done.output
    return done


@contextmanager
def gateway(config: Path, answer: Callable[[Order], tuple[bool, str] | None]) -> Iterator[list[Order]]:
    """Run what a gateway does with orders; None leaves one unanswered."""
    heard: list[Order] = []
    over = threading.Event()

    def serve(ledger: SqliteLedger) -> None:
        while not over.wait(0.02):
            for order in ledger.transact(lambda connection: orders.take(connection, time.time())):
                heard.append(order)
                found = answer(order)
                if found is not None:
                    tell(ledger, order, *found)

    with closing(opened(config)) as ledger:
        thread = threading.Thread(target=serve, args=(ledger,))
        thread.start()
        try:
            yield heard
        finally:
            over.set()
            thread.join()


def tell(ledger: SqliteLedger, order: Order, is_done: bool, words: str) -> None:  # noqa: FBT001 - as it was answered
    """Answer an order."""
    ledger.transact(lambda connection: orders.finish(connection, order.id, words, time.time(), is_done=is_done))


# -- looking --------------------------------------------------------------------------------------------------


def test_a_sound_ledger_is_ok_and_findings_are_told(config: Path) -> None:
    """One line each, and code 1."""
    done = ec_gateway("ledger", "check", "-c", config)
    assert (done.exit_code, done.stdout) == (0, "ok\n")
    with closing(opened(config)) as ledger:
        ledger.transact(lambda connection: connection.execute(update(addresses).values(epoch=9)))
        done = ec_gateway("ledger", "check", "-c", config)
    assert done.exit_code == 1
    assert "5 addresses are of an epoch that has not begun\n1 finding; keep a copy of" in done.stderr


def test_a_damaged_file_is_told(config: Path) -> None:
    """In one line, with what helps."""
    config.with_name("ledger.db").write_bytes(b"no database" * 1000)
    for command in ("check", "export", "prune"):
        done = ec_gateway("ledger", command, "-c", config)
        assert done.exit_code == 1
        assert "file is not a database); nothing was changed; `ec-gateway ledger restore BACKUP" in done.stderr


def test_what_a_start_would_refuse_is_found_by_both_checks(config: Path) -> None:
    """A key that is gone, a copy without what was in the log; a configuration alone is checked before its ledger."""
    secret = config.with_name("ledger.db.key")
    assert ec_gateway("check", config).exit_code == 0
    with closing(opened(config)) as ledger:
        ledger.transact(lambda connection: connection.execute(insert(keys).values(key_of("signed", "b"))))
        secret.rename(config.with_name("elsewhere"))
        for words in (("ledger", "check", "-c"), ("check",)):
            done = ec_gateway(*words, config)
            assert done.exit_code == 1
            assert "ledger.db.key is gone, and" in done.stderr
        config.with_name("elsewhere").rename(secret)
    assert ec_gateway("check", config).exit_code == 0
    config.with_name("ledger.db").write_bytes(b"")
    for words in (("ledger", "check", "-c"), ("check",)):
        done = ec_gateway(*words, config)
        assert done.exit_code == 1
        assert "it is an empty copy" in done.stderr
    for one in config.parent.glob("ledger.db*"):
        one.unlink()
    assert ec_gateway("check", config).exit_code == 0
    assert ec_gateway("ledger", "check", "-c", config).exit_code == 1


def test_a_backup_is_made_while_the_gateway_runs_and_put_back_while_it_does_not(config: Path) -> None:
    """Each says what was done and what comes next: above all, to look before a payment is asked for again."""
    copy = config.with_name("copy.db")
    with closing(opened(config)):
        done = ec_gateway("ledger", "backup", copy, "-c", config)
        assert done.exit_code == 0
        assert f"{copy}: {copy.stat().st_size:,} bytes, of " in done.stdout
        assert f"{copy}.key: its key" in done.stdout
        again = ec_gateway("ledger", "backup", copy, "-c", config)
        assert (again.exit_code, "is there already" in again.stderr) == (1, True)
        assert ec_gateway("ledger", "backup", copy, "--force", "-c", config).exit_code == 0
        refused = ec_gateway("ledger", "restore", copy, "-c", config)
        assert (refused.exit_code, "is in use by a gateway; stop it" in refused.stderr) == (1, True)
    done = ec_gateway("ledger", "restore", copy, "-c", config)
    assert done.exit_code == 0
    kept = next(config.parent.glob("ledger.db.before-*"))
    assert f"what was there before is kept as {kept}" in done.stdout
    assert "Compare the payouts since then with the chain, and do not ask for one again before" in done.stdout
    assert f"  ec-gateway ledger adopt -c {config} --wallet main\n" in done.stdout


def test_the_whole_ledger_is_printed_as_lines_of_json(config: Path) -> None:
    """While a gateway runs, too."""
    with closing(opened(config)):
        done = ec_gateway("ledger", "export", "-c", config)
    assert done.exit_code == 0
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["address"] for row in rows if row["table"] == "addresses"] == [f"qa{n}" for n in range(5)]


def test_pruning_says_how_much_it_was(config: Path) -> None:
    """Also with more rows than one transaction takes."""
    old = {"wallet": "main", "epoch": 1, "client": "shop", "method": "payto", "state": "answered", "opened_at": 1.0}
    rows = [old | {"closed_at": 1.0} for _ in range(201)]
    with closing(opened(config)) as ledger:
        ledger.transact(lambda connection: connection.execute(insert(intents), rows))
        done = ec_gateway("ledger", "prune", "-c", config)
        assert (done.exit_code, done.stdout) == (0, "201 rows removed or shortened\n")
        assert ledger.transact(lambda connection: list(connection.scalars(select(intents.c.state)))) == ["unknown"]


# -- what is missing ------------------------------------------------------------------------------------------

EVERY = [("ledger", "check"), ("ledger", "export"), ("ledger", "prune"), ("ledger", "adopt"), ("promote", "ec-2"),
         ("reinit", "ec-2"), ("outcome",), ("outcome", "order-1"), ("outcome", "order-1", "--abandon")]  # fmt: skip


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_every_command_tells_a_missing_ledger(config: Path, words: tuple[str, ...]) -> None:
    """In the files, on the disk, or the files themselves."""
    config.with_name("ledger.db").unlink()
    done = ec_gateway(*words, "-c", config)
    assert done.exit_code == 1
    assert f"there is no ledger {config.with_name('ledger.db')}; the gateway makes it when it starts" in done.stderr
    config.write_text(CONFIG.replace("ledger: {path: ledger.db, may_be_lost: true}", ""), encoding="utf-8")
    done = ec_gateway(*words, "-c", config)
    assert (done.exit_code, done.stderr) == (
        1, "ledger: there is none in this configuration; add `ledger: {path: ...}`\n",
    )  # fmt: skip
    done = ec_gateway(*words, "-c", config.with_name("none.yaml"))
    assert done.exit_code == 1
    assert "none.yaml: does not exist; name a file that is there" in done.stderr
    assert ec_gateway(*words).exit_code == 2


# -- orders ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "order"),
    [
        (("ledger", "adopt"), ("adopt", "")),
        (("promote", "ec-2"), ("promote", "ec-2")),
        (("reinit", "ec-2", "--wallet", "main"), ("reinit", "ec-2")),
        (("reinit", "ec-2", "--from", "ec-1"), ("reinit", "ec-2 ec-1")),
    ],
    ids=lambda words: words[0],
)
def test_an_order_is_answered_by_the_running_gateway(
    config: Path, words: tuple[str, ...], order: tuple[str, str]
) -> None:
    """What it did, or why it did not."""
    with gateway(config, lambda _order: (True, "it is done")) as heard:
        done = ec_gateway(*words, "-c", config)
    assert (done.exit_code, done.stdout, done.stderr) == (0, "it is done\n", "")
    assert [(one.wallet, one.verb, one.argument) for one in heard] == [("main", *order)]
    with gateway(config, lambda _order: (False, "ec-2 is not in service; try later")):
        done = ec_gateway(*words, "-c", config)
    assert (done.exit_code, done.stdout, done.stderr) == (1, "", "ec-2 is not in service; try later\n")


def test_without_a_gateway_no_order_is_left_behind(config: Path) -> None:
    """Told at once, with what to do; the next start does not find it."""
    done = ec_gateway("promote", "ec-2", "-c", config)
    assert done.exit_code == 1
    assert "no gateway has" in done.stderr
    assert "start it (`ec-gateway run`), then give the order again" in done.stderr
    config.with_name("ledger.db.lock").unlink()
    assert "no gateway has" in ec_gateway("promote", "ec-2", "-c", config).stderr
    with closing(opened(config)) as ledger:
        assert ledger.transact(lambda connection: orders.take(connection, time.time())) == []


def test_a_gateway_that_hangs_is_told_from_one_that_works(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not taken: withdrawn. Taken and not answered: it goes on."""
    monkeypatch.setattr(orders, "PATIENCE", 0.3)
    with closing(opened(config)):
        done = ec_gateway("promote", "ec-2", "-c", config)
    assert (done.exit_code, done.stderr) == (1, f"{orders.WITHDRAWN}\n")
    with gateway(config, lambda _order: None):
        done = ec_gateway("promote", "ec-2", "-c", config)
    assert done.exit_code == 1
    assert "the gateway is still at it after" in done.stderr


def test_wallets_and_backends_that_are_not_there_are_told(config: Path) -> None:
    """Before anything is ordered."""
    for words, said in (
        (("reinit", "ec-2", "--from", "ec-7"), "main has no backend ec-7; there are ec-1, ec-2"),
        (("promote", "ec-7"), "main has no backend ec-7; there are ec-1, ec-2"),
        (("promote", "ec-1", "--wallet", "x"), "there is no wallet x; there are main"),
        (("promote",), "Missing argument"),
        (("outcome", "--abandon"), "name the key to give up"),
    ):
        done = ec_gateway(*words, "-c", config)
        assert done.exit_code == 2
        assert said in done.stderr
    config.write_text(CONFIG + SECOND, encoding="utf-8")
    assert "name the wallet by --wallet; there are main, savings" in ec_gateway("ledger", "adopt", "-c", config).stderr


# -- outcomes -------------------------------------------------------------------------------------------------


def test_what_is_open_is_listed(config: Path) -> None:
    """Calls, broadcasts and keys, of all or of one."""
    done = ec_gateway("outcome", "-c", config)
    assert done.exit_code == 0
    call, broadcast, key = done.stdout.splitlines()
    when = "2027-01-15 08:00:00 UTC"
    assert call == (
        f"call 1: payto of shop in main, {when} on ec-1 (request 77); the gateway ended before it was answered"
    )
    assert broadcast == f"broadcast {'p' * 64} of shop in main, {when}; sent 2 times, last {when}"
    assert key == (
        f"key order-1: signed since {when}, never broadcast through this gateway, txid {'t' * 64}; "
        f"holds 2 coins, 0.00100000 BCH; payto of shop in main, {when}"
    )
    config.write_text(CONFIG.replace("clients: [", "clients: [{name: till, username: t, password: x}, ") + SECOND)
    for narrow in (("--client", "till"), ("--wallet", "savings")):
        assert ec_gateway("outcome", "-c", config, *narrow).stdout == "nothing is open\n"


@pytest.mark.parametrize("key", [(), ("order-1",), ("order-1", "--abandon")])
@pytest.mark.parametrize(
    ("narrow", "why"),
    [
        (("--wallet", "nope"), "there is no wallet nope; there are main"),
        (("--client", "nope"), "there is no client nope; there are shop"),
        (("--client", "\udc80"), "there is no client '\\udc80'; there are shop"),
    ],
)
def test_names_that_nobody_has_are_told_and_not_answered_with_nothing(
    config: Path, key: tuple[str, ...], narrow: tuple[str, str], why: str
) -> None:  # fmt: skip
    """Whoever mistypes must not believe that nothing is open; a name that only the ledger has is one."""
    done = ec_gateway("outcome", *key, "-c", config, *narrow)
    assert (done.exit_code, done.stdout) == (2, "")
    assert why in done.stderr
    config.write_text(CONFIG.replace("name: shop", "name: till"))
    assert ec_gateway("outcome", "order-1", "-c", config, "--client", "shop").stdout.startswith("key order-1: signed")


def test_a_key_that_is_no_text_is_told_in_one_line(config: Path) -> None:
    """A byte that is not UTF-8 came with the command line."""
    for more in ((), ("--abandon",)):
        done = ec_gateway("outcome", "order-\udc80", "-c", config, *more)
        assert done.exit_code == 2
        assert "this KEY is no text in UTF-8" in done.stderr


def test_keys_of_a_client_that_is_no_longer_configured_are_warned_of(config: Path) -> None:
    """Under its new name each of them would pay again; the ledger itself is sound."""
    assert ec_gateway("ledger", "check", "-c", config).stderr == ""
    config.write_text(CONFIG.replace("name: shop", "name: till"))
    done = ec_gateway("ledger", "check", "-c", config)
    assert (done.exit_code, done.stdout) == (0, "ok\n")
    assert done.stderr.startswith("warning: the ledger has 1 keys of client shop in wallet main")
    assert "give the client its old name back" in done.stderr


def test_one_key_is_told_and_given_up(config: Path) -> None:
    """Once; then it says that it was."""
    assert ec_gateway("outcome", "order-1", "-c", config).stdout.startswith("key order-1: signed")
    done = ec_gateway("outcome", "order-1", "-c", config, "--abandon")
    assert (done.exit_code, done.stdout) == (
        0, "the key order-1 is given up; 2 coins are released, and it never signs again\n",
    )  # fmt: skip
    with closing(opened(config)) as ledger:
        ((_, row),) = ledger.transact(lambda connection: history.read_orders(connection, 0.0, 9e9))
    assert (row.wallet, row.verb, row.outcome, row.by) == ("main", "resolve", "done", "command line")
    assert row.reason == f"key-{hash_of('order-1')[:12]}-shop executed=no"
    assert "order-1" not in repr(row)
    done = ec_gateway("outcome", "order-1", "-c", config)
    assert done.exit_code == 1
    assert "no client ever used the key order-1 here; an outcome without a key is listed" in done.stderr
    told = ec_gateway("outcome", hash_of("order-1"), "-c", config).stdout
    assert told.startswith(f"key (hash {hash_of('order-1')}): abandoned since ")
    done = ec_gateway("outcome", hash_of("order-1"), "-c", config, "--abandon")
    assert done.exit_code == 1
    assert "cannot be given up: it is abandoned already and holds nothing" in done.stderr


def test_a_key_whose_text_is_gone_is_found_by_its_text(config: Path) -> None:
    """With the ledger's own key; without it only by hash or txid."""
    secret = config.with_name("ledger.db.key")
    hashed = payment.hash_of(secret.read_bytes(), "order-old")
    row = key_of("tombstone", "x", key_hash=hashed, result=None) | {"key": None}
    with closing(opened(config)) as ledger:
        ledger.transact(lambda connection: connection.execute(insert(keys).values(row)))
    assert ec_gateway("outcome", "order-old", "-c", config).stdout.startswith(
        f"key (hash {row['key_hash']}): tombstone"
    )
    secret.chmod(0o644)
    assert "no client ever used the key order-old here" in ec_gateway("outcome", "order-old", "-c", config).stderr
    secret.unlink()
    assert ec_gateway("outcome", "t" * 64, "-c", config).exit_code == 0


def test_a_key_of_two_clients_is_given_up_by_name_only(config: Path) -> None:
    """Never both, never the wrong one."""
    row = key_of("signed", "order-1", client="till", txid="x" * 64)
    with closing(opened(config)) as ledger:
        ledger.transact(lambda connection: connection.execute(insert(keys).values(row)))
    done = ec_gateway("outcome", "order-1", "-c", config, "--abandon")
    assert done.exit_code == 1
    assert "say which: --wallet main --client shop, --wallet main --client till" in done.stderr
    done = ec_gateway("outcome", "order-1", "-c", config, "--abandon", "--client", "till")
    assert (done.exit_code, "0 coins are released" in done.stdout) == (0, True)
