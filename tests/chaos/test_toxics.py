"""What was asked of Toxiproxy is there, or an error says why not; each toxic does what it says, and its end ends it."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from toxiproxy import api

from chaos import needs
from chaos.faults import bandwidth, latency, limit_data, reset_peer, slicer, slow_close, timeout
from chaos.toxics import Toxic, ToxicError, Toxics, server
from chaos.ways import BEFORE_WALLETS, FROM_DOOR, FROM_WALLET, TO_WALLET, WAYS, Poisoned
from tests.chaos.bare_stage import Bare, bare, is_refused, port_of, said, until

KINDS = (
    bandwidth.Bandwidth, latency.Latency, limit_data.LimitData, reset_peer.ResetPeer, slicer.Slicer,
    slow_close.SlowClose, timeout.Timeout,
)  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "stream", "attributes", "toxicity", "words"),
    [
        ("latencies", "upstream", {}, 1.0, "there is no toxic"),
        ("latency", "upwards", {}, 1.0, "a stream is one of"),
        ("latency", "upstream", {"delay": 5}, 1.0, "it takes jitter, latency"),
        ("latency", "upstream", {"latency": -5}, 1.0, "whole numbers"),
        ("latency", "upstream", {"latency": True}, 1.0, "whole numbers"),
        ("latency", "upstream", {"latency": 5}, 7.0, "0 to 1"),
    ],
)
def test_what_the_server_would_take_without_a_word_is_not_sent(
    kind: str, stream: str, attributes: dict[str, int], toxicity: float, words: str
) -> None:
    """A fault that was never there would prove everything."""
    with pytest.raises(ValueError, match=words):
        Toxic(kind, stream, attributes, toxicity)


@pytest.mark.parametrize("kind", KINDS, ids=lambda one: one.kind)
def test_every_kind_asks_for_what_there_is_in_all_four_ways(kind: type[Poisoned]) -> None:
    """By its usual measure and by one that is given, and each way has its own name."""
    faults = [kind(way) for way in WAYS]
    assert len({one.name for one in faults}) == 4
    for one in faults:
        for value in (0.0, 2.0):
            Toxic(kind.kind, one.way.stream, one.attributes(value))


class Answer:
    """What a server says."""

    text = "no port is left"

    def __init__(self, status: int) -> None:
        self.status_code = status
        self.content = b"{}"

    def json(self) -> dict[str, Any]:
        """Nothing."""
        return {}


def test_whatever_the_client_overlooks_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy port is a 500, which the client takes for success; and no call is made without an end."""
    made = []

    def request(verb: str, **words: Any) -> Answer:
        made.append((verb, words))
        return Answer(500)

    monkeypatch.setattr(api.requests._session, "request", request)
    with pytest.raises(ToxicError, match="no port is left"):
        api.APIConsumer.post("/proxies", json={})
    assert made[0][1]["timeout"] > 0
    assert not api.requests._session.trust_env
    assert not api.requests._session.headers["User-Agent"].startswith("Mozilla/")


