"""What makes two configurations of a wallet the same."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from pydantic import SecretStr

from gateway.base.config import Client, Settings
from gateway.base.effects import Effect
from gateway.profiles import Method
from gateway.rules.config_hash import AGAIN, SETTLES, Difference, config_hash, differences, is_due, sections, see, told

PAIRS = [("ec-1", "http://10.0.0.1:7001/x?y=1"), ("ec-2", "http://10.0.0.2:7001")]


def test_configurations_are_compared_by_names_and_urls() -> None:
    """Whoever they are listed by, and whatever the url says of a password."""
    one = config_hash(PAIRS, ())
    assert len(one) == 64
    assert config_hash(reversed(PAIRS), ()) == one
    assert config_hash([("ec-1", "http://user:pw@10.0.0.1:7001/x?y=1"), PAIRS[1]], ()) == one
    assert config_hash([("ec-1", "http://10.0.0.1:7002/x?y=1"), PAIRS[1]], ()) != one
    assert config_hash([("ec-3", PAIRS[0][1]), PAIRS[1]], ()) != one
    assert config_hash(PAIRS[:1], ()) != one


def test_configurations_are_compared_by_what_methods_may_do() -> None:
    """In whatever order a profile has them, and in whatever words it refuses them."""
    read, pay = Method("getbalance", Effect.WALLET_READ), Method("payto", Effect.SIGN, forbidden={"x": "it pays"})
    one = config_hash(PAIRS, (read, pay))
    assert config_hash(PAIRS, (pay, read)) == one
    assert config_hash(PAIRS, (read, replace(pay, reason="no", forbidden={"x": "pays"}))) == one
    assert config_hash(PAIRS, (replace(read, effect=Effect.ALLOCATE), pay)) != one
    assert config_hash(PAIRS, (read, replace(pay, forbidden={}))) != one
    assert config_hash(PAIRS, (read,)) != one


# -- section by section ---------------------------------------------------------------------------------------

KEY = b"k" * 32
READ = Method("getbalance", Effect.WALLET_READ)


def plain() -> dict[str, Any]:
    """Settings of a gateway among others."""
    return {
        "clients": [
            {"name": "shop", "username": "user", "password": "s3cret", "wallets": ["main"], "max_per_day": "1.0"},
            {"name": "till", "username": "till", "password": "till", "wallets": ["main"]},
            {"name": "other", "username": "other", "password": "other", "wallets": ["second"]},
        ],
        "wallets": {
            "main": {
                "backends": [
                    {"name": "ec-1", "url": "http://10.0.0.1:7001", "username": "user", "password": "rpc"},
                    {"name": "ec-2", "url": "http://10.0.0.2:7001", "username": "user", "password": "rpc"},
                ]
            },
            "second": {"backends": [{"name": "b-1", "url": "http://10.0.0.3:7001"}]},
        },
        "ledger": {"url": "postgresql://u@db/d", "key_file": "/k"},
        "cluster": {"name": "gw-1", "address": "http://gw-1:7777", "secret": "s" * 32},
    }


def parts(change: Callable[[dict[str, Any]], object] = dict, key: bytes = KEY, *methods: Method) -> str:
    """What is told of main."""
    made = plain()
    change(made)
    settings = Settings.model_validate(made)
    return sections(key, "main", settings, settings.clients, methods or [READ])


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (lambda one: one["clients"][0].update(password="another"), "clients"),
        (lambda one: one["clients"][0].update(username="another"), "clients"),
        (lambda one: one["clients"][0].update(effects=["read"]), "clients"),
        (lambda one: one["clients"][0].update(methods=["getmpk"]), "clients"),
        (lambda one: one["clients"][0].update(errors="http"), "clients"),
        (lambda one: one["clients"].pop(1), "clients"),
        (lambda one: one["clients"].pop(0), "clients limits"),
        (lambda one: one["clients"][0].update(max_per_day="2.0"), "limits"),
        (lambda one: one["clients"][1].update(max_per_call="2.0"), "limits"),
        (lambda one: one["clients"][0].update(deadline=5.0), "limits"),
        (lambda one: one["clients"][0].update(rate_limit={"per_second": 1.0}), "limits"),
        (lambda one: one["wallets"].update(third={"backends": [{"name": "c", "url": "http://10.0.0.4:1"}]}), "wallets"),
        (lambda one: one["cluster"].update(lease=30.0), "cluster.lease"),
        (lambda one: one.pop("cluster"), "cluster.lease"),
        (lambda one: one["wallets"]["main"].update(primary="ec-2"), "backends"),
        (lambda one: one["wallets"]["main"]["backends"].pop(), "backends"),
        (lambda one: one["wallets"]["main"]["backends"][0].update(password="another"), "backends"),
        (lambda one: one["wallets"]["main"]["backends"][0].update(wallet_password="another"), "backends"),
        # what may be otherwise: names and addresses of gateways, the order, how a number is written, another wallet's
        (lambda one: one["cluster"].update(name="gw-2", address="http://gw-2:7777"), ""),
        (lambda one: one["clients"].reverse(), ""),
        (lambda one: one["clients"][0].update(max_per_day="1.00"), ""),
        (lambda one: one["clients"][2].update(password="another"), ""),
        (lambda one: one["wallets"]["second"]["backends"][0].update(url="http://10.0.0.9:1"), ""),
        (lambda one: one["wallets"]["main"]["backends"][0].update(slots=1), ""),
    ],
)
def test_what_differs_is_named(change: Callable[[dict[str, Any]], object], names: str) -> None:
    """Section by section, and nothing else."""
    assert differences(parts(), parts(change)) == tuple(names.split())


def test_the_order_of_backends_does_not_differ_where_the_primary_is_the_same() -> None:
    """The first one listed is it, unless it is named."""

    def named(one: dict[str, Any]) -> None:
        one["wallets"]["main"]["primary"] = "ec-1"
        one["wallets"]["main"]["backends"].reverse()

    assert differences(parts(), parts(named)) == ()


def test_another_profile_and_another_nobody_are_named() -> None:
    """Whoever comes without credentials is a client too."""
    assert differences(parts(), parts(dict, KEY, replace(READ, effect=Effect.ALLOCATE))) == ("profile",)
    settings = Settings.model_validate(plain())
    nobody = Client(name="anonymous", username="anonymous", password=SecretStr(""), wallets=("main",))
    assert differences(parts(), sections(KEY, "main", settings, [*settings.clients, nobody], [READ])) == ("clients",)


def test_nobody_who_reads_the_database_can_try_out_passwords() -> None:
    """Nothing of them stands there, and without the ledger's key not even a right guess is known for one."""
    shown = parts()
    assert not any(word in shown for word in ("s3cret", "rpc", "user", "shop"))
    assert differences(shown, parts(dict, b"K" * 32)) == tuple(one.partition("=")[0] for one in shown.split())
    assert len(shown) < 200


