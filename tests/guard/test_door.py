"""The door of the socket guard between two real sockets: what reaches the engine, and what comes back."""

import asyncio
import json
import stat
from pathlib import Path

import pytest
from aiohttp import ClientSession

from gateway.guard import door as rooms
from gateway.guard.door import Door
from gateway.guard.rules import Label
from tests.guard.conftest import LABEL, OTHERS, OURS, FakeEngine, died, inspected, raw

NOT_OURS = "there is no such container with the label ecgw.wallet"


async def test_a_ping_tells_the_version_of_the_engine(session: ClientSession, engine: FakeEngine) -> None:
    """The launcher negotiates by it; nothing else of the head is passed on."""
    async with session.get("/_ping") as answer:
        assert (answer.status, await answer.text()) == (200, "OK")
        assert answer.headers["Api-Version"] == "1.41"
        assert "hidden" not in str(answer.headers)
    async with session.head("/_ping") as answer:
        assert (answer.status, answer.headers["Api-Version"]) == (200, "1.41")
    assert engine.asked == ["GET /_ping", "GET /_ping"]


async def test_our_container_is_shown_without_its_secrets(session: ClientSession, engine: FakeEngine) -> None:
    """Asked by name, and by id."""
    for name in ("wallet-1", OURS, OURS[:12]):
        async with session.get(f"/v1.41/containers/{name}/json") as answer:
            text = await answer.text()
            assert answer.status == 200
            assert "hidden" not in text
            assert json.loads(text)["State"]["StartedAt"] == "2026-11-28T10:00:00Z"
    assert engine.asked[0] == "GET /v1.41/containers/wallet-1/json"


async def test_memory_is_shown(session: ClientSession, engine: FakeEngine) -> None:
    """Of the container by its id."""
    async with session.get("/v1.41/containers/wallet-1/stats?stream=false&one-shot=true") as answer:
        assert (await answer.json())["memory_stats"]["usage"] == 100
    assert engine.asked[-1] == f"GET /v1.41/containers/{OURS}/stats?one-shot=true&stream=false"


@pytest.mark.parametrize("order", ["start", "stop?t=15", "restart?t=1", "kill?signal=SIGKILL", "unpause"])
async def test_an_order_goes_to_the_id_and_not_to_the_name(
    session: ClientSession, engine: FakeEngine, order: str
) -> None:
    """A name may belong to another container a moment later, an id never."""
    async with session.post(f"/v1.41/containers/wallet-1/{order}") as answer:
        assert (answer.status, await answer.read()) == (204, b"")
    assert engine.asked == ["GET /v1.41/containers/wallet-1/json", f"POST /v1.41/containers/{OURS}/{order}"]


@pytest.mark.parametrize("name", ["database", OTHERS, "nobody"])
async def test_others_and_nobody_cannot_be_told_apart(session: ClientSession, engine: FakeEngine, name: str) -> None:
    """No order reaches them, and nobody can ask which containers there are."""
    for method, path in (("GET", "json"), ("GET", "stats?stream=false"), ("POST", "kill"), ("POST", "restart")):
        async with session.request(method, f"/containers/{name}/{path}") as answer:
            assert (answer.status, (await answer.json())["message"]) == (404, NOT_OURS)
    assert set(engine.asked) == {f"GET /containers/{name}/json"}


