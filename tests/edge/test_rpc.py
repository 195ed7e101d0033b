"""The door for clients: what comes in, good or bad, and what it is answered."""

import asyncio
import json

import pytest

from gateway.app import LAST_WORDS
from gateway.base.errors import NO_BACKEND, OUTCOME_UNKNOWN, Failure
from gateway.base.jsonrpc import Call, Reply, error_reply, failure_error
from gateway.edge.auth import Authenticator
from gateway.edge.descriptors import Descriptors
from tests.edge.conftest import Knock, body, client, echo, read_one, request, status

PING = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'


def error(answer: bytes) -> dict[str, object]:
    """The error object in an answer."""
    found = json.loads(body(answer))["error"]
    assert isinstance(found, dict)
    return found


async def test_a_call_is_answered_with_its_own_id(knock: Knock) -> None:
    """As it was written, to the digit."""
    for raw_id in (b"1", b'"abc"', b"null", b"123456789012345678901234567890", b'"\\u0041"', b"1.50"):
        answer = await knock.post(b'{"jsonrpc":"2.0","id":%b,"method":"ping"}' % raw_id)
        assert body(answer) == b'{"result": [], "id": %b, "jsonrpc": "2.0"}' % raw_id


async def test_the_old_shape_is_kept_for_old_callers(knock: Knock) -> None:
    """No jsonrpc member in, none out."""
    answer = await knock.post(b'{"id":1,"method":"ping"}')
    assert body(answer) == b'{"result": [], "id": 1, "error": null}'


async def test_a_batch_keeps_its_order_and_leaves_notifications_out(knock: Knock) -> None:
    """Each entry on its own, the bad one too."""
    calls = b'[{"id":1,"method":"a"},{"method":"b"},7,{"id":2,"method":"c"}]'
    replies = json.loads(body(await knock.post(calls)))
    assert [reply["id"] for reply in replies] == [1, None, 2]
    assert replies[1]["error"]["code"] == -32600
    assert [call.method for _, _, call, _, _ in knock.dispatcher.asked] == ["a", "b", "c"]


async def test_notifications_alone_are_answered_with_nothing(knock: Knock) -> None:
    """HTTP 200 and an empty body, as the daemon does."""
    for calls in (b'[{"method":"b"}]', b'{"method":"b"}'):
        answer = await knock.post(calls)
        assert status(answer) == 200
        assert body(answer) == b""


async def test_a_batch_has_one_deadline_and_entries_not_reached_say_so(knock: Knock) -> None:
    """The first call eats the time of all."""

    async def slow(call: Call) -> Reply:
        await asyncio.sleep(0.05)
        return await echo(call)

    knock.dispatcher.act = slow
    answer = await knock.post(
        b'[{"id":1,"method":"a"},{"id":2,"method":"b"},{"method":"c"}]', "X-Request-Timeout: 0.02"
    )
    replies = json.loads(body(answer))
    assert "result" in replies[0]
    assert replies[1]["error"]["code"] == -32003
    assert replies[1]["error"]["data"]["executed"] == "no"
    assert len(replies) == 2


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"", -32600),
        (b"[]", -32600),
        (b"7", -32600),
        (b'"x"', -32600),
        (b"{bad", -32700),
        (b"\xff\xfe", -32700),
        (b"[" * 2000, -32700),
        (b'[{"id":1,"method":"a"}' + b',{"id":1,"method":"a"}' * 4 + b"]", -32600),
        (b'{"id":1,"method":7}', -32600),
        (b'{"id":1,"method":"a","params":null}', -32600),
        (b'{"id":1,"method":"a","params":"x"}', -32600),
        (b'{"id":{},"method":"a"}', -32600),
        (b'{"id":1,"method":"a","method":"b"}', -32600),
    ],
)
async def test_a_body_that_is_no_call_is_refused_in_words(knock: Knock, sent: bytes, code: int) -> None:
    """A JSON-RPC error, and nothing reaches the dispatcher."""
    answer = await knock.post(sent)
    assert status(answer) == 200
    assert error(answer)["code"] == code
    assert not knock.dispatcher.asked


