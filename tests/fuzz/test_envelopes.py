"""What clients send and what daemons answer, as JSON: read as a strict reader reads it, or refused."""

from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from gateway.base.errors import INVALID_REQUEST, PARSE_ERROR
from gateway.base.jsonrpc import (
    MAX_ID,
    MAX_METHOD,
    MEMBERS,
    BadAnswer,
    Call,
    Malformed,
    error_reply,
    failure_error,
    parse,
    read_answer,
    request,
    result_reply,
    with_whole_characters,
)
from tests.fuzz.dice import Dice, dice
from tests.fuzz.effort import cases, show
from tests.fuzz.jsontexts import Members, NotStrict, array, harmed, is_whole, mapping, odd_value, space, strict, value

DEPTH, BATCH = 64, 5
OUR_ID = "c17-9"

NAMES = ("method", "params", "id", "jsonrpc", "extra", "Method", "m\\u0065thod", "id ", "", "par\\u0061ms")
METHODS = (
    '"getbalance"',
    '"payto"',
    '"getb\\u0061lance"',
    '"a b"',
    '""',
    f'"{"m" * MAX_METHOD}"',
    f'"{"m" * 101}"',
    "7",
)


def member(dice: Dice) -> str:
    """Return one member of an envelope, mostly a good one."""
    name = dice.pick(NAMES)
    if dice.seldom(12):
        written = odd_value(dice)
    elif name == "method":
        written = dice.pick(METHODS)
    elif name == "params":
        written = dice.pick((array, mapping, value))(dice)
    elif name == "jsonrpc":
        written = '"2.0"'
    else:
        written = value(dice)
    return f'"{name}"{space(dice)}:{space(dice)}{written}'


def envelope(dice: Dice) -> bytes:
    """Return one call: whole, with members missing, doubled, odd; and perhaps harmed afterwards."""
    if dice.often(3):
        params = dice.pick((array, mapping))(dice)
        parts = [f'"method":{dice.pick(METHODS)}', f'"params":{params}', f'"id":{value(dice, 3)}', '"jsonrpc":"2.0"']
        parts = dice.shuffled(parts + [member(dice) for _ in range(dice.few(2))])
    else:
        parts = [member(dice) for _ in range(dice.roll(6))]
    whole = (space(dice) + "{" + ("," + space(dice)).join(parts) + "}" + space(dice)).encode(errors="surrogatepass")
    return harmed(dice, whole) if dice.seldom() else whole


def check_call(body: bytes, call: Call) -> None:
    """Hold what was read against what a strict reader reads, and against what goes to a daemon."""
    read = strict(body)
    assert isinstance(read, Members)
    assert all(read.count_of(name) <= 1 for name in MEMBERS), "nobody may be made to choose"
    assert call.method == read.get("method")
    assert 0 < len(call.method) <= MAX_METHOD
    assert (call.params == b"") == (read.get("params") is ...)
    assert call.v1 == (read.get("jsonrpc") is ...)
    assert (call.id is None) == (read.get("id") is ...)
    if call.params:
        assert call.params in body
        assert strict(call.params) == read.get("params")
    if call.id is not None:
        assert len(call.id) <= MAX_ID
        assert strict(call.id) == read.get("id")
    sent = strict(request(OUR_ID, "getbalance", call.params))
    assert [name for name, _ in sent] == ["jsonrpc", "id", "method", "params"], "one call, and nothing beside it"
    assert sent.get("params") == (read.get("params") if call.params else [])


def check_malformed(found: Malformed, body: bytes) -> None:
    """Hold a refusal to its shape: it can be answered, and names an id only if it read one."""
    assert found.failure.kind in (INVALID_REQUEST, PARSE_ERROR)
    reply = strict(error_reply(found.id, found.v1, failure_error(found.failure)))
    assert reply.get("id") is None or found.id in body


def is_good(body: bytes) -> bool:
    """Whether a strict reader finds one call in it within all bounds."""
    try:
        read = strict(body.strip(b" \t\r\n"))
    except NotStrict:
        return False
    if not isinstance(read, Members) or any(read.count_of(name) > 1 for name in MEMBERS) or not is_whole(body):
        return False
    method, params, call_id = read.get("method"), read.get("params"), read.get("id")
    return (
        type(method) is str
        and 0 < len(method) <= MAX_METHOD
        and (params is ... or isinstance(params, list))
        and not isinstance(call_id, bool | list)
        and len(body) <= MAX_ID
        and body.count(b"[") + body.count(b"{") <= DEPTH
    )


