"""Calls between gateways: what is taken, what is not, and what follows where no answer came."""

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.base.effects import GRANTABLE, Effect
from gateway.rules import forward
from gateway.rules.forward import (
    BORNE,
    BROKEN,
    GREETED,
    LONGEST_REASON,
    MOST_REASONS,
    MOST_REFUSED,
    MOST_SENT,
    MOST_SESSIONS,
    MOVED,
    NOT_HELD,
    OVERSIZED,
    REFUSED,
    SILENT,
    WINDOW,
    Lost,
    Passage,
    Replays,
)
from gateway.rules.retry import GiveUp, Sent

SECRET, NOW = b"thirty-two random letters", 1_800_000_000.0
BODY = b'{"method":"getbalance","id":1}'
PASSAGE = Passage(
    "gw-2", "gw-1", 7, "main", "shop", "8.731", "order-1", "ab" * 16, 41, int(NOW * 1000), forward.digest(BODY),
    Effect.WALLET_READ,
)  # fmt: skip
PATH = "/wallets/main"
ANSWER = b'{"result":1}'


def taken(
    heads: dict[str, str], path: str = PATH, *, me: str = "gw-1", now: float = NOW, secret: bytes = SECRET
) -> str:
    """What is said to a head; "unread" where it is no call of a gateway."""
    found = forward.read(heads.get, path)
    return "unread" if found is None else forward.refusal(secret, *found, me=me, now=now)


def test_what_was_signed_is_read_and_taken() -> None:
    """With a key and without."""
    for passage in (PASSAGE, replace(PASSAGE, key=None), replace(PASSAGE, key="schön")):
        heads = forward.headers(SECRET, passage)
        found = forward.read(heads.get, PATH)
        assert found is not None
        assert found[0] == passage
        assert taken(heads) == ""


@pytest.mark.parametrize("name", [field.name for field in fields(Passage)])
def test_nothing_about_a_call_can_be_changed(name: str) -> None:
    """Another client, wallet, key, body, term, name, time or deadline is another call."""
    value = getattr(PASSAGE, name)
    others = {"left": "7.731", "effect": Effect.SIGN}
    other = value + 1 if isinstance(value, int) else others.get(name, f"{value}x")
    mac = forward.headers(SECRET, PASSAGE)["Authorization"].rpartition(" ")[2]
    heads = forward.headers(SECRET, replace(PASSAGE, **{name: other}))  # type: ignore[arg-type]  # of the same type
    heads["Authorization"] = heads["Authorization"].rpartition(" ")[0] + " " + mac
    path = f"/wallets/{other}" if name == "wallet" else PATH
    assert taken(heads, path) == "signature"


def test_a_key_that_is_empty_is_not_the_same_as_none() -> None:
    """Neither can be made of the other."""
    assert replace(PASSAGE, key="").text() != replace(PASSAGE, key=None).text()


def test_another_secret_signs_nothing() -> None:
    """Nor does a signature that is no text of ASCII, or of another length."""
    heads = forward.headers(SECRET, PASSAGE)
    assert taken(heads, secret=b"another one altogether") == "signature"
    start = heads["Authorization"].rpartition(" ")[0]
    for mac in ("", "é" * 64, "\udcff", "0" * 64):
        assert taken(heads | {"Authorization": f"{start} {mac}"}) == "signature"


@pytest.mark.parametrize(
    "change",
    [
        {"X-Ecgw-Forwarded": "2"},
        {"X-Ecgw-Deadline": "nan"},
        {"X-Ecgw-Deadline": "-1.000"},
        {"X-Ecgw-Deadline": "1e9"},
        {"X-Ecgw-Client": None},
        {"X-Ecgw-Deadline": None},
        {"Authorization": None},
        {"Authorization": "Basic dXNlcjpwYXNz"},
        {"Authorization": "ECGW-HMAC-SHA256 a b c"},
        {"Authorization": f"ECGW-HMAC-SHA256 a b x {'0' * 32} 1 1 h read m"},
        {"Authorization": f"ECGW-HMAC-SHA256 a b 1 {'0' * 32} {'9' * 40} 1 h read m"},
        {"Authorization": f"Other a b 1 {'0' * 32} 1 1 h read m"},
        {"Authorization": f"ECGW-HMAC-SHA256 a b 1 {'0' * 32} 1 1 h m"},
        {"Authorization": f"ECGW-HMAC-SHA256 a b 1 {'0' * 32} 1 1 h steal m"},
    ],
)
def test_what_is_no_call_of_a_gateway_is_not_read(change: dict[str, str | None]) -> None:
    """Of another version, unsigned, or nonsense."""
    heads = {name: value for name, value in (forward.headers(SECRET, PASSAGE) | change).items() if value is not None}
    assert taken(heads) == "unread"
    assert taken(forward.headers(SECRET, PASSAGE), "/") == "unread"


