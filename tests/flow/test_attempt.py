"""What the end of an attempt means: an answer, or what may be said of a call that brought none."""

import asyncio
from random import getrandbits
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.base.effects import Effect
from gateway.base.jsonrpc import Answer
from gateway.base.levels import Level
from gateway.base.trace import CURRENT, begin
from gateway.fleet.backend import Backend, Occupant
from gateway.fleet.breaker import Breaker, Permit
from gateway.flow.attempt import REFUSED_BEFORE_WORK, Attempt, classify
from gateway.flow.errand import Errand
from gateway.profiles import load
from gateway.rules.retry import Sent, Tried
from gateway.upstream.wire import Fate, Outcome

OURS = "g7"


def outcome(fate: Fate, reason: str = "", body: bytes = b"", status: int = 200) -> Outcome:
    """An end of an exchange."""
    return Outcome(
        fate, reason, status, body, reused=False, connected_at=1.0, sent_at=1.0, first_byte_at=2.0, ended_at=3.0
    )


@pytest.mark.parametrize(
    "reason", ["refused", "resolve", "connect_timeout", "tls", "local", "closed", "timeout", "aborted"]
)
def test_what_was_not_sent_is_proved_not_run(reason: str) -> None:
    """The reason is the wire's."""
    assert classify(outcome(Fate.NOT_SENT, reason), OURS) == Tried(Sent.NO, reason)


@pytest.mark.parametrize("reason", ["empty", "reset", "half", "not_http", "oversized", "timeout", "aborted", "lost"])
def test_what_was_sent_without_an_answer_is_unknown(reason: str) -> None:
    """Whatever part of an answer there was."""
    body = b'{"id": "g7", "result": 1}'
    assert classify(outcome(Fate.UNKNOWN, reason, body), OURS) == Tried(Sent.UNKNOWN, reason)


@pytest.mark.parametrize("status", [200, 401, 500])
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"id": "g7", "result": 1, "error": null}', Answer(b"1", None)),
        (b'{"jsonrpc": "2.0", "id": "g7", "result": null}', Answer(b"null", None)),
        (b'{"id": "g7", "error": {"code": -32601}}', Answer(None, b'{"code": -32601}')),
        (b'{"id": "g7", "result": 0.10, "error": null}', Answer(b"0.10", None)),
    ],
)
def test_an_answer_to_our_own_id_is_one_with_whatever_status(status: int, body: bytes, expected: Answer) -> None:
    """A result or the daemon's own error, in its own bytes."""
    assert classify(outcome(Fate.ANSWERED, body=body, status=status), OURS) == expected


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not_json"),
        (b"<html>no</html>", "not_json"),
        (b'{"id": "g7", "result": 1', "not_json"),
        (b"\xff\xfe", "not_json"),
        (b'{"id": "g7", "result": ' + b"[" * 100_000, "not_json"),
        (b"[" * 100_000, "not_jsonrpc"),
        (b"[1]", "not_jsonrpc"),
        (b'{"result": 1}', "not_jsonrpc"),
        (b'{"id": "g7"}', "not_jsonrpc"),
        (b'{"id": "g8", "result": 1}', "foreign_id"),
        (b'{"id": 7, "result": 1}', "foreign_id"),
        (b'{"id": null, "error": {"code": -32603}}', "foreign_id"),
        (b'{"id": null, "error": {"code": "x"}}', "foreign_id"),
    ],
)
def test_what_is_no_answer_to_our_call_is_unknown(body: bytes, reason: str) -> None:
    """Never passed off as one."""
    assert classify(outcome(Fate.ANSWERED, body=body), OURS) == Tried(Sent.UNKNOWN, reason)


@pytest.mark.parametrize("status", sorted(REFUSED_BEFORE_WORK))
@pytest.mark.parametrize("body", [b"", b"<html>no</html>", b'{"id": null, "error": {}}'])
def test_a_status_that_refuses_before_work_is_proof(status: int, body: bytes) -> None:
    """Wrong credentials above all: the daemon did not look at the call."""
    assert classify(outcome(Fate.ANSWERED, body=body, status=status), OURS) == Tried(Sent.NO, f"status_{status}")


@pytest.mark.parametrize("status", [204, 302, 400, 408, 429, 500, 502, 503, 504])
def test_any_other_status_without_an_answer_proves_nothing(status: int) -> None:
    """A proxy before the daemon may have handed the call on."""
    assert classify(outcome(Fate.ANSWERED, body=b"", status=status), OURS) == Tried(Sent.UNKNOWN, f"status_{status}")


