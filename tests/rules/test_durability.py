"""When a database is asked whether it keeps what it commits."""

import pytest

from gateway.rules.durability import EVERY, REST, SOON, Finding, alarm, is_due

AT = 1000.0
UNSAFE = ("the database d has fsync off",)


@pytest.mark.parametrize(
    ("age", "made", "unsafe", "due"),
    [
        (EVERY - 1, 3, (), False),
        (EVERY, 3, (), True),
        # a connection of now may lead elsewhere
        (REST, 4, (), True),
        (REST - 1, 4, (), False),
        # what is being mended is told soon
        (SOON - 1, 3, UNSAFE, False),
        (SOON, 3, UNSAFE, True),
    ],
)
def test_it_is_asked_after_new_connections_and_once_a_minute(
    *, age: float, made: int, unsafe: tuple[str, ...], due: bool
) -> None:
    """And not more often where connections are lost all the time."""
    assert is_due(Finding(AT, 3, unsafe), made, AT + age) is due


def test_nobody_is_woken_for_what_is_borne() -> None:
    """Nor where there is nothing; else the text says what becomes of the next start."""
    assert alarm((), is_borne=False) == alarm(UNSAFE, is_borne=True) == ""
    assert alarm((*UNSAFE, "b"), is_borne=False) == (
        "the database d has fsync off; b; a gateway that is started now refuses it, and this one serves on"
    )
