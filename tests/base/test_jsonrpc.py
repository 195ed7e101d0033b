"""Envelopes: every byte that a client or a daemon wrote arrives as it was written, or is refused."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.base import jsonrpc
from gateway.base.errors import INVALID_REQUEST, NO_BACKEND, PARSE_ERROR, Failure
from gateway.base.jsonrpc import (
    MAX_ID,
    MAX_METHOD,
    MAX_NAMES,
    MEMBERS,
    Answer,
    BadAnswer,
    Call,
    Malformed,
    Reply,
    count_names,
    error_reply,
    failure_error,
    outside_strings,
    parse,
    read_answer,
    request,
    result_reply,
    too_deep,
)

texts = st.text(st.characters(exclude_categories=["Cs"]))
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(10**50, 10**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
values: st.SearchStrategy[Any] = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=15
)
# each character may be written as twelve bytes, and an id has 1000 at most
ids = st.none() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=80)
containers = st.lists(values, max_size=5) | st.dictionaries(texts, values, max_size=5)


@st.composite
def written(draw: st.DrawFn, of: st.SearchStrategy[Any] = values) -> bytes:
    """JSON text of a value in one of the many ways to write it."""
    return json.dumps(
        draw(of), ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 0, 2])),
    ).encode()  # fmt: skip


def one(body: bytes, max_depth: int = 500, max_batch: int = 100) -> Call:
    """Parse a body that is one good call."""
    call = parse(body, max_depth=max_depth, max_batch=max_batch)
    assert isinstance(call, Call), call
    return call


def refused(body: bytes, max_depth: int = 64, max_batch: int = 100) -> Malformed:
    """Parse a body that is no call at all."""
    found = parse(body, max_depth=max_depth, max_batch=max_batch)
    assert isinstance(found, Malformed), found
    return found


# -- what passes through ------------------------------------------------------------------------------------


@pytest.mark.long
@given(written(containers), written(ids), written())
def test_every_value_goes_to_the_daemon_and_back_without_a_changed_byte(
    params: bytes, call_id: bytes, result: bytes
) -> None:
    """Params reach the daemon, the result reaches the client, and the id is the one that was sent."""
    call = one(b'{"jsonrpc": "2.0", "method": "history", "params": %b, "id": %b}' % (params, call_id))
    assert (call.method, call.params, call.id, call.v1) == ("history", params, call_id, False)
    sent = request("ecgw-7", call.method, call.params)
    assert params in sent
    assert json.loads(sent) == {
        "jsonrpc": "2.0", "id": "ecgw-7", "method": "history", "params": json.loads(params),
    }  # fmt: skip
    answer = read_answer(b'{"result": %b, "id": "ecgw-7", "jsonrpc": "2.0"}' % result, "ecgw-7")
    assert answer == Answer(result, None)
    assert result_reply(call.id or b"", call.v1, result) == b'{"result": %b, "id": %b, "jsonrpc": "2.0"}' % (
        result, call_id,
    )  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        b"123456789012345678901234567890123456789012345678901234567890",
        b"0.10000000000000000000000000000000000000000000000001",
        b"1e400",
        b"-0",
        b"-0.0",
        b"1E+2",
        b'"\\u0041\\/ \\ud83d\\ude00"',
        b'{"unknown": {"a" :1 , "a2":[ 1 ]}}',
        b"9" * 10_000,
    ],
)
def test_numbers_and_texts_are_not_rewritten(text: bytes) -> None:
    """What a float or a decoder would spoil stays as it was written, in params, id and result."""
    params = b"[%b]" % text
    assert one(b'{"method": "m", "params": %b, "id": 1}' % params).params == params
    assert params in request("1", "m", params)
    assert read_answer(b'{"id": "1", "result": %b}' % text, "1").result == text
    assert read_answer(b'{"id": "1", "error": [%b]}' % text, "1").error == b"[%b]" % text


@given(ids)
def test_an_id_comes_back_exactly_as_it_was_sent(value: object) -> None:
    """1.0, "1" and 1 are three ids."""
    raw = json.dumps(value).encode()
    call = one(b'{"method":"m","id":%b}' % raw)
    assert call.id == raw
    assert json.loads(result_reply(raw, call.v1, b"1"))["id"] == value
    assert json.loads(error_reply(raw, call.v1, b"{}"))["id"] == value


def test_an_absent_id_is_a_notification_and_null_is_an_id() -> None:
    """The two must be told apart, because only one of them is answered."""
    assert one(b'{"method":"m"}').id is None
    assert one(b'{"method":"m","id":null}').id == b"null"


def test_a_call_without_jsonrpc_is_answered_in_the_old_shape() -> None:
    """Callers of 1.0 look for an error that is null."""
    old, new = one(b'{"method":"m","id":1}'), one(b'{"jsonrpc":"2.0","method":"m","id":1}')
    assert (old.v1, new.v1) == (True, False)
    assert json.loads(result_reply(b"1", True, b"5")) == {"result": 5, "id": 1, "error": None}  # noqa: FBT003 - as called
    assert json.loads(error_reply(b"1", True, b"5")) == {"result": None, "id": 1, "error": 5}  # noqa: FBT003 - as called
    assert json.loads(result_reply(b"1", False, b"5")) == {"result": 5, "id": 1, "jsonrpc": "2.0"}  # noqa: FBT003 - as called
    assert json.loads(error_reply(b"1", False, b"5")) == {"error": 5, "id": 1, "jsonrpc": "2.0"}  # noqa: FBT003 - as called


def test_a_call_without_params_goes_out_with_none() -> None:
    """The daemon refuses null, so an empty list is sent."""
    assert json.loads(request("1", "m", b"")) == {"jsonrpc": "2.0", "id": "1", "method": "m", "params": []}


members = st.tuples(
    st.sampled_from([b'"method"', b'"params"', b'"id"', b'"jsonrpc"', b'"other"', b'"m\\u0065thod"']),
    st.sampled_from(
        [
            b'"m"', b'""', b'"m\\n"', b'"2.0"', b"2.0", b"null", b"7", b"-0.5e1", b'"7"', b"[]", b'["a", "b"]', b"{}",
            b'{"id": "x"}', b'["\\""]', b"true", b'"%b"' % (b"m" * (MAX_METHOD + 1)), b"1" * (MAX_ID + 1), b"[",
        ]
    ),
)  # fmt: skip


@given(st.lists(members, max_size=6), st.sampled_from([b"", b" ", b"\n  "]))
def test_the_quick_look_at_a_call_agrees_with_the_thorough_one(pairs: list[tuple[bytes, bytes]], space: bytes) -> None:
    """Or says nothing: of two members with one name, of escapes, of anything that is no call."""
    raw = b"{%b}" % (b"," + space).join(b"%b:%b%b" % (name, space, value) for name, value in pairs)
    found = jsonrpc._parse_usual(raw)
    assert found is None or found == jsonrpc._parse_any(raw)


def test_the_usual_call_is_read_once() -> None:
    """Else the quick look would agree by never saying anything."""
    for raw in (
        b'{"jsonrpc": "2.0", "id": 1, "method": "m", "params": ["a"]}',
        b'{"method":"m","params":{},"id":"x"}',
        b'{"id": null, "method": "m"}',
    ):
        assert jsonrpc._parse_usual(raw) == jsonrpc._parse_any(raw) != None, raw  # noqa: E711 - one line says both


def test_what_passes_through_shows_itself_in_a_failing_test() -> None:
    """Each says all of its members."""
    shown = [repr(Call("m", b"[]", None, True)), repr(Answer(b"1", None)), repr(Reply(b"{}", 503, 2.0))]  # noqa: FBT003
    assert shown == ["Call('m', b'[]', None, True)", "Answer(b'1', None)", "Reply(b'{}', 503, 2.0)"]
    assert Reply(b"{}") == Reply(b"{}", 200) != Reply(b"{}", 503)


# -- what is refused ----------------------------------------------------------------------------------------


@given(st.binary(max_size=200) | st.text('{}[]",:\\ut1methodparamsidnull \n').map(str.encode))
def test_no_bytes_make_the_reader_raise(body: bytes) -> None:
    """Whatever comes in, a call, a list or a Malformed comes out, and each Malformed says what would be right."""
    found = parse(body, max_depth=8, max_batch=3)
    for entry in found if isinstance(found, list) else [found]:
        if isinstance(entry, Malformed):
            assert entry.failure.kind in (PARSE_ERROR, INVALID_REQUEST)
            assert not entry.failure.safe_to_repeat
            json.loads(entry.id)
        else:
            json.loads(entry.params or b"[]")


@pytest.mark.long
@given(written(containers), st.data())
def test_no_damage_to_a_call_makes_the_reader_raise(params: bytes, data: st.DataObject) -> None:
    """One byte cut out, changed or put in anywhere."""
    body = b'{"jsonrpc": "2.0", "method": "history", "params": %b, "id": "x\\u0041"}' % params
    place = data.draw(st.integers(0, len(body) - 1))
    new = data.draw(st.binary(max_size=2))
    found = parse(body[:place] + new + body[place + 1 :], max_depth=64, max_batch=3)
    assert isinstance(found, (Call, Malformed))


@given(
    st.sampled_from(MEMBERS),
    st.lists(st.booleans(), min_size=7, max_size=7),
    st.integers(0, 3),
    st.sampled_from([b"[1]", b'{"id": {"params": "\\""}}']),
)
def test_a_member_written_twice_is_refused_however_it_is_escaped(
    name: str, escaped: list[bool], place: int, params: bytes
) -> None:
    """Two readers would take two different ones, so nobody may choose."""
    again = "".join(f"\\u{ord(one):04x}" if hide else one for one, hide in zip(name, (*escaped, False), strict=False))
    members = [b'"jsonrpc": "2.0"', b'"method": "m"', b'"params": %b' % params, b'"id": 1']
    members.insert(place, b'"%b": %b' % (again.encode(), {"params": b"[2]", "id": b"2"}.get(name, b'"x"')))
    found = refused(b"{%b}" % b", ".join(members))
    assert found.failure.kind is INVALID_REQUEST
    assert f"{name} is written twice" in found.failure.message


@pytest.mark.long
@given(st.sampled_from(MEMBERS), written(containers), st.booleans(), st.booleans())
def test_a_member_written_twice_is_found_whatever_stands_in_params(
    name: str,
    params: bytes,
    first: bool,  # noqa: FBT001 - Hypothesis fills it in
    escaped: bool,  # noqa: FBT001 - the same
) -> None:
    """Before the params and after them, beside a member that nobody knows."""
    again = b'"%b": %b' % (
        f"\\u{ord(name[0]):04X}{name[1:]}".encode() if escaped else name.encode(),
        {"params": params, "id": b"2"}.get(name, b'"x"'),
    )
    rest = b'"x": %b, "jsonrpc": "2.0", "method": "m", "id": 1, "params": %b' % (params, params)
    assert one(b"{%b}" % rest).params == params
    found = refused(b"{%b}" % b", ".join([again, rest] if first else [rest, again]), max_depth=500)
    assert f"{name} is written twice" in found.failure.message


def test_more_names_than_anybody_looks_through_are_refused() -> None:
    """Only where one of them may be written twice; a call that cannot be mistaken passes."""
    names = b",".join(b'"a%d":0' % place for place in range(MAX_NAMES))
    assert "more than 100000 names" in refused(b'{"method":"m","\\u0061":1,%b}' % names).failure.message
    assert one(b'{"method":"m",%b}' % names).method == "m"


@given(st.binary(max_size=9) | st.text('[]{}"\\:a0, ').map(str.encode), st.integers(0, 3))
def test_what_is_left_without_strings_has_none_of_their_signs(text: bytes, times: int) -> None:
    """Numbers and brackets stay in their order, and a string leaves nothing."""
    inside = json.dumps(text.decode("latin-1") * times).encode()
    assert outside_strings(b"[%b, 1, {%b:%b}]" % (inside, inside, inside)) == b"[, 1, {:}]"
    assert count_names(b'[%b, {%b: 1, "a": 2}, "b:"]' % (inside, inside)) == 2


@pytest.mark.long
@given(written(containers))
def test_names_of_members_inside_of_params_are_no_duplicates(params: bytes) -> None:
    """Only the call's own members count, also where its parameters quote them."""
    inner = b'{"method": "id", "params": [{"id": 1}, {"id": 2}, "\\"method\\":"], "id": %b}' % params
    assert one(b'{"jsonrpc": "2.0", "method": "m", "params": %b, "id": 1}' % inner).params == inner


