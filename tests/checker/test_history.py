"""What is written down is read again as it was."""

from pathlib import Path
from typing import Any

import pytest

from tests.checker.history import (
    BROKEN,
    ERROR,
    LEFT,
    REFUSED,
    RESULT,
    Block,
    Deed,
    Diary,
    Op,
    Paid,
    Record,
    address_of,
    read,
)


def op(how: str = RESULT, method: str = "createnewaddress", **more: Any) -> Op:
    """One call."""
    return Op("shop", "desk", method, [], 1.0, 2.0, how, **more)


def test_a_diary_is_read_again_but_for_a_line_cut_short(tmp_path: Path) -> None:
    """As after a kill."""
    path = tmp_path / "diary.jsonl"
    records: list[Record] = [
        op(result="bchreg:A", key="k"),
        Deed("kill", 1, 1.0, 2.0),
        Block(121, 3.0),
        Paid("A", 5, "t", 4.0),
    ]
    diary = Diary(path)
    for record in records:
        diary.write(record)
    diary.close()
    with path.open("a") as file:
        file.write('{"is": "Op", "client"')
    assert list(read(path)) == records


@pytest.mark.parametrize(
    ("ended", "executed"),
    [
        (op(), "yes"),
        (op(ERROR, error={"code": -32603, "message": "the daemon's own"}), "yes"),
        (op(ERROR, error={"code": -32001, "data": {"executed": "no"}}), "no"),
        (op(ERROR, error={"code": -32004, "data": {"executed": "unknown"}}), "unknown"),
        (op(BROKEN), "unknown"),
        (op(LEFT), "unknown"),
        (op(REFUSED), "no"),
    ],
)
def test_a_client_knows_of_the_execution_what_it_was_told(ended: Op, executed: str) -> None:
    """A broken connection tells nothing."""
    assert ended.executed == executed


@pytest.mark.parametrize(
    ("ended", "address"),
    [
        (op(result="bchreg:A"), "A"),
        (op(result="A"), "A"),
        (op(method="addrequest", result={"address": "bchreg:A", "amount": 1}), "A"),
        (op(method="addrequest", result=False), None),
        (op(result={"error": "dressed as a result"}), None),
        (op(LEFT, result=None), None),
        (op(method="ismine", result="A"), None),
    ],
)
def test_the_address_of_an_answer(ended: Op, address: str | None) -> None:
    """Bare, whatever shape the answer has."""
    assert address_of(ended) == address