async def test_what_the_server_has_is_compared_with_what_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that takes something else than it was told is found out."""

    class Other:
        """A proxy that has another toxic than it was given."""

        def add_toxic(self, **_words: Any) -> None:
            """Take it."""

        def get_toxic(self, name: str) -> Any:
            """Return another."""
            kind, stream = name.rsplit("_", 1)
            attributes = {"latency": 7, "jitter": 0}
            return type("Has", (), {})() if not kind else _has(kind, stream, attributes)

    toxics = Toxics(1)
    monkeypatch.setattr(toxics, "_proxy", lambda _name: Other())
    with pytest.raises(ToxicError, match="asked for"):
        await toxics.add("wallet-0", Toxic("latency", "upstream", {"latency": 5}))
    await toxics.add("wallet-0", Toxic("latency", "upstream", {"latency": 7}))


def _has(kind: str, stream: str, attributes: dict[str, int]) -> Any:
    class Has:
        """A toxic as the server has it."""

    one = Has()
    one.__dict__ = {"type": kind, "stream": stream, "toxicity": 1.0, "attributes": attributes}
    return one


# Against the real server


@pytest_asyncio.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Bare]:
    """A bare stage, where a server can be started."""
    why = needs.missing(frozenset({"toxiproxy"}))
    if why:
        (pytest.fail if os.environ.get("ECGW_REQUIRE_REAL") == "1" else pytest.skip)(why)
    async with bare(tmp_path) as one:
        yield one


async def prepared(stage: Bare, fault: Poisoned) -> None:
    """Prepare a fault, and wait until its proxies listen: they do when their wallets are seen to."""
    await fault.prepare(stage.stage)
    await asyncio.gather(*stage.keep.get(BEFORE_WALLETS, ()))


async def timed(port: int, text: bytes = b"hello\n") -> tuple[bytes, float]:
    """Say something and return the answer, and how long that took."""
    loop = asyncio.get_running_loop()
    begin = loop.time()
    return await said(port, text, patience=1.5), loop.time() - begin


@pytest.mark.integration
async def test_a_toxic_is_there_from_its_beginning_to_its_end(stage: Bare) -> None:
    """The way is free before, slow for one wallet alone, and free again; a second end does nothing."""
    fault = latency.Latency(FROM_WALLET)
    await prepared(stage, fault)
    first, second = map(port_of, stage.launch.urls)
    assert first != stage.wallets[0].port
    assert await said(first) == b"hello\n"
    await fault.inject(stage.stage, 0, 0.4)
    got, took = await timed(first)
    assert got == b"hello\n"
    assert took > 0.3, "never sooner than it is told"
    assert await (await server(stage.stage)).toxics("wallet-1") == ()
    assert await said(second) == b"hello\n"
    await fault.heal(stage.stage, 0)
    await fault.heal(stage.stage, 0)
    await fault.tidy(stage.stage)
    assert await (await server(stage.stage)).toxics("wallet-0") == ()
    assert await said(first) == b"hello\n"


@pytest.mark.integration
@pytest.mark.parametrize(
    ("fault", "value", "answer"),
    [
        (timeout.Timeout(FROM_WALLET), 0.0, b""),
        (timeout.Timeout(TO_WALLET), 0.1, b""),
        (reset_peer.ResetPeer(TO_WALLET), 0.0, b""),
        (limit_data.LimitData(FROM_WALLET), 3.0, b"hel"),
        (slicer.Slicer(FROM_WALLET), 1.0, b"hello\n"),
        (bandwidth.Bandwidth(TO_WALLET), 100.0, b"hello\n"),
        (limit_data.LimitData(FROM_DOOR), 3.0, b"hel"),
    ],
    ids=lambda one: getattr(one, "name", ""),
)
async def test_each_kind_does_what_it_says(stage: Bare, fault: Poisoned, value: float, answer: bytes) -> None:
    """Nothing, a part, or all of an answer comes back; all of it again afterwards."""
    await prepared(stage, fault)
    port = port_of(stage.launch.urls[0]) if fault.lane == "way" else stage.approach[1] if stage.approach else 0
    assert await said(port) == b"hello\n"
    await fault.inject(stage.stage, 0, value)
    assert await said(port, patience=0.3 if answer == b"" else 5.0) == answer
    await fault.heal(stage.stage, 0)
    assert await said(port) == b"hello\n"


@pytest.mark.integration
async def test_a_small_bandwidth_holds_much_back(stage: Bare) -> None:
    """Three kB at ten a second take their time."""
    fault = bandwidth.Bandwidth(FROM_WALLET)
    await prepared(stage, fault)
    await fault.inject(stage.stage, 0, 10.0)
    text = b"x" * 2999 + b"\n"
    got, took = await timed(port_of(stage.launch.urls[0]), text)
    assert got == text
    assert took > 0.2, "never sooner than it is told"


@pytest.mark.integration
async def test_a_slow_close_is_heard_late(stage: Bare) -> None:
    """Who leaves is taken for somebody who is there still, until the end of it."""
    fault, echo = slow_close.SlowClose(TO_WALLET), stage.wallets[0].echo
    await prepared(stage, fault)
    await fault.inject(stage.stage, 0, 20.0)
    assert await said(port_of(stage.launch.urls[0])) == b"hello\n"
    await asyncio.sleep(0.1)
    # the first one was the look whether it listens
    assert (echo.connections, echo.closed) == (2, 1)
    await fault.heal(stage.stage, 0)
    await until(lambda: echo.closed == 2)


@pytest.mark.integration
async def test_what_the_real_server_does_not_do_is_an_error(stage: Bare) -> None:
    """A proxy that nobody made, one that is there already, a port that another one has."""
    toxics = await server(stage.stage)
    with pytest.raises(ToxicError, match="there is no proxy"):
        await toxics.add("nowhere", Toxic("timeout", "upstream"))
    port = await toxics.proxy("one", f"127.0.0.1:{stage.wallets[0].port}")
    with pytest.raises(ToxicError, match="already exists"):
        await toxics.proxy("one", "127.0.0.1:1")
    await toxics.shut("one")
    assert is_refused(port)
    await toxics.open("one")
    assert await said(port) == b"hello\n"
    busy = {"name": "two", "upstream": "127.0.0.1:1", "listen": f"127.0.0.1:{toxics.port}"}
    with pytest.raises(ToxicError, match="500"):
        await toxics._call(lambda: api.APIConsumer.post("/proxies", json=busy))
    assert await server(stage.stage) is toxics
