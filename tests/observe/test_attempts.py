"""One debug line for each attempt, with the time of every step and nothing that was said in it."""

import json
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from gateway import __version__
from gateway.base.config import Log
from gateway.base.jsonrpc import Answer
from gateway.base.trace import CURRENT, Trace
from gateway.observe import logs
from gateway.observe.attempts import attempt_line, call_line
from gateway.observe.metrics import Metrics
from gateway.rules.retry import Sent, Tried
from gateway.upstream.wire import Fate, Outcome
from tests.observe.conftest import Lines
from tests.simulation.world import World
from tests.virtual_time import run_virtual


def attempt(**changes: object) -> SimpleNamespace:
    """As much of an attempt as a line needs; it was begun at 100.0 and waited for half a second before."""
    errand = SimpleNamespace(
        wallet="main",
        client="shop",
        method=SimpleNamespace(name="getbalance"),
        arrived_at=99.5,
        params=b'["words of a seed"]',
        trace=None,
    )
    fields = {
        "errand": errand,
        "backend": SimpleNamespace(name="ec-1"),
        "our_id": "g7",
        "is_hedge": False,
        "started_at": 100.0,
    }
    return SimpleNamespace(**(fields | changes))


def outcome(fate: Fate = Fate.ANSWERED, reason: str = "", **changes: object) -> Outcome:
    """An end; the steps took 1, 2 and 30 ms."""
    fields: dict[str, Any] = {
        "fate": fate,
        "reason": reason,
        "status": 200,
        "body": b'{"result": "words of a seed"}',
        "reused": False,
        "connected_at": 100.001,
        "sent_at": 100.002,
        "first_byte_at": 100.03,
        "ended_at": 100.031,
    }
    return Outcome(**(fields | changes))


def test_an_answered_attempt_tells_every_step(lines: Lines) -> None:
    """In milliseconds since it was begun, and how long it had waited before."""
    attempt_line(attempt(), outcome(), Answer(b'"words of a seed"', None), 100.031)
    [line] = lines()
    del line["timestamp"]
    assert line == {
        "event": "attempt",
        "level": "debug",
        "wallet": "main",
        "backend": "ec-1",
        "method": "getbalance",
        "client": "shop",
        "request": "g7",
        "hedge": False,
        "fate": "answered",
        "reason": "",
        "status": 200,
        "reused": False,
        "waited_ms": 500.0,
        "connected_ms": 1.0,
        "sent_ms": 2.0,
        "first_byte_ms": 30.0,
        "ended_ms": 31.0,
        "bytes": 29,
    }


def test_steps_that_were_not_reached_are_empty(lines: Lines) -> None:
    """A refused connection was neither made nor written to."""
    end = outcome(Fate.NOT_SENT, "refused", status=0, body=b"", connected_at=0.0, sent_at=0.0, first_byte_at=0.0)
    attempt_line(attempt(is_hedge=True), end, Tried(Sent.NO, "refused"), 100.002)
    [line] = lines()
    assert [line[name] for name in ("connected_ms", "sent_ms", "first_byte_ms", "ended_ms")] == [None, None, None, 2.0]
    assert (line["fate"], line["reason"], line["hedge"]) == ("not_sent", "refused", True)


def test_nothing_that_was_asked_or_answered_is_in_a_line(lines: Lines) -> None:
    """Neither parameters nor results."""
    attempt_line(attempt(), outcome(), Answer(b'"words of a seed"', None), 100.031)
    assert "words" not in json.dumps(lines())


def test_a_line_that_cannot_be_written_is_not_the_attempts_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes after it is the recording of the attempt itself."""
    logs.configure(Log(level="debug"), sandbox=False)
    monkeypatch.setattr(sys, "stdout", None)
    attempt_line(attempt(our_id=object()), outcome(), Answer(b"1", None), 100.031)
    assert logs.dropped_lines() == 1


def test_a_call_and_its_tries_name_their_trace(lines: Lines) -> None:
    """The try below the call, the call below whoever called us; a call without one has none."""
    trace = Trace("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", "01", lambda _: 7)
    one = attempt(hop="bbbbbbbbbbbbbbbb")
    one.errand.trace = trace
    token = CURRENT.set(trace)
    try:
        attempt_line(one, outcome(), Answer(b"1", None), 100.031)
        call_line("main", "getbalance", "wallet_read", "ok", 0.5314)
    finally:
        CURRENT.reset(token)
    call_line("main", "getbalance", "wallet_read", "ok", 0.5)
    tried, called, without = lines()
    assert (tried["trace"], tried["parent"], tried["span"]) == (trace.id, "8000000000000007", "bbbbbbbbbbbbbbbb")
    assert (called["trace"], called["parent"], called["span"]) == (trace.id, "00f067aa0ba902b7", "8000000000000007")
    assert (called["event"], called["method"], called["outcome"], called["ms"]) == ("call", "getbalance", "ok", 531.4)
    assert "trace" not in without


@pytest.mark.parametrize(("level", "expected"), [("debug", 1), ("info", 0)])
def test_a_call_through_the_whole_core_is_one_line_an_attempt(
    capsys: pytest.CaptureFixture[str], level: str, expected: int
) -> None:
    """Read, write and one that is repeated: as many lines as tries, none above debug."""
    logs.configure(Log(level=level), sandbox=False)  # type: ignore[arg-type]  # it is one of them
    on_attempt: Callable[..., None] = attempt_line

    async def play() -> None:
        world = World(2, 1)
        metrics = Metrics(version=__version__, door=SimpleNamespace(), dropped_lines=logs.dropped_lines)
        metrics.on_attempt = on_attempt
        world.plant.runner.watcher = metrics
        world.start()
        await world.ask("version")
        capsys.readouterr()
        await world.ask("getbalance")
        await world.ask("setlabel")
        world.daemons[0].mangle = lambda method: "half" if method == "history" else None
        await world.ask("history")
        await world.stop()

    run_virtual(play())
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    attempts = [line for line in found if line["event"] == "attempt" and line["client"] == "shop"]
    told = [(line["method"], line["backend"], line["fate"], line["reason"]) for line in attempts]
    assert (
        told
        == [
            ("getbalance", "ec-1", "answered", ""),
            ("setlabel", "ec-1", "answered", ""),
            ("history", "ec-1", "unknown", "half"),
            ("history", "ec-2", "answered", ""),
        ]
        * expected
    )
    steps = ("connected_ms", "sent_ms", "first_byte_ms", "ended_ms")
    for line in attempts:
        times = [line[name] for name in steps if line[name] is not None]
        assert times == sorted(times)
        assert times[-1] > 0