@given(st.sampled_from(list(Fate)), st.binary(max_size=60), st.integers(100, 599))
def test_not_run_is_never_said_of_what_may_have_run(fate: Fate, body: bytes, status: int) -> None:
    """Whatever a daemon writes."""
    found = classify(outcome(fate, "x", body, status), OURS)
    if isinstance(found, Tried) and found.sent is Sent.NO:
        assert fate is Fate.NOT_SENT or (fate is Fate.ANSWERED and status in REFUSED_BEFORE_WORK)
    if isinstance(found, Answer):
        assert fate is Fate.ANSWERED
        assert b"g7" in body


@pytest.mark.parametrize("is_told", [True, False])
def test_an_attempt_tells_its_own_id_within_the_trace_of_its_call(*, is_told: bool) -> None:
    """Where the profile allows it; each try has another id, and upkeep belongs to no trace."""
    sent: list[bytes] = []

    class FakeWire:
        """Keeps what goes along."""

        def send(self, _target: object, _body: bytes, *, more: bytes, **_how: object) -> object:
            """Keep it."""
            sent.append(more)
            return SimpleNamespace(sent=True)

    profile = load("electron-cash")
    backend = Backend(
        "ec-1", "main", slots=1, is_serial=True, top=Level.SYNCED, breaker=Breaker(3, 1.0, 30.0, 1),
        ewma=10.0, grace_until=60.0,
    )  # fmt: skip
    token = CURRENT.set(begin("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", getrandbits))
    try:
        ours, upkeep = (
            Errand("main", "shop", profile.methods["ping"], Effect.READ, b"[]", 1.0, 0.0, own=own)
            for own in (None, backend)
        )
    finally:
        CURRENT.reset(token)
    hops = []
    for errand in (ours, ours, upkeep):
        attempt = Attempt(
            errand, backend, Permit(0, is_trial=False), Occupant(0.0, 1.0, is_money=False), OURS,
            lambda _one, _end: None, 0.0, is_hedge=False,
        )  # fmt: skip
        attempt.send(FakeWire(), "there", 35.0, tells_trace=is_told)  # type: ignore[arg-type]  # fakes with the same verbs
        hops.append(attempt.hop)
    assert len(set(hops)) == 3
    assert hops[2] == ""
    line = b"\r\ntraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-%b-01"
    assert sent == [line % hop.encode() if hop and is_told else b"" for hop in hops]


@pytest.mark.parametrize(
    ("name", "effect", "reuse"), [("getbalance", Effect.WALLET_READ, True), ("setlabel", Effect.WRITE, False)]
)
async def test_an_attempt_sends_our_id_and_the_clients_bytes(*, name: str, effect: Effect, reuse: bool) -> None:
    """Only reads may go over a kept connection; the end is handed on with the attempt."""
    sent: list[dict[str, Any]] = []

    class FakeWire:
        """Keeps what it is given."""

        def send(self, target: object, body: bytes, **how: object) -> object:
            """Keep it."""
            sent.append({"target": target, "body": body, **how})
            return SimpleNamespace(sent=True)

    ends: list[tuple[Attempt, Outcome]] = []
    profile = load("electron-cash")
    errand = Errand("main", "shop", profile.methods[name], effect, b'[ "a", 0.10 ]', 1.0, 0.0)
    backend = Backend(
        "ec-1", "main", slots=1, is_serial=True, top=Level.SYNCED, breaker=Breaker(3, 1.0, 30.0, 1),
        ewma=10.0, grace_until=60.0,
    )  # fmt: skip
    attempt = Attempt(
        errand, backend, Permit(0, is_trial=False), Occupant(0.0, 1.0, is_money=False), OURS,
        lambda one, end: ends.append((one, end)), 0.0, is_hedge=False,
    )  # fmt: skip
    attempt.send(FakeWire(), "there", 35.0)  # type: ignore[arg-type]  # a fake with the same verb
    [call] = sent
    assert call["body"] == b'{"jsonrpc": "2.0", "id": "g7", "method": "%b", "params": [ "a", 0.10 ]}' % name.encode()
    assert (call["target"], call["whole"], call["reuse"]) == ("there", 35.0, reuse)
    assert attempt.exchange.sent
    end = outcome(Fate.UNKNOWN, "half")
    call["on_end"](end)
    assert ends == [(attempt, end)]
    await asyncio.sleep(0)