def test_only_what_both_versions_told_is_compared() -> None:
    """An older one told nothing; a newer one may tell more, and another one rubbish."""
    assert differences("a=1 b=2", "") == differences("", "a=1") == differences("a=1", "b=2 c=3") == ()
    assert differences("a=1 b=2 c=3", "c=4 b=2 z=1 a=0") == ("a", "c")
    assert differences("a=1", "a  = rubbish") == ("a",)


@pytest.mark.parametrize("bound", ["10.00", "1E+1"])
def test_a_limit_is_the_same_however_it_is_written(bound: str) -> None:
    """Ten coins are ten coins."""
    limited = Client(name="a", username="a", password=SecretStr("p"), max_per_call=Decimal(10))
    made = Settings.model_validate(plain())
    one, two = (
        sections(KEY, "main", made, [replaced], [READ])
        for replaced in (limited, limited.model_copy(update={"max_per_call": Decimal(bound)}))
    )
    assert one == two


def test_a_difference_is_told_once_it_has_lasted_and_again_while_it_does() -> None:
    """Files that are changed together are read one after the other."""
    first = see(None, "i1", ("clients",), 100.0)
    assert first == Difference("i1", ("clients",), 100.0)
    assert see(first, "i1", ("clients",), 101.0) is first
    assert not is_due(first, 100.0 + SETTLES - 0.1)
    assert is_due(first, 100.0 + SETTLES)
    again = told(first, 110.0)
    assert not is_due(again, 110.0 + AGAIN - 0.1)
    assert is_due(again, 110.0 + AGAIN)
    assert see(again, "i1", (), 120.0) is None
    assert not is_due(None, 120.0)
    assert see(again, "i1", ("limits",), 120.0) == Difference("i1", ("limits",), 120.0)
    assert see(again, "i2", ("clients",), 120.0) == Difference("i2", ("clients",), 120.0)