def test_a_call_is_for_one_gateway() -> None:
    """So that what one took cannot be shown to the next holder."""
    assert taken(forward.headers(SECRET, PASSAGE), me="gw-3") == "other_gateway"


@given(st.integers(-200_000, 200_000) | st.sampled_from([60_000, -60_000, 60_001, -60_001]))
def test_clocks_may_differ_by_a_minute(off: int) -> None:
    """In either direction, and no more."""
    said = taken(forward.headers(SECRET, PASSAGE), now=NOW + off / 1000)
    assert said == ("age" if abs(off) > BORNE * 1000 else "")


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 60)), max_size=80))
def test_each_call_is_taken_once(calls: list[tuple[str, int]]) -> None:
    """In whatever order they come."""
    replays = Replays()
    for place, call in enumerate(calls):
        assert replays.take(*call) == (call not in calls[:place])


def test_a_call_that_was_overtaken_by_too_many_is_not_taken() -> None:
    """Nobody remembers whether it came before."""
    replays = Replays()
    assert replays.take("a", WINDOW * 3)
    assert not replays.take("a", WINDOW * 2)
    assert replays.take("a", WINDOW * 2 + 1)
    assert not replays.take("a", WINDOW * 2 + 1)
    assert replays.take("a", WINDOW * 9)
    assert not replays.take("a", WINDOW * 9)
    assert replays.take("a", WINDOW * 9 - 1)


def test_the_sender_that_was_silent_longest_is_forgotten() -> None:
    """Memory has a bound, and gateways are few."""
    replays = Replays()
    replays.take("first", 1)
    for place in range(MOST_SESSIONS - 1):
        replays.take(str(place), 1)
    replays.take("first", 2)
    replays.take("last", 1)
    assert len(replays) == MOST_SESSIONS
    assert not replays.take("first", 1)
    assert replays.take("0", 1), "this one was forgotten; its calls are refused by their age long since"


@pytest.mark.parametrize(("status", "retry_after"), [(200, None), (503, 0.25), (421, None), (503, 1.0)])
def test_an_answer_says_its_status(status: int, retry_after: float | None) -> None:
    """Both reach the client as the holder meant them."""
    head = forward.answer_head(SECRET, PASSAGE, status, retry_after, ANSWER)
    assert forward.read_answer(SECRET, PASSAGE, head, ANSWER) == (status, retry_after)


def test_an_answer_is_to_one_call_and_has_one_body() -> None:
    """A late one for the call before, somebody else's, one cut short or one that was changed is none."""
    head = forward.answer_head(SECRET, PASSAGE, 200, None, ANSWER)
    assert forward.read_answer(SECRET, replace(PASSAGE, count=42), head, ANSWER) is None
    assert forward.read_answer(SECRET, replace(PASSAGE, session="cd" * 16), head, ANSWER) is None
    assert forward.read_answer(SECRET, PASSAGE, head, ANSWER[:-1]) is None
    assert forward.read_answer(SECRET, PASSAGE, head, ANSWER.replace(b"1", b"2")) is None
    assert forward.read_answer(b"another one altogether", PASSAGE, head, ANSWER) is None
    assert forward.read_answer(SECRET, PASSAGE, head.replace("200", "503"), ANSWER) is None
    for text in (None, "", "200", "200 - é", "x y z"):
        assert forward.read_answer(SECRET, PASSAGE, text, ANSWER) is None


# -- what follows -------------------------------------------------------------------------------------------

NOT_SENT = Lost(Sent.NO, BROKEN, 1)
UNKNOWN = Lost(Sent.UNKNOWN, BROKEN, 1)
MONEY = sorted(GRANTABLE - {Effect.READ, Effect.WALLET_READ, Effect.LOCAL_READ, Effect.PUBLISH})
AGAIN = (Effect.READ, Effect.WALLET_READ, Effect.LOCAL_READ, Effect.PUBLISH)


@pytest.mark.parametrize("effect", sorted(GRANTABLE))
def test_what_was_surely_not_sent_is_sent_again_by_and_by(effect: Effect) -> None:
    """As long as there is time, with pauses that grow."""
    pauses = [forward.follows(effect, [NOT_SENT] * count) for count in range(1, 60)]
    assert pauses[:5] == [0.05, 0.1, 0.2, 0.4, 0.8]
    assert set(pauses[5:]) == {0.8}


@pytest.mark.parametrize("effect", MONEY)
@pytest.mark.parametrize("reason", [BROKEN, SILENT, MOVED, OVERSIZED, REFUSED])
def test_what_may_have_been_run_is_not_sent_again(effect: Effect, reason: str) -> None:
    """Whatever happened to it."""
    assert forward.follows(effect, [NOT_SENT, Lost(Sent.UNKNOWN, reason, 1)]) == GiveUp(unknown=True, reason=reason)


