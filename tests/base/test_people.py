"""People at the operators' door: what the configuration may say of them, and what of it is ever shown."""

import pytest
from pydantic import SecretStr, ValidationError

from gateway.base.people import MOST_MEMORY, NamedToken, Person, Role, User, memory_of, mistake_of_hash

from .conftest import Folder

SALT, HASH = "c2FsdHNhbHQ", "aGFzaGhhc2hoYXNoaGFzaA"


def encoded(memory: int = 65_536, rounds: int = 3, lanes: int = 4, salt: str = SALT, made: str = HASH) -> str:
    """A hash as argon2id writes it."""
    return f"$argon2id$v=19$m={memory},t={rounds},p={lanes}${salt}${made}"


@pytest.mark.parametrize(
    "good", [encoded(), encoded(8, 1, 1), encoded(MOST_MEMORY, 16, 16), encoded(salt="a/+9" * 10, made="b" * 86)]
)
def test_what_argon2id_made_is_taken(good: str) -> None:
    """Whatever it costs, within bounds."""
    assert mistake_of_hash(good) == ""
    assert memory_of(good) == int(good.partition("m=")[2].partition(",")[0])


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("", "is no hash of argon2id"),
        ("correct horse battery staple", "is no hash of argon2id"),
        (encoded().replace("argon2id", "argon2i"), "is no hash of argon2id"),
        (encoded().replace("v=19", "v=16"), "is no hash of argon2id"),
        (encoded() + "\n", "is no hash of argon2id"),
        (encoded() + "=", "is no hash of argon2id"),
        ("$2b$12$abcdefghijklmnopqrstuv", "is no hash of argon2id"),
        (encoded(made=HASH[:21]), "is cut off"),
        (encoded(made=HASH + "aaa"), "is cut off"),
        (encoded(salt=SALT[:10]), "is cut off"),
        (encoded(salt=SALT + "aa"), "is cut off"),
        (encoded(memory=MOST_MEMORY + 1), "at most m=262144"),
        (encoded(memory=31), "takes m=31"),
        (encoded(rounds=17), "takes m=65536, t=17"),
        (encoded(rounds=0), "t=0"),
        (encoded(lanes=17), "p=17"),
        (encoded(lanes=0), "p=0"),
    ],
)
def test_what_no_password_can_be_compared_with_is_told(bad: str, said: str) -> None:
    """And what would take all of the machine; with the way out, and without a word of the hash."""
    mistake = mistake_of_hash(bad)
    assert said in mistake
    assert mistake.endswith("; write what `ec-gateway hash-password` prints")
    assert SALT not in mistake
    assert "correct horse" not in mistake
    with pytest.raises(ValidationError, match="hash-password"):
        User(name="kim", password_hash=SecretStr(bad))


def test_a_mistake_is_told_at_its_line_and_a_file_may_hold_the_hash(folder: Folder, good: str) -> None:
    """As any other secret."""
    folder.write("kim", encoded() + "\n")
    users = "admin:\n  users:\n    - name: kim\n      password_hash_file: kim\n      role: operator\n"
    (user,) = folder.load(good, users).admin.users
    assert (user.name, user.role, user.password_hash.get_secret_value()) == ("kim", "operator", encoded())
    folder.write("kim", "battery staple\n")
    (problem,) = folder.problems(good, users)
    assert (problem.line, problem.key) == (4, "admin.users[0].password_hash")
    assert "battery" not in str(problem)


def test_who_has_no_role_may_only_look() -> None:
    """Orders are given by who was named an operator."""
    assert User(name="kim", password_hash=SecretStr(encoded())).role is Role.VIEWER
    assert NamedToken(name="cron", token=SecretStr("x")).role is Role.VIEWER
    assert not Person("kim", Role.VIEWER, "session").may_order
    assert Person("kim", Role.OPERATOR, "session").may_order


def test_a_person_shows_no_secret() -> None:
    """Whoever is written down is named."""
    shown = repr(Person("kim", Role.OPERATOR, "session", "its-csrf-token", b"its-key"))
    assert "kim" in shown
    assert "its-" not in shown
    assert encoded() not in repr(User(name="kim", password_hash=SecretStr(encoded())))