@pytest.mark.parametrize(
    ("headers", "wanted"),
    [
        (("Content-Length: 40", "Content-Length: 41"), 400),
        (("Content-Length: 40", "Content-Length: 40"), 400),
        (("Content-Length: 40", "Transfer-Encoding: chunked"), 400),
        (("Transfer-Encoding: xchunked",), 400),
        (("Content-Length: -1",), 400),
        (("Content-Length: +40",), 400),
        (("Content-Length: abc",), 400),
        (("Content-Length: 40", "X: " + "a" * 9000), 400),
    ],
)
async def test_ambiguous_requests_are_refused_and_closed(knock: Knock, headers: tuple[str, ...], wanted: int) -> None:
    """What two readers could read in two ways is read by nobody."""
    answer = await knock.raw(request(PING, *headers), until_eof=True)
    assert status(answer) == wanted
    assert error(answer)["code"] == -32600
    assert not knock.dispatcher.asked
    assert knock.door.counters.malformed["not_http"] == 1


async def test_a_broken_head_is_neither_quoted_nor_logged(knock: Knock, capsys: pytest.CaptureFixture[str]) -> None:
    """It may hold a password."""
    answer = await knock.raw(request(PING, "Authorization: Basic " + "c2VjcmV0" * 2000), until_eof=True)
    assert b"c2VjcmV0" not in answer
    assert "c2VjcmV0" not in "".join(capsys.readouterr())


async def test_a_body_without_a_length_is_refused(knock: Knock) -> None:
    """411, with the way out."""
    answer = await knock.raw(request(b"", "X: y").replace(b"Content-Length: 0\r\n", b""))
    assert status(answer) == 411
    assert "Content-Length" in str(error(answer)["message"])


async def test_a_chunked_body_is_taken(knock: Knock) -> None:
    """The daemon cannot, so it is framed anew; beyond its cap it is refused all the same."""
    chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(PING), PING)
    assert status(await knock.raw(request(chunked, "Transfer-Encoding: chunked"))) == 200
    large = b"2000\r\n" + b" " * 0x2000 + b"\r\n0\r\n\r\n"
    assert status(await knock.raw(request(large, "Transfer-Encoding: chunked"))) == 413


async def test_pipelined_calls_are_answered_in_order(knock: Knock) -> None:
    """A daemon would drop the second one."""
    reader, writer = await asyncio.open_connection("127.0.0.1", knock.door.port)
    writer.write(b"".join(request(b'{"id":%d,"method":"a"}' % number) for number in range(5)))
    answers = [json.loads(body(await read_one(reader)))["id"] for _ in range(5)]
    writer.close()
    assert answers == [0, 1, 2, 3, 4]


async def test_a_body_beyond_its_cap_is_refused_before_it_comes(knock: Knock) -> None:
    """413 by its length alone."""
    answer = await knock.raw(request(b"", "Content-Length: 5000"))
    assert status(answer) == 413
    assert knock.door.counters.malformed == {"too_large": 1}


async def test_half_a_body_ends_after_its_time(knock: Knock) -> None:
    """408, and the connection is closed."""
    answer = await knock.raw(request(b"{", "Content-Length: 100"))
    assert status(answer) == 408
    assert b"Connection: close" in answer


async def test_a_head_that_does_not_come_is_not_waited_for(knock: Knock) -> None:
    """Half a head, or none at all: closed, and counted."""
    for sent in (b"POST / HTTP/1.1\r\nHost:", b""):
        assert await knock.raw(sent, until_eof=True) == b""
    assert knock.door.counters.slow_heads == 2


async def test_an_idle_connection_between_calls_is_no_slow_head(knock: Knock) -> None:
    """Keep-alive outlasts the time-out of a head."""
    reader, writer = await asyncio.open_connection("127.0.0.1", knock.door.port)
    for _ in range(2):
        writer.write(request(PING))
        assert status(await read_one(reader)) == 200
        await asyncio.sleep(1.1)
    writer.write(request(PING))
    assert status(await read_one(reader)) == 200
    writer.close()