@pytest.mark.parametrize(
    ("body", "kind", "says"),
    [
        (b"", INVALID_REQUEST, "the body is empty"),
        (b" \r\n", INVALID_REQUEST, "the body is empty"),
        (b'{"method": "\xff"}', PARSE_ERROR, "not UTF-8 (byte 12)"),
        (b'\xef\xbb\xbf{"method": "m"}', PARSE_ERROR, "not JSON"),
        (b"{", PARSE_ERROR, "not JSON"),
        (b"[", PARSE_ERROR, "not JSON"),
        (b'{"method": "m"} x', PARSE_ERROR, "not JSON"),
        (b'{"method": "m", "params": [NaN]}', PARSE_ERROR, "not JSON"),
        (b'{"method": "m", "params": [01]}', PARSE_ERROR, "not JSON"),
        (b'{"method": "\\ud800"}', PARSE_ERROR, "not JSON"),
        (b"[]", INVALID_REQUEST, "the batch is empty"),
        (b"7", INVALID_REQUEST, "a call is an object"),
        (b"null", INVALID_REQUEST, "a call is an object"),
        (b"7 7", PARSE_ERROR, "not JSON"),
        (b"{}", INVALID_REQUEST, "method must be a string"),
        (b'{"method": 5}', INVALID_REQUEST, "method must be a string"),
        (b'{"method": ""}', INVALID_REQUEST, "method must have 1 to"),
        (b'{"method": "%b"}' % (b"m" * (MAX_METHOD + 1)), INVALID_REQUEST, "method must have 1 to"),
        (b'{"method": "m", "params": null}', INVALID_REQUEST, "params must be a list or an object"),
        (b'{"method": "m", "params": "x"}', INVALID_REQUEST, "params must be a list or an object"),
        (b'{"method": "m", "id": true}', INVALID_REQUEST, "id must be"),
        (b'{"method": "m", "id": [1]}', INVALID_REQUEST, "id must be"),
        (b'{"method": "m", "id": {}}', INVALID_REQUEST, "id must be"),
        (b'{"method": "m", "id": "%b"}' % (b"x" * MAX_ID), INVALID_REQUEST, "id must be"),
        (b"[%b]" % b", ".join([b'{"method": "m"}'] * 101), INVALID_REQUEST, "101 calls; at most 100"),
    ],
)
def test_what_is_no_call_is_refused_in_words(body: bytes, kind: object, says: str) -> None:
    """Each mistake has its own sentence."""
    found = refused(body)
    assert found.failure.kind is kind
    assert says in found.failure.message
    assert found.id == b"null"


