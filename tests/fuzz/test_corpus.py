"""The corpus, case by case: in one piece, and in pieces of seven bytes and of one; at both doors and on the wire."""

import asyncio
from collections.abc import Iterator

import pytest

from gateway.upstream.outcome import Fate
from gateway.upstream.target import Target
from tests.edge.admin_world import TOKEN
from tests.fuzz.corpus import ANSWERS, CALL, DOOR, OURS, SECRET, Answer, Case
from tests.fuzz.doors import AdminStage, RpcStage, Script, admin_door, result_words, rpc_door
from tests.fuzz.reading import read_answers
from tests.fuzz.test_wire import ask, fresh
from tests.virtual_time import run_virtual

RUN: dict[str, tuple[list[str], ...]] = {
    "refused": ([],), "none": ([],), "one": (["1"],), "two": (["1", "2"],), "second": (["2"],),
    "at most one": ([], ["1"]),
}  # fmt: skip
"""Which calls are run, by what must come."""

SIZES = pytest.mark.parametrize("size", [1 << 20, 7, 1], ids=["whole", "sevens", "bytes"])


@pytest.fixture(scope="module")
def rpc() -> Iterator[RpcStage]:
    """One door for all cases."""
    with rpc_door() as opened:
        yield opened


@pytest.fixture(scope="module")
def admin() -> Iterator[AdminStage]:
    """The same for operators."""
    with admin_door() as opened:
        yield opened


def cut(sent: bytes, size: int) -> list[bytes]:
    """Return it in pieces of that size."""
    return [sent[at : at + size] for at in range(0, len(sent), size)]


@SIZES
@pytest.mark.parametrize("case", DOOR, ids=lambda case: case.name)
def test_what_readers_disagree_about_is_read_by_nobody(rpc: RpcStage, case: Case, size: int) -> None:
    """Refused and closed, or run exactly as often as it says."""
    one = Script("alpha", cut(case.sent, size), is_patient=True)
    rpc.play(one)
    answers = read_answers(one.got)
    assert answers.end == "whole", answers.rest[:200]
    ran = [str(members.get("params")[1]) for members in rpc.sent]
    assert ran in RUN[case.must]
    results = [word for answer in answers.messages for word in result_words(answer)]
    assert len(results) == len(ran)
    if case.must == "refused":
        assert len(answers.messages) <= 1
        assert all(400 <= answer.status < 600 for answer in answers.messages)


def as_orders(sent: bytes) -> bytes:
    """Return the same bytes with an order where a call is: of the same length, so that what is said of it stays."""
    orders = {CALL: b'{"reason": "1"}', SECRET: b'{"reason": "2"}'}
    for call, order in orders.items():
        sent = sent.replace(call, order.ljust(len(call)))
    sent = sent.replace(b"POST / HTTP", b"POST /api/v1/wallets/main/backends/ec-1/restart HTTP")
    shown = f"Authorization: Bearer {TOKEN}\r\nContent-Type: application/json".encode()
    return sent.replace(b"Authorization: Basic c2hvcDpzaG9w", shown)


@SIZES
@pytest.mark.parametrize("case", DOOR, ids=lambda case: case.name)
def test_the_operators_door_obeys_nothing_that_readers_disagree_about(admin: AdminStage, case: Case, size: int) -> None:
    """The same cases with orders in them."""
    one = Script("", cut(as_orders(case.sent), size))
    admin.play(one)
    ran = [said[2] for said in admin.world.orders.heard]
    # an order needs no body, so that the one without a length is one as well
    assert ran in (RUN[case.must] if case.must != "second" else (["", "2"],))


@SIZES
@pytest.mark.parametrize("case", ANSWERS, ids=lambda case: case.name)
def test_an_answer_is_ours_and_whole_or_the_call_has_none(case: Answer, size: int) -> None:
    """And whatever stands behind it is nobody's."""

    async def call() -> None:
        wire = fresh(asyncio.get_running_loop())
        target = Target.make("http://127.0.0.1:1/", "u", "p", keep_alive=True)
        outcome = await ask(wire, target, cut(case.sent, size), "finish" if case.is_over else "wait")
        assert (outcome.fate is Fate.ANSWERED) == case.is_taken, outcome
        assert outcome.body == (OURS if case.is_taken else b"")
        await wire.close()

    run_virtual(call())