@pytest.mark.parametrize("effect", AGAIN)
def test_a_read_is_sent_again_at_once(effect: Effect) -> None:
    """A kept connection may have broken as it went; later ones wait."""
    assert forward.follows(effect, [UNKNOWN]) == 0.0
    assert forward.follows(effect, [UNKNOWN, NOT_SENT]) == 0.1
    assert forward.follows(effect, [UNKNOWN, NOT_SENT, Lost(Sent.UNKNOWN, MOVED, 1)]) == 0.0


def test_a_read_has_an_end() -> None:
    """It is not sent for ever, does not fetch twice what is too large, and does not take down a third holder."""
    assert forward.follows(Effect.READ, [UNKNOWN] * (MOST_SENT - 1)) == 0.8
    assert forward.follows(Effect.READ, [UNKNOWN] * MOST_SENT) == GiveUp(unknown=True, reason=BROKEN)
    large = Lost(Sent.UNKNOWN, OVERSIZED, 1)
    assert forward.follows(Effect.READ, [large]) == GiveUp(unknown=True, reason=OVERSIZED)
    assert forward.follows(Effect.READ, [UNKNOWN, replace(UNKNOWN, term=2)]) == GiveUp(unknown=True, reason=BROKEN)
    moved = [Lost(Sent.UNKNOWN, MOVED, term) for term in range(5)]
    assert forward.follows(Effect.READ, moved) == 0.0, "that is nobody's death"


@pytest.mark.parametrize("effect", sorted(GRANTABLE))
def test_a_signature_that_is_refused_does_not_heal(effect: Effect) -> None:
    """A few tries are for a gateway that is just starting."""
    refused = Lost(Sent.NO, REFUSED, 1)
    assert forward.follows(effect, [refused] * (MOST_REFUSED - 1)) == 0.1
    assert forward.follows(effect, [refused] * MOST_REFUSED) == GiveUp(unknown=False, reason=REFUSED)
    elsewhere = Lost(Sent.NO, NOT_HELD, 1)
    assert forward.follows(effect, [elsewhere] * 30) == 0.8


@pytest.mark.parametrize(
    ("theirs", "mine", "bold"),
    [
        (Effect.READ, Effect.ALLOCATE, True),
        (Effect.WALLET_READ, Effect.WRITE, True),
        (Effect.PUBLISH, Effect.SIGN, True),
        (Effect.WRITE, Effect.SIGN, True),
        (Effect.READ, Effect.PUBLISH, False),
        (Effect.WRITE, Effect.WRITE, False),
        (Effect.SIGN, Effect.READ, False),
        (Effect.SIGN, Effect.ALLOCATE, False),
    ],
)
def test_who_would_repeat_what_must_not_be_is_bolder(theirs: Effect, mine: Effect, *, bold: bool) -> None:
    """Be it the sender or, by his advice, the client; who is more careful than need be does no harm."""
    assert forward.is_bolder(theirs, mine) is bold


@pytest.mark.parametrize(
    ("effect", "keyed", "says"),
    [
        (Effect.READ, False, "send the same call again"),
        (Effect.WRITE, False, "send the same call again"),
        (Effect.PUBLISH, False, "send the same call again"),
        (Effect.ALLOCATE, False, "an address may have been given out"),
        (Effect.SIGN, True, "gateway.outcome"),
        (Effect.SIGN, False, "nothing was broadcast"),
    ],
)
def test_each_unknown_outcome_has_a_way_out(effect: Effect, keyed: bool, says: str) -> None:  # noqa: FBT001 - a table
    """The client can do something in each case."""
    assert says in forward.next_step(effect, keyed=keyed)


@given(st.lists(st.text(max_size=LONGEST_REASON), max_size=MOST_REASONS))
def test_what_is_said_of_daemons_arrives(reasons: list[str]) -> None:
    """Word for word; where they are well it is what every version has answered."""
    assert forward.read_greeted(forward.greeted(reasons)) == tuple(reasons)
    assert (forward.greeted(reasons) == GREETED) is (not reasons)


def test_of_many_daemons_the_first_are_named() -> None:
    """A thousand of them are no answer that one waits for."""
    told = forward.read_greeted(forward.greeted([f"ec-{n}: {'x' * 1000}" for n in range(1000)]))
    assert len(told) == MOST_REASONS + 1
    assert max(map(len, told)) == LONGEST_REASON
    assert told[-1] == f"and {1000 - MOST_REASONS} more"


@pytest.mark.parametrize(
    "body",
    [
        GREETED, b"", b"{", b"[]", b"7", b'{"result":{}}', b'{"result":{"not_ready":7}}', b"[" * 100_000, b"\xff",
        b'{"result":{"not_ready":[7]}}',
    ],
)  # fmt: skip
def test_another_version_that_does_not_say_counts_as_ready(body: bytes) -> None:
    """Whatever it answers instead."""
    assert forward.read_greeted(body) == ()