def test_a_refused_call_is_answered_with_its_own_id() -> None:
    """Where an id could be read, the client can match the error; a bad one is not repeated."""
    assert refused(b'{"id": 7, "method": 5}').id == b"7"
    assert refused(b'{"id": 7, "method": ""}').id == b"7"
    assert refused(b'{"id": "x", "method": "m", "params": 3, "jsonrpc": "2.0"}') == Malformed(
        refused(b'{"id": "x", "method": "m", "params": 3}').failure, b'"x"', v1=False
    )
    assert refused(b'{"id": 7, "method": "m", "params": [1], "params": [2]}').id == b"7"


def test_a_batch_keeps_its_order_and_refuses_entries_one_by_one() -> None:
    """A bad entry spoils no good one."""
    found = parse(b'[{"method": "a", "id": 1}, 7, {"method": 5, "id": 3}, {"method": "d"}]', max_depth=64, max_batch=4)
    assert isinstance(found, list)
    assert [type(entry) for entry in found] == [Call, Malformed, Malformed, Call]
    assert [entry.id for entry in found] == [b"1", b"null", b"3", None]


# -- depth --------------------------------------------------------------------------------------------------


def depth_of(body: bytes) -> int:
    """Look at each character in turn: the slow and obvious way; a backslash hides a quote also where none may be."""
    deepest = depth = 0
    is_text = is_escaped = False
    for sign in body.decode("latin-1"):
        if is_text:
            is_text = is_escaped or sign != '"'
        elif sign == '"':
            is_text = not is_escaped
        elif sign in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif sign in "]}":
            depth -= 1
        is_escaped = sign == "\\" and not is_escaped
    return deepest


