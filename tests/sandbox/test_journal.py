"""The journal of executed calls: what checkers believe, so nobody else may touch it and nothing may be missing."""

import json
import os
from pathlib import Path

import pytest

from gateway.sandbox.commands import ABSENT, Commands, registered
from gateway.sandbox.fleet import Fleet, RpcError
from gateway.sandbox.link import ChainLink
from gateway.sandbox.node import Node
from gateway.sandbox.storage import Journal, read_journal
from tests.sandbox.conftest import MakeFleet, receiving
from tests.sandbox.http_cases import Ask, call

integration = pytest.mark.integration


@integration
def test_every_executed_call_is_there_with_its_id_and_its_outcome(one: Fleet) -> None:
    """Results, errors, notifications and the entries of a batch, in the order in which they were done."""
    ask = Ask(one.port(0), one.password)
    ask.post([call("version", id="first"), call("createnewaddress", id=...), call("getpubkeys", "x", id=3)])
    entries = one.journal(0)
    assert [(entry["id"], entry["method"], entry["params"]) for entry in entries] == [
        ("first", "version", []),
        (None, "createnewaddress", []),
        (3, "getpubkeys", ["x"]),
    ]
    assert entries[0]["result"] == one.rpc(0, "version")
    assert entries[1]["result"] == receiving(one)[20]
    assert entries[2]["error"]["code"] == -32603
    assert entries == sorted(entries, key=lambda entry: entry["time"])


@integration
def test_what_was_not_executed_is_not_there(one: Fleet) -> None:
    """Refused, unknown and unreadable calls leave no line."""
    ask = Ask(one.port(0), one.password)
    ask.post(call("ping"), auth=None)
    ask.post(call("nope"))
    ask.post("{bad")
    ask.post(call("ping"), path="/foo")
    assert one.journal(0) == []


@integration
def test_the_line_is_there_before_the_answer_and_survives_a_kill(one: Fleet) -> None:
    """Whoever was told something finds it in the journal, in the next life too, which goes on with the same file."""
    given = []
    for _ in range(3):
        given.append(one.rpc(0, "createnewaddress"))
        assert one.journal(0)[-1]["result"] == given[-1]
    one.kill(0)
    one.start(0)
    given.append(one.rpc(0, "createnewaddress"))
    assert [entry["result"] for entry in one.journal(0)] == given
    assert given[3] == given[0]


@integration
def test_the_journal_is_out_of_reach_for_callers(make_fleet: MakeFleet) -> None:
    """It is no one else's file, not in the wallet's folder, and no method tells its place or takes one."""
    fleet = make_fleet(1)
    path = fleet.journal_path(0)
    assert path.stat().st_mode & 0o077 == 0
    assert not path.is_relative_to(fleet.directory / "wallet-0")
    for method in sorted(set(registered(Commands(_node(fleet.directory)))) - {"stop", "close_wallet"}):
        try:
            answer = json.dumps(fleet.rpc(0, method))
        except RpcError as error:
            answer = str(error)
        assert path.name not in answer


@integration
@pytest.mark.parametrize("method", ["getseed", "getprivatekeys", "setconfig", "run_cmdline", "restore", "notify"])
def test_methods_without_a_meaning_say_so(shop: Fleet, method: str) -> None:
    """What would need keys, files or the outside world is an error that names method and sandbox."""
    assert method in ABSENT
    with pytest.raises(RpcError, match=f"NotInTheSandboxError: {method} has no meaning in the sandbox"):
        shop.rpc(0, method, "x")


def test_all_methods_of_the_real_daemon_are_registered(tmp_path: Path) -> None:
    """Seventy-eight names, as the real one has them."""
    assert len(registered(Commands(_node(tmp_path)))) == 78


def test_each_line_is_on_the_disk_before_append_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Written, then fsync; only then may the answer leave."""
    path = tmp_path / "journal"
    journal = Journal(path)
    synced = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append((handle, path.read_text())))
    journal.append("id", "ping", [], {"result": True})
    assert [(handle, json.loads(text)["id"]) for handle, text in synced] == [(journal._file, "id")]
    os.close(journal._file)


def test_a_line_that_a_kill_cut_short_is_left_out(tmp_path: Path) -> None:
    """A reader meets whole lines only, also where there is no journal yet."""
    path = tmp_path / "journal"
    assert read_journal(path) == []
    path.write_text('{"id": 1}\n{"id": 2')
    assert read_journal(path) == [{"id": 1}]


def _node(folder: Path) -> Node:
    """A node that is asked nothing but its names."""
    return Node("", folder, ChainLink("127.0.0.1", 1))
