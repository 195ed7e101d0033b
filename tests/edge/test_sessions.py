"""Sessions: how they begin, how long they last, and what ends them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from gateway.base.config import Admin
from gateway.base.people import Role, User
from gateway.edge.sessions import EACH, LONGEST, Sessions

SALT, OTHER = "c2FsdHNhbHQ", "b3RoZXJvdGhlcg"


def user(name: str, role: Role = Role.VIEWER, salt: str = SALT) -> User:
    """Somebody; who has another salt has another password."""
    return User(
        name=name, role=role, password_hash=SecretStr(f"$argon2id$v=19$m=8,t=1,p=1${salt}$aGFzaGhhc2hoYXNoaGFzaA")
    )


KIM, LEE = user("kim", Role.OPERATOR), user("lee")


@pytest.fixture
def sessions() -> Sessions:
    """None yet, of two users; ten minutes idle, an hour at all."""
    return Sessions([KIM, LEE], idle=600.0, life=3600.0)


def test_a_session_is_found_by_its_secret_and_by_nothing_else(sessions: Sessions) -> None:
    """It has the role of its user, and a token of its own against forged orders."""
    secret = sessions.begin(KIM, 100.0)
    found = sessions.find(secret, 101.0)
    assert found is not None
    assert (found.name, found.role, found.by) == ("kim", Role.OPERATOR, "session")
    assert found.csrf not in ("", secret)
    for other in ("", secret[:-1], secret + "a", secret.swapcase(), "a" * (LONGEST + 1), found.csrf, "\udcff"):
        assert sessions.find(other, 101.0) is None
        assert not sessions.end(other)
    assert secret not in repr(sessions)
    assert secret.encode() not in sessions._sessions, "memory holds what it is compared by, and not the secret"


def test_no_two_sessions_have_a_secret_or_a_csrf_token_in_common(sessions: Sessions) -> None:
    """So that one that was stolen is worth nothing in another."""
    secrets = [sessions.begin(KIM, 100.0) for _ in range(10)]
    people = [sessions.find(one, 100.0) for one in secrets]
    assert len(set(secrets)) == 10
    assert len({one.csrf for one in people if one is not None}) == 10


def test_a_session_that_nobody_uses_ends(sessions: Sessions) -> None:
    """Each request is a sign of life; a look by its key is none."""
    secret = sessions.begin(KIM, 0.0)
    assert (found := sessions.find(secret, 599.0)) is not None
    assert sessions.person(found.key, 1198.0) is not None
    assert sessions.find(secret, 1199.0) is None
    assert sessions.person(found.key, 1199.0) is None


def test_a_session_ends_after_its_life_however_much_it_is_used(sessions: Sessions) -> None:
    """The password is asked for again."""
    secret = sessions.begin(KIM, 0.0)
    assert all(sessions.find(secret, at) for at in range(0, 3600, 500))
    assert sessions.find(secret, 3599.0) is not None
    assert sessions.find(secret, 3600.0) is None


def test_a_session_that_was_signed_out_of_is_gone(sessions: Sessions) -> None:
    """At once, and others are not."""
    one, other = sessions.begin(KIM, 0.0), sessions.begin(KIM, 0.0)
    assert sessions.end(one)
    assert not sessions.end(one)
    assert sessions.find(one, 0.0) is None
    assert sessions.find(other, 0.0) is not None


def test_a_reload_ends_the_sessions_of_who_went_or_has_another_password(sessions: Sessions) -> None:
    """Others go on, with the role that they have now."""
    kim, lee = sessions.begin(KIM, 0.0), sessions.begin(LEE, 0.0)
    assert sessions.update(Admin(users=(user("kim", Role.VIEWER), LEE), session_idle=60)) == []
    found = sessions.find(kim, 1.0)
    assert found is not None
    assert found.role is Role.VIEWER
    assert sessions.update(Admin(users=(user("kim", salt=OTHER), LEE))) == ["kim"]
    assert sessions.find(kim, 2.0) is None
    assert sessions.update(Admin(users=())) == ["lee"]
    assert sessions.update(Admin(users=(KIM, LEE))) == []
    assert (sessions.find(kim, 3.0), sessions.find(lee, 3.0)) == (None, None), "what ended does not come back"
    assert sessions.find(sessions.begin(user("kim", salt=OTHER), 4.0), 4.0) is None, "nor what begins too late"


def test_a_reload_can_make_sessions_shorter(sessions: Sessions) -> None:
    """Also those that have begun."""
    secret = sessions.begin(KIM, 0.0)
    sessions.update(Admin(users=(KIM, LEE), session_idle=60, session_life=120))
    assert sessions.find(secret, 59.0) is not None
    assert sessions.find(secret, 118.0) is not None
    assert sessions.find(secret, 120.0) is None


def test_of_one_user_the_newest_sessions_are_kept(sessions: Sessions) -> None:
    """He ends his own with many browsers, and nobody else's."""
    lee = sessions.begin(LEE, 0.0)
    secrets = [sessions.begin(KIM, float(n)) for n in range(EACH + 3)]
    assert [sessions.find(one, 30.0) is not None for one in secrets] == [False] * 3 + [True] * EACH
    assert sessions.find(lee, 30.0) is not None


@given(st.lists(st.tuples(st.sampled_from([KIM, LEE]), st.floats(0, 2000)), max_size=80))
def test_there_are_never_more_than_some_for_each_user(signed_in: list[tuple[User, float]]) -> None:
    """Whoever signs in how often; those that have ended are thrown out."""
    sessions, now = Sessions([KIM, LEE], idle=600.0, life=3600.0), 0.0
    for one, gap in signed_in:
        now += gap
        sessions.begin(one, now)
        assert len(sessions) <= 2 * EACH
    if signed_in:
        sessions.begin(KIM, now + 3600.0)
        assert len(sessions) == 1