async def test_connections_beyond_the_cap_are_closed(knock: Knock) -> None:
    """The ninth of eight."""
    held = [await asyncio.open_connection("127.0.0.1", knock.door.port) for _ in range(8)]
    for reader, writer in held:
        writer.write(request(PING))
        await read_one(reader)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await knock.post(PING)
    assert knock.door.counters.connections_refused == 1
    assert knock.door.counters.connections_open == 8
    for _, writer in held:
        writer.close()


async def test_other_verbs_and_paths_are_told_the_way(knock: Knock) -> None:
    """GET with a hint, unknown paths and wallets alike."""
    answer = await knock.post(b"", verb="GET")
    assert status(answer) == 405
    assert b"Allow: POST" in answer
    assert "POST" in str(error(answer)["message"])
    for path in ("/x", "/wallets/none", "/wallets/cold", "/wallets/"):
        assert status(await knock.post(PING, path=path)) == 404


async def test_each_wallet_has_its_path(knock: Knock) -> None:
    """The root is main; a client reaches the wallets it was given."""
    await knock.post(PING, path="/wallets/cold", user="web")
    await knock.post(PING, path="/wallets/main", user="web")
    await knock.post(PING, user="shop")
    assert [wallet for wallet, *_ in knock.dispatcher.asked] == ["cold", "main", "main"]


async def test_wrong_credentials_are_challenged(knock: Knock) -> None:
    """401 with WWW-Authenticate and a JSON-RPC body."""
    for headers in ((), ("Authorization: Basic !!!",), ("Authorization: Bearer x",)):
        answer = await knock.post(PING, *headers, user=None)
        assert status(answer) == 401
        assert b'WWW-Authenticate: Basic realm="ec-gateway"' in answer
        assert error(answer)["code"] == -32005
    assert knock.door.counters.auth_failures == 3


async def test_errors_come_as_the_client_wants_them(knock: Knock) -> None:
    """HTTP 200 by default, a status and Retry-After for those who ask."""

    async def refuse(call: Call) -> Reply:
        failure = Failure(NO_BACKEND, "no_backend: none", safe_to_repeat=True)
        assert call.id is not None
        return Reply(error_reply(call.id, call.v1, failure_error(failure)), 503, 1.0)

    knock.dispatcher.act = refuse
    assert status(await knock.post(PING, user="shop")) == 200
    answer = await knock.post(PING, user="web")
    assert status(answer) == 503
    assert b"Retry-After: 1" in answer
    assert error(answer)["code"] == -32001
    assert status(await knock.post(b"{bad", user="web")) == 400


async def test_a_refusal_for_its_rate_has_the_shape_of_what_was_sent(knock: Knock) -> None:
    """A batch is answered by a list, notifications by nothing; and a batch is no way around the rate."""
    await knock.post(b'[{"id":1,"method":"a"},{"id":2,"method":"a"}]', user="slow")
    assert len(knock.dispatcher.asked) == 2
    for sent, wanted in (
        (b'[{"id":1,"method":"a"}]', [1]),
        (b'[{"id":1,"method":"a"},{"method":"a"},{"id":3,"method":"a"}]', [1, 3]),
    ):
        replies = json.loads(body(await knock.post(sent, user="slow")))
        assert [reply["id"] for reply in replies] == wanted
        assert all(reply["error"]["code"] == -32002 for reply in replies)
    for sent in (b'{"method":"a"}', b'[{"method":"a"}]'):
        assert body(await knock.post(sent, user="slow")) == b""
    assert len(knock.dispatcher.asked) == 2


async def test_a_client_beyond_its_rate_is_told_to_wait(knock: Knock) -> None:
    """overloaded, executed no."""
    assert "result" in json.loads(body(await knock.post(PING, user="slow")))
    found = error(await knock.post(PING, user="slow"))
    assert found["code"] == -32002
    assert knock.door.counters.rate_limited == 1