mountains = st.lists(
    st.builds(lambda up, down, times: ("[" * up + "}" * down) * times, *[st.integers(0, 9)] * 2, st.integers(0, 60))
).map("".join)


@given(st.text('[]{}"\\a,') | written().map(bytes.decode) | mountains, st.integers(0, 12))
def test_the_cheap_look_at_depth_agrees_with_the_slow_one(body: str, most: int) -> None:
    """For good and for broken JSON alike, with strings that hold brackets, quotes and backslashes."""
    assert too_deep(body.encode(), most) == (depth_of(body.encode()) > most)


@given(st.text('[]{}"\\:a0, '), st.integers(0, 6))
def test_a_backslash_outside_of_strings_is_refused_whatever_was_counted(body: str, most: int) -> None:
    """The one text in which a quote may be counted in another way; no reader takes it."""
    found = refused(b"[\\%b" % body.encode(), max_depth=most)
    assert found.failure.kind is PARSE_ERROR


def bombs() -> Iterator[bytes]:
    """Bodies that would end a reader that descends."""
    many = 100_000
    yield b"[" * many
    yield b"[" * many + b"]" * many
    yield b'{"a":' * many
    yield b'{"method": "m", "params": %b}' % (b"[" * many + b"]" * many)
    yield b'{"method": "m", "id": %b}' % (b"[" * many + b"]" * many)
    yield b'{"x": %b, "method": "m"}' % (b'{"a":' * many + b"1" + b"}" * many)