async def test_a_label_with_another_value_is_not_ours(tmp_path: Path, engine: FakeEngine) -> None:
    """Two projects on one machine leave each other alone."""
    other = Door(tmp_path / "other.sock", tmp_path / "engine.sock", Label("ecgw.wallet", "shop"))
    await other.start()
    try:
        answer = await raw(other, b"POST /containers/wallet-1/kill HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert b" 404 " in answer.splitlines()[0]
        assert engine.asked == ["GET /containers/wallet-1/json"]
    finally:
        await other.stop()


async def test_the_engine_is_asked_with_a_head_of_our_own(door: Door, engine: FakeEngine) -> None:
    """Not a line of the caller's is in it."""
    await raw(door, b"GET /_ping HTTP/1.1\r\nHost: evil\r\nX-Registry-Auth: evil\r\nConnection: close\r\n\r\n")
    assert "evil" not in str(engine.headers)


ORDER = b"POST /containers/wallet-1/start HTTP/1.1\r\nHost: x\r\n"
LOOK = b"GET /_ping HTTP/1.1\r\nHost: x\r\n"
LEAVE = b"Connection: close\r\n\r\n"

ATTACKS = {
    "path": b"GET /containers/../info HTTP/1.1\r\nHost: x\r\n\r\n",
    "encoded path": b"GET /containers/%2e%2e/info HTTP/1.1\r\nHost: x\r\n\r\n",
    "encoded slash": b"POST /containers/wallet-1%2f..%2fdatabase/kill HTTP/1.1\r\nHost: x\r\n\r\n",
    "double slash": b"POST //containers/wallet-1/kill HTTP/1.1\r\nHost: x\r\n\r\n",
    "absolute form": b"GET http://engine/info HTTP/1.1\r\nHost: x\r\n\r\n",
    "absolute form of what is allowed": b"GET http://engine/_ping HTTP/1.1\r\nHost: x\r\n\r\n",
    "connect": b"CONNECT engine:80 HTTP/1.1\r\nHost: x\r\n\r\n",
    "old version": b"POST /v1.12/containers/wallet-1/start HTTP/1.1\r\nHost: x\r\n\r\n",
    "create": b"POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
    "exec": b"POST /containers/wallet-1/exec HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
    "attach": b"POST /containers/wallet-1/attach?stream=1 HTTP/1.1\r\nUpgrade: tcp\r\nConnection: Upgrade\r\n\r\n",
    "hijack": ORDER + b"Upgrade: tcp\r\nConnection: Upgrade\r\n\r\n",
    "h2c": LOOK + b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AA\r\n\r\n",
    "upgrade in a second header": LOOK + b"Connection: close\r\nConnection: x, upgrade\r\n\r\n",
    "body": ORDER + b'Content-Length: 23\r\n\r\n{"HostConfig": {"x":1}}',
    "chunked": ORDER + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked and a length": ORDER + b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + ORDER + LEAVE,
    "two lengths": ORDER + b"Content-Length: 0\r\nContent-Length: 40\r\n\r\n",
    "odd length": ORDER + b"Content-Length: +0\r\n\r\n",
    "odd encoding": ORDER + b"Transfer-Encoding: xchunked\r\n\r\n",
    "space before the colon": ORDER + b"Content-Length : 5\r\n\r\nhello",
    "a look with a body": LOOK + b"Content-Length: 24\r\n\r\nPOST /info HTTP/1.1\r\n\r\n.",
    "no protocol": b"GET /info\r\n\r\n",
    "noise": bytes(range(256)) * 40,
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
async def test_an_attack_reaches_nothing(door: Door, engine: FakeEngine, attack: bytes) -> None:
    """Not one byte of it; the guard answers with a refusal or closes, and goes on."""
    answer = await raw(door, attack)
    assert not answer or answer.split(b" ", 2)[1][:1] == b"4", answer
    assert engine.asked == []
    assert b" 200 " in await raw(door, b"GET /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")


async def test_what_follows_a_refusal_on_its_connection_is_not_looked_at(door: Door, engine: FakeEngine) -> None:
    """A body that was not read cannot become a request."""
    hidden = b"POST /containers/wallet-1/kill HTTP/1.1\r\nHost: x\r\n\r\n"
    head = b"GET /containers/wallet-1/json HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(hidden)
    answer = await raw(door, head + hidden)
    assert b" 413 " in answer.splitlines()[0]
    assert answer.count(b"HTTP/1.1") == 1
    assert engine.asked == []


async def test_requests_in_one_go_are_each_decided(door: Door, engine: FakeEngine) -> None:
    """The second does not ride on the first."""
    first = b"GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = await raw(door, first + b"POST /containers/create HTTP/1.1\r\nHost: x\r\n\r\n" + first)
    assert answer.count(b"HTTP/1.1 ") == 2
    assert b"HTTP/1.1 403 " in answer
    assert engine.asked == ["GET /_ping"]


async def test_a_very_large_body_is_refused_unread(door: Door, engine: FakeEngine) -> None:
    """Whoever sends 4 GiB gets his answer before them."""
    reader, writer = await asyncio.open_unix_connection(str(door.listen))
    writer.write(
        b"POST /containers/wallet-1/start HTTP/1.1\r\nHost: x\r\nContent-Length: 4294967296\r\n\r\n" + b"x" * 65536
    )
    assert b" 413 " in await reader.readline()
    writer.close()
    assert engine.asked == []


async def test_a_very_large_head_is_refused(door: Door, engine: FakeEngine) -> None:
    """It costs memory, and nothing has such a one."""
    answer = await raw(door, b"GET /_ping HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 100_000 + b"\r\n\r\n")
    assert b" 400 " in answer.splitlines()[0]
    assert engine.asked == []


# -- the engine


async def test_what_the_engine_says_to_an_order_is_told(session: ClientSession, engine: FakeEngine) -> None:
    """Its status and, cut short, its words."""
    engine.answers[f"/containers/{OURS}/start"] = (304, None)
    async with session.post("/containers/wallet-1/start") as answer:
        assert answer.status == 304
    engine.answers[f"/containers/{OURS}/kill"] = (409, {"message": "it is not running"})
    async with session.post("/containers/wallet-1/kill") as answer:
        assert (answer.status, await answer.json()) == (409, {"message": "it is not running"})
    engine.answers[f"/containers/{OURS}/stats"] = (500, b"no JSON")
    async with session.get("/containers/wallet-1/stats?stream=0") as answer:
        assert (answer.status, await answer.json()) == (500, {"message": ""})


async def test_a_version_that_the_engine_does_not_speak_is_told(session: ClientSession, engine: FakeEngine) -> None:
    """Otherwise the caller would look for a container that is there."""
    said = {"message": "client version 1.99 is too new. Maximum supported API version is 1.41"}
    engine.answers["/v1.99/containers/wallet-1/json"] = (400, said)
    async with session.post("/v1.99/containers/wallet-1/start") as answer:
        assert (answer.status, await answer.json()) == (400, said)


async def test_an_engine_that_fails_is_no_missing_container(session: ClientSession, engine: FakeEngine) -> None:
    """The caller may try again."""
    engine.answers["/containers/wallet-1/json"] = (500, {"message": "disk full"})
    async with session.get("/containers/wallet-1/json") as answer:
        assert (answer.status, await answer.json()) == (500, {"message": "disk full"})


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"null", b"[" * 100_000])
async def test_an_answer_that_is_not_understood_makes_nothing_ours(
    session: ClientSession, engine: FakeEngine, body: bytes
) -> None:
    """It fails closed."""
    engine.answers["/containers/wallet-1/json"] = (200, body)
    async with session.post("/containers/wallet-1/kill") as answer:
        assert answer.status == 404
    assert engine.asked == ["GET /containers/wallet-1/json"]


async def test_an_endless_answer_is_cut(
    session: ClientSession, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guard has little memory."""
    monkeypatch.setattr(rooms, "LARGEST_ANSWER", 100)
    engine.answers["/containers/wallet-1/json"] = (200, json.dumps(inspected(OURS, ours=True)).encode())
    async with session.get("/containers/wallet-1/json") as answer:
        assert answer.status == 502
        assert "more than 100 bytes" in (await answer.json())["message"]


async def test_an_engine_that_hangs_is_told(tmp_path: Path, engine: FakeEngine) -> None:
    """Within the guard's patience, and other requests go on."""
    engine.answers["/containers/wallet-1/json"] = (0, None)
    hasty = Door(tmp_path / "hasty.sock", tmp_path / "engine.sock", LABEL, patience=0.1)
    await hasty.start()
    try:
        answer = await raw(hasty, b"POST /containers/wallet-1/kill HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert b" 504 " in answer.splitlines()[0]
        assert b"did not answer" in answer
        assert engine.asked == ["GET /containers/wallet-1/json"]
    finally:
        await hasty.stop()


async def test_a_missing_socket_is_told_with_the_way_out(tmp_path: Path) -> None:
    """The guard runs on, and works once the engine is there."""
    lonely = Door(tmp_path / "lonely.sock", tmp_path / "none.sock", LABEL)
    await lonely.start()
    try:
        assert "mount the engine's socket" in await lonely.why_not()
        for request in (b"GET /_ping", b"GET /events", b"POST /containers/wallet-1/kill"):
            answer = await raw(lonely, request + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert b" 502 " in answer.splitlines()[0]
            assert b"mount the engine's socket" in answer
    finally:
        await lonely.stop()


async def test_a_socket_without_rights_is_told_with_the_way_out(door: Door) -> None:
    """Root may open all, so the error is made by hand."""
    assert "in that file's group" in door._unreachable(PermissionError(13, "denied"))
    assert "cannot be reached (ConnectionRefusedError)" in door._unreachable(ConnectionRefusedError())


async def test_an_engine_that_answers_is_well(door: Door, engine: FakeEngine) -> None:
    """And one that answers its ping with an error is not."""
    assert await door.why_not() == ""
    engine.answers["/_ping"] = (500, None)
    assert await door.why_not() == "the engine answers its ping with 500"


async def test_too_many_requests_at_once_are_refused(
    session: ClientSession, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A caller that has gone mad cannot fill the engine."""
    monkeypatch.setattr(rooms, "MOST_AT_ONCE", 0)
    async with session.get("/_ping") as answer:
        assert answer.status == 503
    assert not engine.asked


async def test_streams_of_events_leave_room_for_orders(session: ClientSession, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway has one open for each daemon, for ever; they have a bound of their own."""
    monkeypatch.setattr(rooms, "MOST_AT_ONCE", 1)
    monkeypatch.setattr(rooms, "MOST_STREAMS", 2)
    async with session.get("/events"), session.get("/events"):
        async with session.get("/_ping") as answer:
            assert answer.status == 200
        async with session.get("/events") as answer:
            assert answer.status == 503


async def test_any_user_in_the_folder_may_ask(door: Door) -> None:
    """The gateway is another user than the guard; the folder decides who gets there."""
    assert stat.S_IMODE(door.listen.stat().st_mode) == 0o666
    assert repr(door).startswith(f"<Door {door.listen} to ")


# -- events


async def test_only_deaths_of_ours_are_told(session: ClientSession, engine: FakeEngine) -> None:
    """The engine is asked for these alone, and what else it tells is dropped."""
    async with session.get("/v1.41/events") as stream:
        engine.tell(died("start"), died(ours=False), died("oom"))
        first = json.loads(await stream.content.readline())
        engine.tell(died())
        second = json.loads(await stream.content.readline())
    assert (first["Action"], second["Action"]) == ("oom", "die")
    assert second["Actor"]["Attributes"] == {"name": "wallet-1", "exitCode": "137", "ecgw.wallet": "main"}
    assert engine.asked[0].startswith("GET /v1.41/events?filters=")
    assert "ecgw.wallet" in engine.asked[0]


async def test_an_event_that_comes_in_pieces_is_told_whole(session: ClientSession, engine: FakeEngine) -> None:
    """And what is no JSON is dropped."""
    async with session.get("/events") as stream:
        line = b"no JSON\n\n" + json.dumps(died()).encode() + b"\n"
        for piece in (line[:20], line[20:50], line[50:]):
            engine.events.put_nowait(piece)
        assert json.loads(await stream.content.readline())["Action"] == "die"


async def test_the_stream_ends_with_the_engines(session: ClientSession, engine: FakeEngine) -> None:
    """The caller reconnects by itself."""
    async with session.get("/events") as stream:
        engine.events.put_nowait(None)
        assert await stream.read() == b""


async def test_an_endless_event_ends_the_stream(
    session: ClientSession, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rather than the guard's memory."""
    monkeypatch.setattr(rooms, "LARGEST_EVENT", 100)
    async with session.get("/events") as stream:
        engine.events.put_nowait(b"x" * 200)
        assert await stream.read() == b""


async def test_events_that_the_engine_refuses_are_told(session: ClientSession, engine: FakeEngine) -> None:
    """With its status and words."""
    engine.answers["/events"] = (400, {"message": "invalid filter"})
    async with session.get("/events") as answer:
        assert (answer.status, await answer.json()) == (400, {"message": "invalid filter"})


async def test_a_caller_that_has_gone_frees_its_stream(session: ClientSession, engine: FakeEngine, door: Door) -> None:
    """Streams would add up over a year."""
    async with session.get("/events") as stream:
        engine.tell(died())
        await stream.content.readline()
        assert door._streams == 1
    for _ in range(10_000):
        if not door._streams:
            return
        await asyncio.sleep(0)
    pytest.fail("the stream is still held")
