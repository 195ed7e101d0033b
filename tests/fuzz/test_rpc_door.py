"""The JSON-RPC door under whatever clients can send, before a real core; `doors.py` says what must hold each time."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import event, given

from gateway.base.jsonrpc import Call, parse
from tests.fuzz.dice import Dice, dice
from tests.fuzz.doors import BOUNDS, RpcStage, Script, result_words, rpc_door
from tests.fuzz.effort import cases, show
from tests.fuzz.jsontexts import NotStrict, harmed, strict
from tests.fuzz.reading import Message, read_answers, read_requests
from tests.fuzz.requests import WORDS, pieces, request

PATHS = ("/", "/", "/wallets/main", "/RPC2", "/x", "/wallets/none")
VERBS = frozenset({b"POST", b"GET", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"TRACE", b"PATCH"})
TARGET = re.compile(rb"\*|(http://a)?/.*")
USERS = ("shop", "shop", "shop", "web", "slow", "nobody", "")


@pytest.fixture(scope="module")
def rpc() -> Iterator[RpcStage]:
    """One door for all cases: what one leaves behind, the next one meets."""
    with rpc_door() as opened:
        yield opened


def script(dice: Dice, word: str) -> Script:
    """Return what one client does."""
    sent = [request(dice, word, paths=PATHS, users=USERS) for _ in range(1 + dice.few(3))]
    if dice.seldom(6):
        sent.append(sent[0])
    stream = b"".join(sent)
    ends = [sum(map(len, sent[: number + 1])) for number in range(len(sent))]
    if dice.seldom(6):
        stream = harmed(dice, stream)
    parts = pieces(dice, stream, ends)
    pauses = [dice.pick((0.0, 0.0, 0.001, 0.01)) for _ in parts[:6]]
    if dice.seldom(10) and pauses:
        pauses[-1] = 0.25
    end = dice.pick(("wait", "wait", "wait", "finish", "reset"))
    return Script(word, parts, pauses, end, is_slow=dice.seldom(12), is_patient=dice.seldom(8))


def calls_of(message: Message) -> list[Call]:
    """Return the calls that a request holds as far as anybody may read them out of it."""
    method = message.first[0]
    if method != b"POST":
        return []
    found = parse(message.body, max_depth=BOUNDS.max_depth, max_batch=BOUNDS.max_batch)
    return [one for one in (found if isinstance(found, list) else [found]) if isinstance(one, Call)]


def check_one(one: Script, sent: list[Any]) -> None:
    """Hold what a client was answered, and what went to daemons for it, against a strict reading of what it sent."""
    assert one.line is not None
    read = read_requests(one.stream)
    answers = read_answers(one.got, [message.first[0] for message in read.messages])
    if one.end != "reset" and b"HEAD " not in one.stream:
        assert answers.end == "whole", (answers.end, answers.rest[:200])
    elif answers.end == "partial":
        event("reset amid an answer")
    own = [members for members in sent if members.get("params")[0] == one.word]
    may_be_asked = [call for message in read.messages for call in calls_of(message)]
    rest = iter(may_be_asked)
    for members in own:
        assert any(is_same(call, members) for call in rest), (
            "a daemon was sent what nobody had asked for, or not in order"
        )
    told = [word for answer in answers.messages for word in result_words(answer)]
    assert not set(told) & set(WORDS) - {one.word}, "an answer went to another caller"
    assert sum(word == one.word for word in told) <= len(own), "a result that no daemon was asked for"
    assert len(answers.messages) <= len(read.messages) + 1, "an answer to nothing"
    for answer in answers.messages:
        check_answer(answer)
    is_good = read.end == "whole" and all(map(is_plain, read.messages))
    if is_good and one.end == "wait" and not one.is_slow:
        is_cut = any(answer.says_close or answer.first[0] == b"0" for answer in answers.messages)
        assert is_cut or len(answers.messages) == len(read.messages), "a good request was not answered"
    event(f"{read.end}, {len(answers.messages)} answers, {len(own)} calls")


def is_plain(request: Message) -> bool:
    """Whether a request is one that is answered as such; others may be refused as no HTTP, without a word of their own.

    Names that are there twice are good HTTP, and what a door may take for an attempt to be read in two ways.
    """
    names = [name for name, _ in request.headers]
    has_host = b"host" in names or request.first[2] == b"0"
    is_known = request.first[0] in VERBS and TARGET.fullmatch(request.first[1]) is not None
    return is_known and has_host and len(set(names)) == len(names) and not request.is_lax


def is_same(call: Call, sent: Any) -> bool:
    """Whether a call is what a daemon was sent; an amount that is a number goes on as the text that was written."""
    asked, got = strict(call.params or b"[]"), sent.get("params")
    if call.method == "payto":
        asked, got = ([str(one) for one in some] for some in (asked, got))
    return call.method == sent.get("method") and bool(asked == got)


def check_answer(answer: Message) -> None:
    """Hold an answer of the door to what is promised of each."""
    assert answer.status != 500, answer.body
    assert answer.all(b"server") == [b"ec-gateway"]
    assert answer.has_length or answer.status in (204, 304) or not answer.body
    if answer.body:
        assert answer.all(b"content-type")[0].startswith(b"application/json")
        try:
            found = strict(answer.body)
        except NotStrict as error:
            raise AssertionError(f"the door's answer is no JSON: {error}") from None
        assert b"internal_error" not in answer.body
        del found


@cases("line")
@given(dice(200, 600))
def check_lines(dice: Dice) -> None:
    """One to three callers beside each other, each with what it likes."""
    scripts = [script(dice, word) for word in WORDS[: 1 + dice.few(2)]]
    for one in scripts:
        show(one.word, one.pieces, one.pauses, one.end, one.is_slow)
    RPC.play(*scripts)
    for one in scripts:
        check_one(one, RPC.sent)


RPC: RpcStage


@pytest.mark.long
def test_whatever_comes_is_answered_or_closed_and_leaves_nothing_behind(rpc: RpcStage) -> None:
    """Each call goes to a daemon once, as it was read by everybody, and each answer to who asked."""
    global RPC  # noqa: PLW0603 - what Hypothesis calls takes no fixtures that last longer than a case
    RPC = rpc
    check_lines()