@pytest.mark.parametrize("bomb", list(bombs()), ids=["open", "whole", "objects", "params", "id", "unknown"])
def test_a_hundred_thousand_brackets_are_refused_and_harm_nothing(bomb: bytes) -> None:
    """Depth is counted before anything descends; a door that allows more is held by the reader itself."""
    assert "nested deeper than 64" in refused(bomb).failure.message
    assert refused(bomb, max_depth=1_000_000).failure.kind is PARSE_ERROR
    assert refused(b"[%b]" % bomb, max_depth=1_000_000).failure.kind is PARSE_ERROR


def test_brackets_in_strings_are_no_depth() -> None:
    """A memo may hold as many as it likes."""
    params = b'["%b"]' % (b"[" * 100_000)
    assert one(b'{"method": "m", "params": %b}' % params, max_depth=3).params == params


def test_escaped_quotes_do_not_cost_their_square() -> None:
    """A body of two million of them is looked through once; before, sixteen thousand took seven seconds."""
    body = b"[" * 65 + b'"' + b'\\"' * 2_000_000
    assert refused(body, max_depth=64).failure.kind is PARSE_ERROR


# -- daemons ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not_json"),
        (b"<html>", "not_json"),
        (b'{"id": "g", "result": ', "not_json"),
        (b'{"id": "g", "result": NaN}', "not_json"),
        (b'{"id": "g", "result": "\xff"}', "not_json"),
        (b'{"id": "g", "result": %b}' % (b"[" * 100_000), "not_json"),
        (b'{"id": "g", "result": %b}' % (b"[" * 100_000 + b"]" * 100_000), "not_json"),
        (b"[]", "not_jsonrpc"),
        (b'"Daemon offline"', "not_jsonrpc"),
        (b"{}", "not_jsonrpc"),
        (b'{"result": 1}', "not_jsonrpc"),
        (b'{"id": "g"}', "not_jsonrpc"),
        (b'{"id": "g", "error": null}', "not_jsonrpc"),
        (b'{"id": "h", "result": 1}', "foreign_id"),
        (b'{"id": 5, "result": 1}', "foreign_id"),
        (b'{"id": null, "error": {"code": -32700}}', "foreign_id"),
    ],
)
def test_what_is_no_answer_to_our_call_is_told_apart(body: bytes, reason: str) -> None:
    """None of these may ever reach a client as an answer."""
    with pytest.raises(BadAnswer) as caught:
        read_answer(body, "g")
    assert caught.value.reason == reason