async def test_a_request_may_shorten_its_deadline_and_not_lengthen_it(knock: Knock) -> None:
    """Seconds in X-Request-Timeout."""
    loop = asyncio.get_running_loop()
    await knock.post(PING, "X-Request-Timeout: 2.5")
    await knock.post(PING, "X-Request-Timeout: 900")
    deadlines = [deadline - loop.time() for _, _, _, deadline, _ in knock.dispatcher.asked]
    assert deadlines[0] < 2.6
    assert 2.6 < deadlines[1] < 9.1
    for bad in ("0", "-1", "nan", "x", "1e99"):
        assert status(await knock.post(PING, f"X-Request-Timeout: {bad}")) == 400


async def test_a_key_is_for_one_payment(knock: Knock) -> None:
    """Two in one batch, or two keys for one call, are refused before anything is run."""
    two = b'[{"id":1,"method":"payto"},{"id":2,"method":"paytomany"}]'
    assert (await knock.post(two, "Idempotency-Key: k")).count(b"invalid_params: a key is for one payment") == 2
    found = error(await knock.post(PING, "Idempotency-Key: k\r\nidempotency-key: l"))
    assert str(found["message"]).startswith("invalid_params: there are two Idempotency-Key headers")
    assert knock.dispatcher.asked == []
    one = b'[{"id":1,"method":"payto"},{"id":2,"method":"getbalance"},7]'
    assert status(await knock.post(one, "Idempotency-Key: k")) == 200
    assert status(await knock.post(two)) == 200


async def test_an_idempotency_key_goes_with_one_call(knock: Knock) -> None:
    """Handed on, also with a batch."""
    await knock.post(PING, "Idempotency-Key: k1")
    assert knock.dispatcher.asked[0][4] == "k1"
    await knock.post(b'[{"id":1,"method":"a"},{"id":2,"method":"b"}]', "Idempotency-Key: k")
    assert [key for _, _, _, _, key in knock.dispatcher.asked[-2:]] == ["k", "k"]


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("", "invalid_params: the Idempotency-Key is empty; give each payment a key of its own"),
        ("k" * 256, "invalid_params: the Idempotency-Key has 256 characters; at most 255 are taken"),
    ],
)
async def test_a_key_that_is_none_is_refused_as_any_other_mistake(knock: Knock, key: str, words: str) -> None:
    """As an error of the call, with its id and the status that the client wants; nothing is asked of anybody."""
    answer = await knock.post(b'{"id":7,"method":"payto"}', f"Idempotency-Key: {key}")
    assert status(answer) == 200
    found = json.loads(body(answer))
    assert found["error"]["message"].startswith(words)
    assert (found["error"]["code"], found["error"]["data"]["executed"], found["id"]) == (-32602, "no", 7)
    assert status(await knock.post(PING, f"Idempotency-Key: {key}", user="web")) == 400
    batch = await knock.post(b'[{"id":1,"method":"a"},{"method":"b"},{"id":2,"method":"c"}]', f"Idempotency-Key: {key}")
    assert batch.count(b"invalid_params: ") == 2
    assert knock.dispatcher.asked == []


async def test_a_client_that_hangs_up_is_heard(knock: Knock) -> None:
    """The dispatcher's call is cancelled; what that ends is its own decision."""
    began = asyncio.Event()

    async def hang(_call: Call) -> Reply:
        began.set()
        await asyncio.sleep(60)
        return Reply(b"")

    knock.dispatcher.act = hang
    _, writer = await asyncio.open_connection("127.0.0.1", knock.door.port)
    writer.write(request(PING))
    await began.wait()
    writer.close()
    async with asyncio.timeout(5):
        await knock.dispatcher.left.wait()
    assert knock.dispatcher.cancelled == 1


async def test_a_fault_of_ours_tells_the_client_nothing_of_its_inside(knock: Knock) -> None:
    """internal_error, and the log has the rest."""

    async def fail(_call: Call) -> Reply:
        raise RuntimeError("password is hunter2")

    knock.dispatcher.act = fail
    answer = await knock.post(PING)
    assert status(answer) == 500
    assert error(answer)["code"] == -32603
    assert b"hunter2" not in answer


