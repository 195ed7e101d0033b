"""What thousands of cases leave in memory: nothing.

Rule: no case of Hypothesis here, for it remembers what it has tried; the same cases come again and again, so that
whatever is kept of them on purpose (heads that were seen, counters by name) is there after the first time.
"""

import asyncio
import gc
import random
import tracemalloc
from collections.abc import Callable

import pytest

from gateway.base.jsonrpc import BadAnswer, parse, read_answer
from gateway.upstream.target import Target
from tests.fuzz.corpus import ANSWERS, DOOR
from tests.fuzz.dice import Dice
from tests.fuzz.doors import Script, admin_door, rpc_door
from tests.fuzz.requests import pieces
from tests.fuzz.test_admin_door import request as order
from tests.fuzz.test_envelopes import OUR_ID, answer_of, envelope
from tests.fuzz.test_rpc_door import script
from tests.fuzz.test_wire import MemoryWire, answer, ask, fresh
from tests.virtual_time import VirtualLoop

FIRST, MORE = 2, 6
"""How often all cases come before the first look, and between the two."""

ALLOWED = 60.0
"""Bytes a case; windows of measured times, and addresses that were handed out, take less and fill up.  The least that a
case could leave behind, one object with one reference to it, takes more."""


def dice(count: int, size: int = 300) -> list[Dice]:
    """Return the same cases each time."""
    chance = random.Random(1)
    return [Dice(chance.randbytes(size)) for _ in range(count)]


def growth(cases: int, play_all: Callable[[], None]) -> float:
    """Return by how many bytes a case memory grows while all cases come some times more."""
    for _ in range(FIRST):
        play_all()
    tracemalloc.start()
    try:
        play_all()
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(MORE):
            play_all()
        gc.collect()
        return (tracemalloc.get_traced_memory()[0] - before) / (cases * MORE)
    finally:
        tracemalloc.stop()


@pytest.mark.long
def test_the_clients_door_keeps_nothing_of_what_came() -> None:
    """Good and odd requests, callers that vanish or read nothing, and the corpus."""
    with rpc_door() as rpc:

        def play_all() -> None:
            for one in dice(120, 600):
                rpc.play(script(one, "alpha"))
            for case in DOOR:
                rpc.play(Script("alpha", [case.sent], is_patient=True))

        assert growth(120 + len(DOOR), play_all) < ALLOWED


@pytest.mark.long
def test_the_operators_door_keeps_nothing_of_what_came() -> None:
    """The same for the other door."""
    with admin_door() as admin:

        def play_all() -> None:
            for one in dice(150):
                stream = order(one)
                admin.play(Script("", pieces(one, stream, []), [], one.pick(("wait", "finish", "reset"))))

        assert growth(150, play_all) < ALLOWED


@pytest.mark.long
def test_the_wire_keeps_nothing_of_what_came() -> None:
    """One wire for all answers."""
    loop = VirtualLoop()
    wire = fresh(loop)
    target = Target.make("http://127.0.0.1:1/", "u", "p", keep_alive=True)

    async def play(wire: MemoryWire) -> None:
        for one in dice(100):
            sent = answer(one)
            await ask(wire, target, pieces(one, sent, []), one.pick(("finish", "wait", "reset")))
        for case in ANSWERS:
            await ask(wire, target, [case.sent], "finish" if case.is_over else "wait")
        wire.lines.clear()

    try:
        assert growth(100 + len(ANSWERS), lambda: loop.run_until_complete(play(wire))) < ALLOWED
        loop.run_until_complete(wire.close())
        loop.run_until_complete(asyncio.sleep(0))
    finally:
        loop.close()


@pytest.mark.long
def test_the_parsers_keep_nothing_of_what_came() -> None:
    """What clients send and what daemons answer."""

    def play_all() -> None:
        for one in dice(500, 200):
            parse(envelope(one), max_depth=64, max_batch=5)
            try:
                read_answer(answer_of(one), OUR_ID)
            except BadAnswer:
                continue

    assert growth(500, play_all) < ALLOWED