@cases("envelope")
@given(dice())
def check_envelope(dice: Dice) -> None:
    """A call is what everybody reads in it, or it is refused; and what everybody can read is taken."""
    body = envelope(dice)
    show(body)
    found = parse(body, max_depth=DEPTH, max_batch=BATCH)
    event(type(found).__name__)
    match found:
        case Call():
            check_call(body, found)
        case Malformed():
            check_malformed(found, body)
            assert not is_good(body), found.failure.message
        case _:
            raise AssertionError("a batch was read where none begins")


@cases("batch")
@given(dice(160, 400))
def check_batch(dice: Dice) -> None:
    """Each entry is read by itself, in its order, as it would be alone."""
    entries = [envelope(dice) if dice.often(6) else value(dice).encode() for _ in range(dice.roll(BATCH + 2))]
    body = b"[" + b",".join(entries) + b"]"
    is_harmed = dice.seldom()
    if is_harmed:
        body = harmed(dice, body)
    show(body)
    found = parse(body, max_depth=DEPTH, max_batch=BATCH)
    if isinstance(found, Call):
        check_call(body, found)
    if isinstance(found, Malformed):
        check_malformed(found, body)
    if not isinstance(found, list):
        return
    assert 0 < len(found) <= BATCH
    read = strict(body) if is_whole(body) else None
    assert read is None or len(read) == len(found)
    if not is_harmed and len(found) == len(entries):
        for entry, one in zip(entries, found, strict=True):
            alone = parse(entry, max_depth=DEPTH, max_batch=BATCH)
            assert one == alone or isinstance(one, Malformed)


@cases("noise")
@given(
    st.binary(max_size=80)
    | st.text('{}[]",:\\ut1methodparamsidnull \n', max_size=60).map(str.encode)
    | dice().map(lambda one: odd_value(one).encode(errors="surrogatepass"))
)
def check_noise(body: bytes) -> None:
    """Whatever it is, it comes back as one of three things, and the same each time."""
    found = parse(body, max_depth=DEPTH, max_batch=BATCH)
    assert found == parse(body, max_depth=DEPTH, max_batch=BATCH)
    for one in found if isinstance(found, list) else [found]:
        if isinstance(one, Malformed):
            check_malformed(one, body)
    if isinstance(found, Call):
        check_call(body, found)
    reason = ""
    try:
        read_answer(body, OUR_ID)
    except BadAnswer as bad:
        reason = bad.reason
    assert reason in {"", "not_json", "not_jsonrpc", "foreign_id"}


MORE = ('"error":null', '"error":{"code":-1}', '"id":"x"', '"result":2', '"a":1')
IDS = (f'"{OUR_ID}"', f'"{OUR_ID}"', f'"{OUR_ID}"', f'"{OUR_ID}"', '"c17-8"', "null", "17")


def answer_of(dice: Dice) -> bytes:
    """Return what a daemon answers, mostly to us."""
    result = odd_value(dice) if dice.seldom(6) else value(dice)
    parts = [f'"id":{dice.pick(IDS)}', f'"result":{result}', '"jsonrpc":"2.0"']
    parts = dice.shuffled(parts + [dice.pick(MORE) for _ in range(dice.few(2))])
    whole = ("{" + space(dice) + ", ".join(parts) + "}").encode(errors="surrogatepass")
    return harmed(dice, whole) if dice.seldom() else whole


@cases("answer")
@given(dice())
def check_answer(dice: Dice) -> None:
    """An answer is taken if it is ours, and what the client gets is one well-formed reply with his own id."""
    call_id, v1 = dice.pick((b"1", b'"abc"', b"null", b"12345678901234567890", b'"\\u0041"')), bool(dice.roll(2))
    body = answer_of(dice)
    show(body)
    try:
        answer = read_answer(body, OUR_ID)
    except BadAnswer as bad:
        event(bad.reason)
        return
    event("taken")
    assert (answer.result is None) != (answer.error is None)
    whole = with_whole_characters(body)
    read = strict(whole if not is_whole(body) else body)
    assert read.get("id") == OUR_ID
    if answer.error is not None:
        reply = strict(error_reply(call_id, v1, answer.error))
        assert reply.get("error") == read.get("error")
    else:
        assert answer.result is not None
        reply = strict(result_reply(call_id, v1, answer.result))
        assert reply.get("result") == read.get("result")
    wanted = {"result", "id", "error"} if v1 else {"result" if answer.error is None else "error", "id", "jsonrpc"}
    assert [name for name, _ in reply if name not in wanted] == [], "nothing beside the reply"
    assert len(reply) == 3
    assert reply.get("id") == strict(call_id)


CHECKS: tuple[Any, ...] = (check_envelope, check_batch, check_noise, check_answer)


@pytest.mark.long
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_json_of_others_is_read_as_everybody_reads_it(check: Any) -> None:
    """Thousands of texts, good, odd and harmed."""
    check()