async def test_draining_closes_connections_after_their_answer(knock: Knock) -> None:
    """Calls under way are answered, the connection says close, then nobody listens."""
    knock.door.drain()
    answer = await knock.post(PING)
    assert status(answer) == 200
    assert b"Connection: close" in answer
    began = asyncio.Event()

    async def slow(call: Call) -> Reply:
        began.set()
        await asyncio.sleep(0.2)
        return await echo(call)

    knock.dispatcher.act = slow
    late = asyncio.ensure_future(knock.post(PING))
    await began.wait()
    await knock.door.stop(5)
    assert status(await late) == 200
    with pytest.raises(OSError):  # noqa: PT011 - any way of not getting in will do
        await knock.post(PING)


async def test_caps_and_clients_can_be_changed_while_it_is_open(knock: Knock) -> None:
    """A reload takes effect with the next request."""
    listen = knock.door.listen.model_copy(update={"max_batch": 1})
    knock.door.update(listen, Authenticator([client("new")], anonymous=True))
    assert status(await knock.post(PING, user="shop")) == 401
    assert status(await knock.post(PING, user="new")) == 200
    assert status(await knock.post(PING, user=None)) == 200
    answer = await knock.post(b'[{"id":1,"method":"a"},{"id":2,"method":"b"}]', user="new")
    assert error(answer)["code"] == -32600


async def test_the_unknown_outcome_carries_what_a_client_needs(knock: Knock) -> None:
    """executed, safe_to_repeat, wallet, backend, next step."""

    async def unknown(call: Call) -> Reply:
        failure = Failure(OUTCOME_UNKNOWN, "m", safe_to_repeat=False, wallet="main", backend="ec-1", next_step="look")
        assert call.id is not None
        return Reply(error_reply(call.id, call.v1, failure_error(failure)), 504)

    knock.dispatcher.act = unknown
    data = error(await knock.post(PING))["data"]
    assert data == {
        "name": "outcome_unknown",
        "executed": "unknown",
        "safe_to_repeat": False,
        "wallet": "main",
        "backend": "ec-1",
        "next_step": "look",
    }


@pytest.mark.parametrize("sent", [PING, b"[" + PING + b"," + PING + b"]"], ids=["a call", "a batch"])
async def test_a_wallet_that_goes_while_a_body_comes_is_told_of(knock: Knock, sent: bytes) -> None:
    """A reload took it away between head and body: not executed, no fault of ours, and nothing reaches anybody."""
    reader, writer = await asyncio.open_connection("127.0.0.1", knock.door.port)
    whole = request(sent)
    writer.write(whole[:-1])
    async with asyncio.timeout(5):
        while not knock.door.counters.requests:  # noqa: ASYNC110 - the head arrives in a moment
            await asyncio.sleep(0.005)
        knock.door.wallets = set[str]
        writer.write(whole[-1:])
        answer = await read_one(reader)
    writer.close()
    found = json.loads(body(answer))
    for reply in found if isinstance(found, list) else [found]:
        assert reply["error"]["code"] == -32001
        assert reply["error"]["data"]["executed"] == "no"
    assert not knock.dispatcher.asked


async def test_whoever_expects_a_word_before_the_body_gets_it(knock: Knock) -> None:
    """100 Continue for a body that will be taken, the refusal for one that will not; never in HTTP/1.0."""
    reader, writer = await asyncio.open_connection("127.0.0.1", knock.door.port)
    writer.write(request(b"", f"Content-Length: {len(PING)}", "Expect: 100-Continue"))
    async with asyncio.timeout(5):
        assert await read_one(reader) == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(PING)
        assert status(await read_one(reader)) == 200
    writer.close()
    assert status(await knock.post(b"", "Content-Length: 5000", "Expect: 100-continue")) == 413
    old = request(b"", "Content-Length: 10", "Expect: 100-continue").replace(b"HTTP/1.1", b"HTTP/1.0", 1)
    assert status(await knock.raw(old)) == 408


