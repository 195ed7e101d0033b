"""The door for clients on a real gateway: all that knocks gets an answer, and nothing reaches a daemon unasked."""

import json
import select
import signal
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from gateway.sandbox.fleet import Fleet, RpcError
from tests.integration.gateway_process import (
    ALL_EFFECTS,
    PATIENCE,
    Answer,
    Gateway,
    Line,
    backends,
    client,
    raw_request,
    settings_for,
    wait_until,
)

VERSION = b'{"jsonrpc":"2.0","id":1,"method":"version"}'

ALLOCATE = b'{"jsonrpc":"2.0","id":1,"method":"createnewaddress"}'


@pytest.fixture(scope="module")
def shared_door(fleet: Fleet, folder: Path) -> Iterator[Gateway]:
    """A gateway with two wallets, several clients and short times."""
    settings = settings_for([])
    rows = backends(fleet)
    settings["wallets"] = {"main": {"backends": rows[:2]}, "cold": {"backends": rows[2:]}}
    settings["listen"] = {"port": 0, "head_timeout": 0.5, "body_timeout": 0.5}
    settings["clients"] = [
        client("shop"),
        client("web", errors="http", wallets=["main", "cold"]),
        client("till", effects=ALL_EFFECTS, methods=["getmpk"]),
        client("reader", effects=["read"], wallets=["cold"]),
        client("miser", errors="http", rate_limit={"per_second": 0.01, "burst": 2}),
    ]
    with Gateway(folder / "door", settings) as gateway:
        for wallet in ("main", "cold"):
            wait_until(lambda w=wallet: gateway.admin("/readyz").json["wallets"][w] == [], "it is ready")  # type: ignore[misc]  # a default binds the name
        yield gateway


@pytest.fixture
def door(shared_door: Gateway) -> Iterator[Gateway]:
    """The same; after each test it still answers."""
    yield shared_door
    assert shared_door.process.poll() is None
    assert shared_door.call("version").result
    assert not shared_door.events("door.failed")


def allocations(fleet: Fleet) -> int:
    """How many addresses the daemons were made to derive."""
    return sum(row["method"] == "createnewaddress" for n in range(len(fleet)) for row in fleet.journal(n))


# -- bodies ---------------------------------------------------------------------------------------------------

