"""What should be known about the operators' door: by where it listens, and by what it asks."""

from typing import Any

import pytest
from pydantic import SecretStr

from gateway.base.config import Admin, Tls
from gateway.base.exposure import about_admin, is_loopback
from gateway.base.people import NamedToken, User

LONG = SecretStr("32-letters-that-nobody-can-guess")
TLS = Tls(certificate="c", key="k")


def user(memory: int = 65_536) -> User:
    """Somebody who signs in."""
    encoded = f"$argon2id$v=19$m={memory},t=3,p=4$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA"
    return User(name="kim", password_hash=SecretStr(encoded))


def told(**settings: Any) -> list[str]:
    """Return what is said about a door."""
    return about_admin(Admin(**settings))


@pytest.mark.parametrize(
    ("host", "is_near"),
    [("127.0.0.1", True), ("127.1.2.3", True), ("::1", True), ("localhost", True), ("LocalHost", True),
     ("0.0.0.0", False), ("::", False), ("10.0.0.1", False), ("gw", False), ("", False)],
)  # fmt: skip
def test_loopback_is_what_this_machine_alone_reaches(host: str, *, is_near: bool) -> None:
    """By address, and by the one name that always means it."""
    assert is_loopback(host) is is_near


def test_nothing_is_said_of_a_door_on_loopback_or_with_tls_that_asks_who_it_is() -> None:
    """With or without users there; tokens long enough, hashes that cost enough."""
    assert told() == told(token=LONG) == told(users=(user(),)) == []
    assert told(host="0.0.0.0", tls=TLS, users=(user(),), tokens=(NamedToken(name="cron", token=LONG),)) == []


def test_passwords_that_can_be_read_on_the_way_are_told() -> None:
    """And tokens; with what would help."""
    for secret in ({"token": LONG}, {"users": (user(),)}, {"tokens": (NamedToken(name="cron", token=LONG),)}):
        (one, *others) = told(host="0.0.0.0", **secret)
        assert "takes passwords and tokens without TLS" in one
        assert "set admin.tls" in one
        assert len(others) == ("token" in secret), "that one asks nobody who looks"


def test_a_door_that_shows_everything_to_everybody_is_told() -> None:
    """TLS does not ask who it is."""
    assert [one.split(";")[0] for one in told(host="10.0.0.1")] == [
        "admin.host 10.0.0.1 is reached from elsewhere without TLS",
        "admin.host 10.0.0.1 shows the state of the wallets to whoever reaches it",
    ]
    assert len(told(host="10.0.0.1", tls=TLS)) == 1


def test_what_is_cheaply_guessed_is_told_and_not_shown() -> None:
    """A short token, and a hash that costs little."""
    tokens = (NamedToken(name="cron", token=SecretStr("hunter2")), NamedToken(name="ok", token=LONG))
    said = told(token=SecretStr(" short "), tokens=tokens, users=(user(19_455), user(19_456)))
    assert [one.split(" has ")[0].split(" takes ")[0] for one in said] == [
        "admin.token", "admin.tokens cron", "the password hash of kim",
    ]  # fmt: skip
    assert "hunter2" not in str(said)
    assert "short " not in str(said)