async def test_no_more_connections_are_taken_than_descriptors_allow(knock: Knock) -> None:
    """Whatever the cap says, also after a reload."""
    knock.door.descriptors = Descriptors(6)
    knock.door.update(knock.door.listen.model_copy(update={"max_connections": 1000}), knock.door.authenticate)
    lines = [await asyncio.open_connection("127.0.0.1", knock.door.port) for _ in range(4)]
    async with asyncio.timeout(5):
        while not knock.door.counters.connections_refused:  # noqa: ASYNC110 - the door takes them a moment later
            await asyncio.sleep(0.01)
    assert knock.door.counters.connections_open == 3
    for _, writer in lines:
        writer.close()


async def test_a_batch_answers_for_what_ran_when_its_other_calls_are_given_up(knock: Knock) -> None:
    """The gateway ends while it is under way: each entry has its answer, and all of them are sent."""
    closing = asyncio.Event()
    failure = Failure(NO_BACKEND, "no_backend: the gateway ends; nothing was sent", safe_to_repeat=True)

    async def act(call: Call) -> Reply:
        if closing.is_set():
            return Reply(error_reply(call.id or b"null", call.v1, failure_error(failure)), NO_BACKEND.status)
        await closing.wait()
        return await echo(call)

    knock.dispatcher.act = act
    entries = b", ".join(b'{"id": %d, "method": "setlabel"}' % number for number in (1, 2, 3))
    asking = asyncio.ensure_future(knock.post(b"[%b]" % entries))
    async with asyncio.timeout(5):
        while not knock.dispatcher.asked:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)
        closing.set()
        await knock.door.stop(LAST_WORDS)
        found = json.loads(body(await asking))
    assert [(reply["id"], "error" in reply and reply["error"] is not None) for reply in found] == [
        (1, False), (2, True), (3, True),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("verb", "path", "headers"),
    [
        ("GET", "/", ()),
        ("POST", "/?a=b", ()),
        ("POST", "/wallets/ma%69n", ()),
        ("POST", "/", ("Transfer-Encoding: chunked",)),
        ("POST", "/", ("Expect: 100-continue",)),
    ],
)
async def test_an_unusual_request_does_not_change_what_follows_on_its_connection(
    knock: Knock, verb: str, path: str, headers: tuple[str, ...]
) -> None:
    """Usual requests are read without the parser and all others with it: nobody can tell from outside."""
    chunked = "Transfer-Encoding: chunked" in headers
    sent = b"%x\r\n%b\r\n0\r\n\r\n" % (len(PING), PING) if chunked else PING
    odd = request(sent, *headers, verb=verb, path=path)
    reader, writer = await asyncio.open_connection("127.0.0.1", knock.door.port)
    usual = request(PING)
    heads: list[bytes] = []
    for data in (usual, usual, odd, usual, usual):
        writer.write(data)
        async with asyncio.timeout(5):
            got = await read_one(reader)
        heads.append(got.partition(b"\r\n\r\n")[0])
    writer.close()
    wanted = b"405" if verb == "GET" else b"200"
    assert [head.split()[1] for head in heads[:3]] == [b"200", b"200", wanted]
    if wanted == b"200":
        assert len({sorted_lines(head) for head in heads}) == 1


async def test_a_usual_request_may_be_refused_and_its_connection_stays(knock: Knock) -> None:
    """Whatever status an answer has, the next call on the connection is answered as well."""
    reader, writer = await asyncio.open_connection("127.0.0.1", knock.door.port)
    good = request(b'{"id": 1, "method": "getbalance"}')
    statuses: list[bytes] = []
    for data in (request(b"{}", user="nobody"), good, request(b"{}", path="/nowhere"), good):
        writer.write(data)
        async with asyncio.timeout(5):
            statuses.append((await read_one(reader)).split()[1])
    writer.close()
    assert statuses == [b"401", b"200", b"404", b"200"]


def sorted_lines(head: bytes) -> tuple[bytes, ...]:
    """The lines of a head in any order, without the time."""
    return tuple(sorted(line for line in head.split(b"\r\n") if not line.startswith(b"Date:")))