BAD_BODIES: dict[str, tuple[bytes, int]] = {
    "nothing": (b"", -32600),
    "broken": (b'{"jsonrpc":"2.0","id":1,"method":"createnewaddress"', -32700),
    "two values": (ALLOCATE + ALLOCATE, -32700),
    "deep": (b"[" * 100_000, -32700),
    "deep in params": (b'{"id":1,"method":"createnewaddress","params":' + b"[" * 50_000 + b"]" * 50_000 + b"}", -32700),
    "deep and closed wrongly": (b'{"id":1,"method":"version","params":' + b'[{"a":' * 50_000 + b"}", -32700),
    "not UTF-8": (b'{"id":1,"method":"createnewaddress","params":["\xff"]}', -32700),
    "UTF-16": (ALLOCATE.decode().encode("utf-16"), -32700),
    "NaN": (b'{"id":1,"method":"createnewaddress","params":[NaN]}', -32700),
    "a lone surrogate": (b'{"id":1,"method":"\\ud800","params":[]}', -32700),
    "a number": (b"42", -32600),
    "a method that is none": (b'{"id":1,"method":["createnewaddress"]}', -32600),
    "no method": (b'{"id":1,"params":[]}', -32600),
    "params that are none": (b'{"id":1,"method":"createnewaddress","params":"x"}', -32600),
    "an id that is none": (b'{"id":[1],"method":"createnewaddress"}', -32600),
    "a doubled method": (b'{"id":1,"method":"version","method":"createnewaddress"}', -32600),
    "a method hidden by an escape": (b'{"id":1,"method":"version","\\u006dethod":"createnewaddress"}', -32600),
    "an empty batch": (b"[]", -32600),
    "a batch too long": (b"[" + b",".join([ALLOCATE] * 101) + b"]", -32600),
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_a_bad_body_is_told_so_and_touches_no_daemon(name: str, door: Gateway, fleet: Fleet) -> None:
    """A JSON-RPC error with HTTP 200, or with 400 for who asked for statuses."""
    sent, code = BAD_BODIES[name]
    before = allocations(fleet)
    for user, status in (("shop", 200), ("web", 400)):
        answer = door.post(sent, user=user)
        assert (answer.status, answer.error["code"]) == (status, code)
        assert answer.error["data"]["executed"] == "no"
        assert len(answer.text) < 1000, "a bad body is not sent back"
    assert allocations(fleet) == before


def test_a_chunked_body_is_framed_anew(door: Gateway, fleet: Fleet) -> None:
    """The daemon cannot read chunks; it gets a length."""
    mine = fleet.rpc(0, "listaddresses")[0]
    sent = json.dumps({"id": 1, "method": "validateaddress", "params": [mine]}).encode()
    chunks = b"".join(
        b"%x;note=1\r\n%b\r\n" % (len(sent[at : at + 7]), sent[at : at + 7]) for at in range(0, len(sent), 7)
    )
    with door.knock() as line:
        line.send(raw_request(b"", "Transfer-Encoding: chunked") + chunks + b"0\r\nX-Trailer: 1\r\n\r\n")
        assert line.answer().result is True
        line.request(VERSION)
        assert line.answer().result, "the connection goes on after it"


def test_who_asks_before_sending_a_body_is_told_to_go_on(door: Gateway) -> None:
    """With Expect: 100-continue a client may wait for seconds before it sends its body."""
    with door.knock() as line:
        line.send(raw_request(b"", f"Content-Length: {len(VERSION)}", "Expect: 100-continue"))
        assert line.file.readline() == b"HTTP/1.1 100 Continue\r\n"
        assert line.file.readline() == b"\r\n"
        line.send(VERSION)
        assert line.answer().result
    with door.knock() as line:
        line.send(raw_request(b"", "Content-Length: 5000000", "Expect: 100-continue"))
        assert line.answer().status == 413, "and is not told so where the body would be refused"


# -- framing --------------------------------------------------------------------------------------------------

SMUGGLED = raw_request(ALLOCATE)

AMBIGUOUS = {
    "length and chunks": ("Content-Length: 6", "Transfer-Encoding: chunked"),
    "chunks and length": ("Transfer-Encoding: chunked", "Content-Length: 6"),
    "two lengths": ("Content-Length: 6", "Content-Length: 300"),
    "a list of lengths": ("Content-Length: 6, 300",),
    "a signed length": ("Content-Length: +6",),
    "a negative length": ("Content-Length: -6",),
    "a hexadecimal length": ("Content-Length: 0x6",),
    "an underscored length": ("Content-Length: 1_0",),
    "a blank before the colon": ("Transfer-Encoding : chunked", "Content-Length: 6"),
    "chunks twice": ("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
    "chunks that are not last": ("Transfer-Encoding: chunked, identity",),
    "chunks in disguise": ("Transfer-Encoding: xchunked", "Content-Length: 6"),
    "a folded header": ("X: a\r\n b", "Content-Length: 6", "Transfer-Encoding: chunked"),
    "a header without a name": (": x", "Content-Length: 6"),
    "a zero byte": ("X: a\x00b", "Content-Length: 6"),
    "a bare carriage return": ("X: a\rContent-Length: 300", "Content-Length: 6"),
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_a_request_that_can_be_read_in_two_ways_is_refused(name: str, door: Gateway, fleet: Fleet) -> None:
    """400 and closed; the request behind it is nobody's."""
    before = allocations(fleet)
    with door.knock() as line:
        line.send(raw_request(b"0\r\n\r\nX", *AMBIGUOUS[name]) + SMUGGLED)
        answer = line.answer()
        assert (answer.status, answer.error["code"]) == (400, -32600)
        assert line.is_closed()
    assert allocations(fleet) == before


def test_chunks_that_are_none_are_refused(door: Gateway, fleet: Fleet) -> None:
    """Sizes that are no hexadecimal numbers, and chunks longer than their size."""
    before = allocations(fleet)
    for chunks in (b"zz\r\n{}\r\n0\r\n\r\n", b"-1\r\n{}\r\n", b"2\r\n{}X\r\n0\r\n\r\n", b"0x2\r\n{}\r\n0\r\n\r\n"):
        with door.knock() as line:
            line.send(raw_request(b"", "Transfer-Encoding: chunked") + chunks + SMUGGLED)
            assert line.answer().status == 400
            assert line.is_closed()
    assert allocations(fleet) == before


def test_pipelined_requests_are_answered_in_order(door: Gateway) -> None:
    """Several in one write, one of them bad, each with its own answer."""
    bodies = [b'{"id":%d,"method":"version"}' % number for number in range(5)]
    bodies[2] = b"{broken"
    with door.knock() as line:
        line.send(b"".join(raw_request(body) for body in bodies))
        answers = [line.answer() for _ in bodies]
    assert [answer.json["id"] for answer in answers] == [0, 1, None, 3, 4]
    assert "error" in answers[2].json


def test_a_request_cut_into_single_bytes_is_answered(door: Gateway) -> None:
    """However the network cuts it."""
    with door.knock() as line:
        line.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in raw_request(VERSION):
            line.send(bytes([byte]))
        assert line.answer().result


def test_slow_heads_and_half_bodies_do_not_keep_others_waiting(door: Gateway) -> None:
    """Fifty of them are ended by their time-outs while calls go on."""
    closed: list[bytes] = []

    def linger(sent: bytes) -> None:
        with door.knock() as line:
            line.send(sent)
            closed.append(line.file.read())

    starts = (
        b"",
        b"POST / HT",
        raw_request(b"{", "Content-Length: 100"),
        raw_request(b"", "Transfer-Encoding: chunked"),
    )
    slow = [threading.Thread(target=linger, args=(starts[number % 4],)) for number in range(48)]
    for thread in slow:
        thread.start()
    while any(thread.is_alive() for thread in slow):
        assert door.call("version").result
    for thread in slow:
        thread.join()
    assert sorted(answer[9:12] for answer in closed) == [b""] * 24 + [b"408"] * 24
    assert door.metric("ecgw_door_slow_heads_total") >= 24


def test_an_old_client_is_answered_and_let_go(door: Gateway) -> None:
    """HTTP/1.0 without keep-alive."""
    with door.knock() as line:
        line.send(raw_request(VERSION).replace(b"HTTP/1.1", b"HTTP/1.0", 1))
        status = line.file.readline()
        assert status.split()[1] == b"200"
        assert line.file.read().endswith(b"}")


# -- who, where, how often ------------------------------------------------------------------------------------


def test_strangers_are_challenged_and_nothing_is_read_from_them(door: Gateway) -> None:
    """401 with WWW-Authenticate, and the way the client wants its errors does not count."""
    for user in (None, "nobody"):
        answer = door.post(VERSION, user=user)
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"].startswith("Basic realm=")
        assert "Basic" in answer.error["message"]


def test_a_browser_is_told_what_this_is(door: Gateway) -> None:
    """GET with a hint that holds the way to call."""
    with door.knock() as line:
        line.request(b"", verb="GET")
        answer = line.answer()
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    assert "POST / with a body like" in answer.error["message"]


def test_each_client_has_its_wallets_and_effects(door: Gateway, fleet: Fleet) -> None:
    """Another's wallet is as unknown as none; what is closed names the way to open it."""
    assert door.call("listaddresses", user="web", path="/wallets/cold").result == fleet.rpc(2, "listaddresses")
    for user, path in (("shop", "/wallets/cold"), ("reader", "/wallets/main"), ("shop", "/wallets/nowhere")):
        answer = door.call("version", user=user, path=path)
        assert answer.status == 404
        assert "/wallets/NAME" in answer.error["message"]
    assert door.call("version", user="reader").result, "the root is its own wallet"
    refused = door.call("getbalance", user="reader").error
    assert (refused["code"], refused["data"]["executed"]) == (-32005, "no")
    assert "wallet_read" in refused["message"]
    assert door.call("getmpk").error["code"] == -32005
    opened = door.call("getmpk", user="till").error
    assert opened == _direct(fleet, "getmpk")["error"], "the daemon itself answered"


def test_a_client_beyond_its_rate_waits_and_others_do_not(door: Gateway) -> None:
    """503 with Retry-After for this one alone; a batch costs what it holds."""
    batch = b"[" + VERSION + b"," + VERSION + b"]"
    assert door.post(batch, user="miser").status == 200
    answer = door.post(VERSION, user="miser")
    assert (answer.status, answer.error["code"]) == (503, -32002)
    assert int(answer.headers["Retry-After"]) >= 1
    assert door.call("version").result


@pytest.mark.parametrize(
    "raw_id", ['"a"', '"\\u00e9 \\" x"', "0", "-1", "1.50", "1e3", "123456789012345678901234567890", "null"]
)
def test_an_id_comes_back_as_it_was_written(raw_id: str, door: Gateway) -> None:
    """Also past a daemon, which sees another one."""
    answer = door.post(f'{{"jsonrpc":"2.0","id":{raw_id},"method":"version"}}'.encode())
    assert f'"id": {raw_id},'.encode() in answer.text
    assert answer.result


def test_old_callers_get_the_old_shape_from_a_real_daemon(door: Gateway) -> None:
    """Result and error both, one of them null."""
    found = door.post(b'{"id":7,"method":"version"}').json
    assert found == {"result": found["result"], "id": 7, "error": None}
    assert found["result"]


def test_the_daemons_own_errors_pass_through(door: Gateway, fleet: Fleet) -> None:
    """Code and words as it said them, with HTTP 200 also for who wants statuses for ours."""
    answer = door.call("getaddressbalance", "nonsense", user="web")
    assert answer.status == 200
    assert "data" not in answer.error
    assert answer.error == _direct(fleet, "getaddressbalance", "nonsense")["error"]


def _direct(fleet: Fleet, method: str, *params: object) -> dict[str, Any]:
    """What a daemon itself answers."""
    try:
        return {"result": fleet.rpc(0, method, *params)}
    except RpcError as error:
        return {"error": error.error}


def test_a_batch_is_its_calls_one_by_one(door: Gateway, fleet: Fleet) -> None:
    """Reads, writes, refusals, notifications and nonsense together: in order, each with its own outcome."""
    mine = fleet.rpc(0, "listaddresses")[1]
    entries: list[object] = [
        {"jsonrpc": "2.0", "id": "a", "method": "validateaddress", "params": [mine]},
        {"jsonrpc": "2.0", "method": "version"},
        {"jsonrpc": "2.0", "id": "b", "method": "getseed"},
        {"jsonrpc": "2.0", "method": "createnewaddress"},
        "nonsense",
        {"jsonrpc": "2.0", "id": "c", "method": "setlabel", "params": [mine, "of a batch"]},
        {"id": "d", "method": "gateway.status"},
        {"jsonrpc": "2.0", "id": "e", "method": "run_cmdline", "params": [{"cmd": "getseed"}]},
    ]
    before = allocations(fleet)
    found = door.post(json.dumps(entries).encode()).json
    assert [reply["id"] for reply in found] == ["a", "b", None, "c", "d", "e"]
    assert [reply["error"]["code"] if reply.get("error") else "ok" for reply in found] == [
        "ok", -32005, -32600, "ok", "ok", -32005,
    ]  # fmt: skip
    assert allocations(fleet) == before, "a notification with an effect is refused"
    wait_until(lambda: door.events("notification.refused", method="createnewaddress", client="shop"), "it is logged")


def test_a_key_on_a_batch_opens_no_way_to_pay_twice(door: Gateway, fleet: Fleet) -> None:
    """A key is for one payment: a batch with two is refused whole, any other is looked at call by call."""
    pay = {"jsonrpc": "2.0", "id": 1, "method": "payto", "params": [fleet.rpc(0, "listaddresses")[0], "0.001"]}
    entries = [pay, {"jsonrpc": "2.0", "id": 2, "method": "version"}, {**pay, "id": 3}]
    found = door.post(json.dumps(entries).encode(), user="till", headers={"Idempotency-Key": "order-7"}).json
    assert [reply["error"]["code"] for reply in found] == [-32602, -32602, -32602]
    found = door.post(json.dumps(entries[:2]).encode(), user="till", headers={"Idempotency-Key": "order-7"}).json
    # without a ledger nobody could keep it
    assert [reply["error"]["code"] if "error" in reply else "ok" for reply in found] == [-32008, "ok"]
    assert not [row for row in fleet.journal(0) if row["method"] == "payto"]


# -- when it is killed ------------------------------------------------------------------------------------------


def test_a_client_that_comes_back_to_a_killed_gateway_is_refused(fleet: Fleet, folder: Path) -> None:
    """And not taken in once more: at the first sign of the death its door is closed, however many are connected."""
    with Gateway(folder / "killed", settings_for(backends(fleet))) as gateway, ExitStack() as clients:
        where = ("127.0.0.1", gateway.port)
        lines = [clients.enter_context(socket.create_connection(where)) for _ in range(300)]
        wait_until(lambda: gateway.metric("ecgw_door_connections") >= len(lines), "all are taken in")
        poll = select.poll()
        for line in lines:
            poll.register(line, select.POLLIN)
        gateway.signal(signal.SIGKILL)
        assert poll.poll(1000 * PATIENCE)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(where)
        gateway.wait()


# -- TLS and the cap ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for loopback, and its key."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    return cert, key


def test_the_door_speaks_tls_and_keeps_its_cap(fleet: Fleet, folder: Path, certificate: tuple[Path, Path]) -> None:
    """Calls over TLS; plain HTTP there is closed; who never shakes hands is closed; the fourth of three is closed."""
    cert, key = certificate
    settings = settings_for(backends(fleet))
    settings["listen"] = {
        "port": 0, "max_connections": 3, "head_timeout": 0.5, "tls": {"certificate": str(cert), "key": str(key)},
    }  # fmt: skip
    with Gateway(folder / "tls", settings) as gateway:
        context = ssl.create_default_context(cafile=str(cert))

        def shake() -> Line:
            sock = socket.create_connection(("127.0.0.1", gateway.port), timeout=20)
            return Line(context.wrap_socket(sock, server_hostname="127.0.0.1"))

        lines = [shake() for _ in range(3)]
        for line in lines:
            line.request(VERSION)
            assert line.answer().status == 200
        fourth = shake()
        fourth.request(VERSION)
        assert fourth.is_closed()
        for line in [*lines, fourth]:
            line.close()
        for sent in (raw_request(VERSION), b""):
            with gateway.knock() as line:
                line.send(sent)
                assert line.is_closed()
        again = shake()
        again.request(VERSION)
        assert again.answer().status == 200
        again.close()
        assert gateway.metric("ecgw_door_connections_refused_total") == 1


def test_answers_without_a_sandbox_do_not_shout(door: Gateway) -> None:
    """The header that warns of invented coins is for `ec-gateway sandbox` alone."""
    answer: Answer = door.call("version")
    assert "X-Sandbox" not in answer.headers


# -- large bodies, last because the daemons journal them -------------------------------------------------------


def test_a_huge_body_is_refused_by_its_length_and_a_large_one_is_taken(door: Gateway) -> None:
    """413 beyond 4 MiB, framed by length or by chunks; just below it reaches the daemon."""
    answer = door.post(b'{"jsonrpc":"2.0","id":1,"method":"searchcontacts","params":["' + b"x" * 4_000_000 + b'"]}')
    assert "data" not in answer.json.get("error", {}), "the daemon itself answered"
    with door.knock() as line:
        line.request(b"", "Content-Length: 5000000")
        assert line.answer().status == 413
    with door.knock() as line:
        line.request(b"", "Transfer-Encoding: chunked")
        for _ in range(50):
            line.send(b"%x\r\n%b\r\n" % (100_000, b"x" * 100_000))
        assert line.answer().status == 413
        assert line.is_closed()


@pytest.mark.parametrize(
    "params",
    [
        b"[" + b"[]," * 300_000 + b"1]",
        b"{" + b",".join(b'"k%d":1' % number for number in range(100_000)) + b"}",
        b"{" + b'"method":1,' * 100_000 + b'"id":1}',
        b'["' + b"\\n" * 500_000 + b'"]',
    ],
    ids=["brackets", "names", "the same name", "escapes"],
)
def test_a_body_made_to_be_slow_is_answered(params: bytes, door: Gateway) -> None:
    """A megabyte of what parsers take long for; one that takes quadratic time would not be done in a minute."""
    answer = door.post(b'{"jsonrpc":"2.0","id":1,"method":"searchcontacts","params":%b}' % params)
    assert answer.status == 200
    assert answer.json["id"] == 1
