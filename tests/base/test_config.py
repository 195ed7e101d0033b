"""Models: limits of each key, nothing taken for another type, nothing changed after loading."""

from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from gateway.base.config import Backend, Client, Hedge, Listen, Settings, Wallet
from gateway.base.effects import GRANTABLE, OPEN_BY_DEFAULT, Effect
from gateway.base.section import FromEnvironment

BACKEND: dict[str, Any] = {"name": "ec-1", "url": "http://127.0.0.1:17771"}


def wallet(*names: str, **more: Any) -> Wallet:
    """Return a wallet with backends of these names."""
    return Wallet(backends=tuple(Backend(**{**BACKEND, "name": name}) for name in names), **more)


@pytest.mark.parametrize(
    "url",
    ["http://h", "https://h:1", "http://127.0.0.1:65535/", "http://[::1]:7", "http://wallet-1.internal:17771/RPC2"],
)
def test_urls_of_daemons_are_taken(url: str) -> None:
    """Names, both kinds of addresses, ports, a path."""
    assert Backend(name="a", url=url).url == url


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "http or https"),
        ("h:1", "http or https"),
        ("ftp://h", "http or https"),
        ("http://", "http or https"),
        ("http://:1", "http or https"),
        ("http://h:x", "not a URL"),
        ("http://h:99999", "not a URL"),
        ("http://[::1", "not a URL"),
        ("http://h:0", "not a usable URL"),
        ("http://h h", "not a usable URL"),
        ("http://h/\n", "not a usable URL"),
        ("http://u:p@h", "use username and password_file"),
        ("http://u@h", "use username and password_file"),
        ("http://:p@h", "use username and password_file"),
        ("http://h?x=1", "a query or fragment"),
        ("http://h#x", "a query or fragment"),
    ],
)
def test_what_is_no_url_of_a_daemon_is_refused(url: str, says: str) -> None:
    """With an example, and without what may be a password."""
    with pytest.raises(ValidationError, match=says) as caught:
        Backend(name="a", url=url)
    assert caught.value.errors()[0]["type"] == "value_error"


def test_a_wallet_has_a_primary() -> None:
    """The first one listed unless another is named."""
    assert wallet("a", "b").primary_name == "a"
    assert wallet("a", "b", primary="b").primary_name == "b"


def test_settings_made_in_code_are_checked_like_those_of_a_file() -> None:
    """The sandbox makes its own."""
    assert Settings(anonymous=True, wallets={"main": wallet("a")}).wallets["main"].primary_name == "a"
    for clash, says in (
        ({"anonymous": False, "wallets": {"main": wallet("a")}}, "nobody could call"),
        ({"anonymous": True, "wallets": {"main": wallet("a", primary="b")}}, "b is not one of the backends"),
        ({"anonymous": True, "wallets": {"main": wallet("a", "a")}}, "two backends are called a"),
    ):
        with pytest.raises(ValidationError, match=says):
            Settings(**clash)  # type: ignore[arg-type]  # the keys fit


def test_clients_get_what_the_design_opens_and_nothing_that_it_refuses() -> None:
    """Signing and publishing by name; secrets and control to nobody."""
    person = {"name": "a", "username": "u", "password": SecretStr("p")}
    assert Client(**person).effects == OPEN_BY_DEFAULT  # type: ignore[arg-type]  # the keys fit
    assert Client(**person, effects=GRANTABLE).effects == GRANTABLE  # type: ignore[arg-type]  # the keys fit
    for effect in (Effect.SECRET, Effect.CONTROL):
        with pytest.raises(ValidationError, match=f"{effect} cannot be given to a client; take it out"):
            Client(**person, effects={Effect.READ, effect})  # type: ignore[arg-type]  # the keys fit
    with pytest.raises(ValidationError, match="cannot hold a colon"):
        Client(**{**person, "username": "a:b"})  # type: ignore[arg-type]  # the keys fit


@pytest.mark.parametrize(
    ("model", "field", "value"),
    [
        (Listen, "port", True),
        (Listen, "port", "7777"),
        (Listen, "port", 7.5),
        (Listen, "port", None),
        (Listen, "head_timeout", False),
        (Listen, "head_timeout", "5"),
        (Listen, "head_timeout", float("nan")),
        (Listen, "head_timeout", float("inf")),
        (Hedge, "enabled", 1),
        (Hedge, "enabled", 0.0),
        (Hedge, "enabled", "true"),
        (Backend, "slots", True),
        (Backend, "slots", "2"),
        (Backend, "slots", 257),
    ],
)
def test_nothing_is_taken_for_another_type(model: type, field: str, value: object) -> None:
    """True is no 1, 1 is no true, and "1" is text."""
    with pytest.raises(ValidationError) as caught:
        model(**(BACKEND if model is Backend else {}), **{field: value})
    assert [error["loc"] for error in caught.value.errors()] == [(field,)]


def test_a_text_of_the_environment_may_stand_for_a_number() -> None:
    """It knows no other type."""
    assert Listen(port=FromEnvironment("8080")).port == 8080  # type: ignore[arg-type]  # that it fits is the test
    assert Hedge(enabled=FromEnvironment("off")).enabled is False  # type: ignore[arg-type]  # that it fits is the test
    assert Backend(**{**BACKEND, "slots": FromEnvironment("3")}).slots == 3
    assert type(Listen(host=FromEnvironment("h")).host) is str
    with pytest.raises(ValidationError):
        Listen(port=FromEnvironment(""))  # type: ignore[arg-type]  # that it does not fit is the test


def test_settings_do_not_change_after_loading() -> None:
    """A reload builds new ones and swaps them whole."""
    with pytest.raises(ValidationError):
        Listen().port = 1
    with pytest.raises(ValidationError):
        Listen(prot=1)  # type: ignore[call-arg]  # the same
