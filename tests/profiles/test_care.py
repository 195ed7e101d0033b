"""How each wallet family is stopped, and its wallet closed and loaded, as data."""

import json

import pytest

from gateway.base.effects import Effect
from gateway.base.errors import ConfigError
from gateway.profiles import CARE_KEYS, load, parse, path_of


@pytest.mark.parametrize("name", ["electron-cash", "electrum"])
def test_every_family_says_all_of_it_by_methods_that_no_client_may_call(name: str) -> None:
    """Stop, close, load, and load with a password."""
    care = load(name).care
    assert set(care) == CARE_KEYS
    assert all(one.method.effect is Effect.CONTROL for one in care.values())


def test_only_what_takes_a_password_gets_it() -> None:
    """And the path of the wallet where it is wanted."""
    care = load("electron-cash").care
    assert care["load"].fill(wallet="/w", password="secret") == b"[]"
    assert not care["load"].needs_wallet
    assert care["load_with_password"].needs_wallet
    told = json.loads(care["load_with_password"].fill(wallet='/a "b"', password='x"y'))
    assert told == [{"subcommand": "load_wallet", "cwd": "/", "wallet_path": '/a "b"', "password": 'x"y'}]
    assert json.loads(load("electrum").care["load_with_password"].fill(password="p")) == {"password": "p"}


def test_other_values_are_left_as_they_are() -> None:
    """Numbers and texts that only look like it."""
    text = path_of("electron-cash").read_text(encoding="utf-8")
    changed = text.replace(
        "close: {method: close_wallet, params: []}", 'close: {method: close_wallet, params: [1, "a{wallet}"]}'
    )
    assert json.loads(parse(changed, "x.yaml").care["close"].fill(wallet="/w")) == [1, "a{wallet}"]


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("halt: {method: stop, params: []}", "care.halt"),
        ("stop: {method: getinfo, params: []}", "care.stop"),
        ("stop: {method: nothing, params: []}", "care.stop"),
        ("stop: {params: []}", "care.stop.method"),
    ],
)
def test_mistakes_are_told_with_their_line(line: str, key: str) -> None:
    """All of them at once, as with the rest of a profile."""
    text = path_of("electron-cash").read_text(encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        parse(text.replace("stop: {method: stop, params: []}", line, 1), "x.yaml")
    assert key in [problem.key for problem in caught.value.problems]
    assert all(problem.line for problem in caught.value.problems)
