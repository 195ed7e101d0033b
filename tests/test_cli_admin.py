"""`ec-gateway hash-password`: what it takes, what it prints, and what it never shows."""

import pytest
from click.testing import CliRunner, Result

from gateway import cli_admin
from gateway.base.people import mistake_of_hash
from gateway.cli import main
from gateway.edge.passwords import is_password

PASSWORD = "correct horse battery staple"


def hash_password(said: str | bytes, code: int = 0) -> Result:
    """Run the command with something on its standard input."""
    done = CliRunner().invoke(main, ["hash-password"], input=said)
    assert done.exit_code == code, done.output
    assert PASSWORD not in done.output
    return done


def test_the_first_line_of_standard_input_is_hashed() -> None:
    """What is printed goes into the configuration as it is."""
    done = hash_password(PASSWORD + "\r\nand more\n")
    made = done.stdout.rstrip("\n")
    assert mistake_of_hash(made) == ""
    assert is_password(made, PASSWORD)
    assert done.stderr == ""


def test_who_types_is_asked_twice_and_sees_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The questions are no part of what is printed."""
    monkeypatch.setattr(cli_admin, "is_typed", lambda: True)
    monkeypatch.setattr(cli_admin, "hash_of", lambda password: f"hash of {len(password)} letters")
    done = hash_password(f"{PASSWORD}\n{PASSWORD}\n")
    assert done.stdout == "hash of 28 letters\n"
    assert "Once more" in done.stderr
    done = hash_password(f"{PASSWORD}\nanother one\n{PASSWORD}\n{PASSWORD}\n")
    assert done.stdout == "hash of 28 letters\n"
    assert "do not match" in done.stderr


@pytest.mark.parametrize(
    ("said", "told"),
    [("", "at least 8"), ("\n", "at least 8"), ("seven77\n", "at least 8"), ("x" * 257, "at most 256"),
     (b"\xff\xff\xff\xff\xff\xff\xff\xff\n", "UTF-8")],
)  # fmt: skip
def test_what_is_no_good_password_is_refused(said: str | bytes, told: str) -> None:
    """With the way out, and nothing printed that could be taken for a hash."""
    done = hash_password(said, code=1)
    assert done.stdout == ""
    assert told in done.stderr