@given(st.binary(max_size=100) | st.text('{}[]",:idresulterrorgnull1 ').map(str.encode))
def test_no_bytes_from_a_daemon_raise_anything_but_bad_answer(body: bytes) -> None:
    """And what is taken for an answer is JSON."""
    try:
        answer = read_answer(body, "g")
    except BadAnswer as bad:
        assert bad.reason in {"not_json", "not_jsonrpc", "foreign_id"}  # noqa: PT017 - both ends are looked at
    else:
        json.loads(answer.result if answer.result is not None else answer.error or b"")


@pytest.mark.long
@given(written(), written(st.dictionaries(texts, values)))
def test_an_answer_has_exactly_one_of_result_and_error(result: bytes, error: bytes) -> None:
    """An error that is null is none; one beside a result counts."""
    assert read_answer(b'{"id": "g", "result": %b, "error": null}' % result, "g") == Answer(result, None)
    assert read_answer(b'{"id": "g", "error": %b}' % error, "g") == Answer(None, error)
    assert read_answer(b'{"id": "g", "result": null, "error": %b}' % error, "g") == Answer(None, error)


def test_an_error_of_ours_says_what_is_known_and_what_to_do() -> None:
    """Code, message and data as the table of errors has them."""
    failure = Failure(NO_BACKEND, "no_backend: none is up", safe_to_repeat=True, wallet="main", next_step="wait")
    assert json.loads(failure_error(failure)) == {
        "code": -32001,
        "message": "no_backend: none is up",
        "data": {"name": "no_backend", "executed": "no", "safe_to_repeat": True, "wallet": "main", "next_step": "wait"},
    }


def test_half_a_character_in_a_text_does_not_make_an_answer_unreadable() -> None:
    """A label that was cut in the middle of an emoji; whole pairs, and text that only looks like one, stay."""
    body = rb'{"id": "g", "result": ["caf\ud83d", "\ude00", "\ud83d\ude00", "\\ud83d", "\ud83d\ud83d\ude00"]}'
    answer = read_answer(body, "g")
    assert answer.result == rb'["caf\ufffd", "\ufffd", "\ud83d\ude00", "\\ud83d", "\ufffd\ud83d\ude00"]'
    with pytest.raises(BadAnswer, match="not_json"):
        read_answer(rb'{"id": "g", "result": ["caf\ud83d"', "g")


def test_half_a_character_from_a_client_is_called_by_its_name() -> None:
    """It is not that the body ended too early."""
    bad = parse(rb'{"id": 1, "method": "setlabel", "params": ["a", "caf\ud83d"]}', max_depth=9, max_batch=9)
    assert isinstance(bad, Malformed)
    assert "half of a character" in bad.failure.message
