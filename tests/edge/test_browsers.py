"""Browsers that are known again: by their owner, and by nothing that others have."""

from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from gateway.base.people import User
from gateway.edge.browsers import LONGEST, known, mark


def user(name: str, salt: str = "c2FsdHNhbHQ") -> User:
    """Somebody; who has another salt has another password."""
    return User(name=name, password_hash=SecretStr(f"$argon2id$v=19$m=8,t=1,p=1${salt}$aGFzaGhhc2hoYXNoaGFzaA"))


KIM, LEE = user("kim"), user("lee")


def test_a_browser_is_known_to_who_signed_in_there() -> None:
    """Each by a name of its own, also beside what another door of the machine has set."""
    one, other = mark(KIM), mark(KIM)
    assert (
        known([KIM, LEE], "kim", [one]) == known([KIM], "kim", ["x.y", "", one]) == f"browser {one.partition('.')[0]}"
    )
    assert known([KIM, LEE], "kim", [one]) != known([KIM, LEE], "kim", [other])
    assert len(one) < LONGEST


def test_it_is_known_to_nobody_else_and_not_after_the_password_changed() -> None:
    """Nor for a name that nobody has."""
    one = mark(KIM)
    assert known([KIM, LEE], "lee", [one]) == ""
    assert known([KIM, LEE], "nobody", [one]) == ""
    assert known([user("kim", "b3RoZXJvdGhlcg")], "kim", [one]) == ""
    assert known([KIM], "kim", []) == ""


@given(st.text(max_size=120))
def test_nothing_that_was_made_up_is_known(written: str) -> None:
    """Whatever a cookie may say."""
    nonce, _, mac = mark(KIM).partition(".")
    for forged in (written, f"{nonce}.{written}", f"{written}.{mac}"):
        if forged != f"{nonce}.{mac}":
            assert known([KIM], "kim", [forged]) == ""
