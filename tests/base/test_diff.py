"""What a reload changed: by key and by name, and never a secret."""

import pytest

from gateway.base.diff import Change, difference, needs_restart

from .conftest import Folder


def change(folder: Folder, good: str, later: str) -> list[Change]:
    """Return the difference that a later file makes."""
    return difference(folder.load(good), folder.load(good, later))


def test_nothing_changed_is_no_difference(folder: Folder, good: str) -> None:
    """Also where the same is written in other words."""
    assert change(folder, good, "listen: {port: 7777}\n") == []


def test_each_value_is_told_by_its_key_and_entries_of_lists_by_their_names(folder: Folder, good: str) -> None:
    """So that a person finds the line again."""
    later = """\
listen: {port: 1}
clients: [{name: shop, effects: [read], rate_limit: {per_second: 5}}]
wallets: {main: {backends: [{name: ec-2, url: "http://h:2"}, {name: ec-3, url: "http://h:3"}]}}
"""
    found = {one.key: (one.old, one.new) for one in change(folder, good, later)}
    assert found.pop("wallets.main.backends.ec-3.password") == ("(secret)", "(changed)")
    assert found.pop("wallets.main.backends.ec-3.wallet_password") == ("(secret)", "(changed)")
    assert found == {
        "clients.shop.effects": ("['allocate', 'local_read', 'read', 'wallet_read', 'write']", "['read']"),
        "clients.shop.rate_limit": ("None", "(absent)"),
        "clients.shop.rate_limit.per_second": ("(absent)", "5.0"),
        "clients.shop.rate_limit.burst": ("(absent)", "20"),
        "listen.port": ("7777", "1"),
        "wallets.main.backends.ec-2.url": ("http://127.0.0.1:17772", "http://h:2"),
        "wallets.main.backends.ec-3.launcher": ("(absent)", "None"),
        "wallets.main.backends.ec-3.name": ("(absent)", "ec-3"),
        "wallets.main.backends.ec-3.slots": ("(absent)", "None"),
        "wallets.main.backends.ec-3.tls.ca_file": ("(absent)", "None"),
        "wallets.main.backends.ec-3.tls.verify": ("(absent)", "True"),
        "wallets.main.backends.ec-3.url": ("(absent)", "http://h:3"),
        "wallets.main.backends.ec-3.username": ("(absent)", ""),
        "wallets.main.backends.ec-3.wallet_file": ("(absent)", "None"),
    }


def test_a_secret_is_only_said_to_have_changed(folder: Folder, good: str) -> None:
    """Neither the old one nor the new one."""
    found = change(folder, good, "clients: [{name: shop, password: battery staple}]\n")
    assert found == [Change("clients.shop.password", "(secret)", "(changed)")]


def test_a_list_that_became_empty_is_told(folder: Folder, good: str) -> None:
    """The last client may go where anybody is let in."""
    found = change(folder, good, "clients: []\nanonymous: true\n")
    assert not {one.key for one in found} & {"clients"}
    emptied = difference(
        folder.load(good),
        folder.load(good.partition("wallets:")[1] + good.partition("wallets:")[2] + "anonymous: true\n"),
    )
    assert {one.key: one.new for one in emptied}["clients"] == "()"
    assert {one.key: one.new for one in emptied}["clients.shop.username"] == "(absent)"


@pytest.mark.parametrize(
    ("later", "keys"),
    [
        ("listen: {port: 1, max_body: 4096}\n", ["listen.port"]),
        ("listen: {host: h, tls: {certificate: /dev/null, key: /dev/null}, keepalive_timeout: 5}\n",
         ["listen.host", "listen.keepalive_timeout", "listen.tls", "listen.tls.certificate", "listen.tls.key"]),
        ("admin: {port: 1}\nsandbox: true\n", ["admin.port", "sandbox"]),
        ("admin: {host: h, token: x, names: [gw], tokens: [{name: cron, token: y}]}\n", ["admin.host"]),
        ("ledger: {path: a.db}\n",
         ["ledger", "ledger.connect_timeout", "ledger.key_file", "ledger.may_be_asynchronous", "ledger.may_be_lost",
          "ledger.password", "ledger.path", "ledger.pool", "ledger.statement_timeout", "ledger.tls", "ledger.url"]),
        (("ledger: {url: postgresql://u@h/d, key_file: k}\n"
          "cluster: {name: gw-1, address: 'http://h', secret: thirty two random letters}\n"),
         ["cluster", "cluster.address", "cluster.ca_file", "cluster.lease", "cluster.name", "cluster.secret",
          "ledger", "ledger.connect_timeout", "ledger.key_file", "ledger.may_be_asynchronous", "ledger.may_be_lost",
          "ledger.password", "ledger.path", "ledger.pool", "ledger.statement_timeout", "ledger.tls", "ledger.url"]),
        ("timeouts: {fast: 2}\ndrain_timeout: 5\n", []),
    ],
)  # fmt: skip
def test_what_is_read_once_needs_a_restart(folder: Folder, good: str, later: str, keys: list[str]) -> None:
    """The doors are open already; everything else is taken over while running."""
    assert needs_restart(change(folder, good, later)) == keys


def test_keys_that_only_a_sink_knows_count_and_are_not_shown(folder: Folder, good: str) -> None:
    """They may hold a token."""
    before = good + "alerts: {sinks: [{name: pager, kind: webhook, url: 'http://h/one'}]}\n"
    found = change(folder, before, "alerts: {sinks: [{name: pager, url: 'http://h/two'}]}\n")
    assert found == [Change("alerts.sinks.pager.url", "(secret)", "(changed)")]
