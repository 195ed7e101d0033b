"""Names become addresses: shared questions, turns, and what counts when nobody can be asked."""

import asyncio
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

from gateway.loop import Loop
from gateway.upstream.resolver import AFTER_FAILURE, PATIENCE, STALE_FOR, Resolver, is_numeric, system_lookup
from gateway.upstream.wire import _socket, _until_connected
from tests.virtual_time import run_virtual

TTL = 30.0


class Names:
    """A name server that a test steers."""

    def __init__(self, *addresses: str) -> None:
        """Answer with these."""
        self.addresses = list(addresses)
        self.error: Exception | None = None
        self.takes = 0.0
        self.asked = 0

    async def __call__(self, host: str, port: int) -> list[str]:
        """Look up."""
        assert (host, port) == ("wallet", 7777)
        self.asked += 1
        await asyncio.sleep(self.takes)
        if self.error is not None:
            raise self.error
        return list(self.addresses)


async def address(resolver: Resolver) -> str:
    """What the name is now."""
    return await resolver.address("wallet", 7777)


def test_an_answer_counts_for_its_time_and_no_longer() -> None:
    """Asked again after the ttl, and the new address is used."""

    async def play() -> None:
        names = Names("10.0.0.1")
        resolver = Resolver(TTL, names)
        assert await address(resolver) == "10.0.0.1"
        names.addresses = ["10.0.0.2"]
        await asyncio.sleep(TTL - 0.1)
        assert await address(resolver) == "10.0.0.1"
        await asyncio.sleep(0.2)
        assert await address(resolver) == "10.0.0.2"
        assert names.asked == 2

    run_virtual(play())


def test_the_time_of_an_answer_runs_from_when_it_came() -> None:
    """A slow name server does not make it old."""

    async def play() -> None:
        names = Names("10.0.0.1")
        names.takes = TTL
        resolver = Resolver(TTL, names)
        await address(resolver)
        await asyncio.sleep(TTL - 1)
        await address(resolver)
        assert names.asked == 1

    run_virtual(play())


def test_those_who_ask_at_once_share_one_question() -> None:
    """And whoever leaves does not end it for the others."""

    async def play() -> None:
        names = Names("10.0.0.1")
        names.takes = 1.0
        resolver = Resolver(TTL, names)
        tasks = [asyncio.create_task(address(resolver)) for _ in range(5)]
        await asyncio.sleep(0.5)
        tasks[0].cancel()
        tasks[3].cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert [one for one in found if isinstance(one, str)] == ["10.0.0.1"] * 3
        assert names.asked == 1

    run_virtual(play())


def test_an_answer_that_nobody_waited_for_is_used_and_then_grows_old() -> None:
    """All who asked had left when it came."""

    async def play() -> None:
        names = Names("10.0.0.1")
        names.takes = 5.0
        resolver = Resolver(TTL, names)
        task = asyncio.create_task(address(resolver))
        await asyncio.sleep(1.0)
        task.cancel()
        await asyncio.sleep(10.0)
        assert await address(resolver) == "10.0.0.1"
        assert names.asked == 1
        await asyncio.sleep(TTL)
        names.addresses, names.takes = ["10.0.0.2"], 0.0
        assert await address(resolver) == "10.0.0.2"

    run_virtual(play())


@pytest.mark.parametrize(("has_failed", "patience"), [(False, PATIENCE), (True, AFTER_FAILURE)])
def test_a_silent_name_server_takes_no_daemon_away(*, has_failed: bool, patience: float) -> None:
    """What it said before counts after a moment, which is waited for once and not with each connection."""

    async def play() -> None:
        loop, names = asyncio.get_running_loop(), Names("10.0.0.1")
        resolver = Resolver(TTL, names)
        resolver.failed("wallet", await address(resolver))
        # what has failed once and answered since is like any other
        assert await address(resolver) == "10.0.0.1"
        await asyncio.sleep(TTL)
        names.takes, names.addresses = 20.0, ["10.0.0.2"]
        if has_failed:
            resolver.failed("wallet", "10.0.0.1")
        began = loop.time()
        for _ in range(3):
            assert await address(resolver) == "10.0.0.1"
            assert loop.time() - began == pytest.approx(patience)
        assert names.asked == 3
        await asyncio.sleep(20.0)
        assert await address(resolver) == "10.0.0.2"
        assert names.asked == 3

    run_virtual(play())


def test_an_error_that_nobody_waited_for_is_not_given_to_the_next() -> None:
    """They ask anew; nor does the loop complain of an exception that was never retrieved."""

    async def play() -> list[object]:
        told: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context))
        names = Names("10.0.0.1")
        names.takes, names.error = 5.0, socket.gaierror(socket.EAI_NONAME, "no such name")
        resolver = Resolver(TTL, names)
        task = asyncio.create_task(address(resolver))
        await asyncio.sleep(1.0)
        task.cancel()
        await asyncio.sleep(10.0)
        names.error = None
        assert await address(resolver) == "10.0.0.1"
        return told

    assert run_virtual(play()) == []


def test_after_a_failure_the_next_address_is_used_and_the_name_looked_up_again() -> None:
    """Round and round, one at a time."""

    async def play() -> None:
        names = Names("10.0.0.1", "10.0.0.2", "10.0.0.3")
        resolver = Resolver(TTL, names)
        seen = []
        for _ in range(5):
            seen.append(await address(resolver))
            resolver.failed("wallet", seen[-1])
        assert seen == ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.1", "10.0.0.2"]
        assert names.asked == 5

    run_virtual(play())


def test_two_calls_that_fail_on_one_address_are_one_failure() -> None:
    """A call and a probe that failed together must not lead back to the address that failed."""

    async def play() -> None:
        resolver = Resolver(TTL, Names("10.0.0.1", "10.0.0.2"))
        first = await address(resolver)
        resolver.failed("wallet", first)
        resolver.failed("wallet", first)
        assert await address(resolver) == "10.0.0.2"
        assert await address(resolver) == "10.0.0.2"

    run_virtual(play())


def test_a_name_server_that_turns_its_answers_does_not_lead_back_to_the_failed_one() -> None:
    """The order of the new answer says nothing."""

    async def play() -> None:
        names = Names("10.0.0.1", "10.0.0.2")
        resolver = Resolver(TTL, names)
        resolver.failed("wallet", await address(resolver))
        names.addresses.reverse()
        assert await address(resolver) == "10.0.0.2"

    run_virtual(play())


def test_a_daemon_that_moved_is_found_at_once_after_a_failure() -> None:
    """However long the old answer would still count."""

    async def play() -> None:
        names = Names("10.0.0.1")
        resolver = Resolver(TTL, names)
        resolver.failed("wallet", await address(resolver))
        names.addresses = ["10.0.0.9"]
        assert await address(resolver) == "10.0.0.9"

    run_virtual(play())


def test_the_failure_of_a_name_that_was_never_asked_for_is_nothing() -> None:
    """Nothing to forget."""
    Resolver(TTL).failed("wallet", "10.0.0.1")


def test_an_earlier_answer_stands_in_while_nobody_can_be_asked() -> None:
    """The name server is away, the daemon need not be; it is asked again a second later."""

    async def play() -> None:
        names = Names("10.0.0.1")
        resolver = Resolver(TTL, names)
        await address(resolver)
        await asyncio.sleep(TTL)
        names.error = socket.gaierror(socket.EAI_AGAIN, "try again")
        assert await address(resolver) == "10.0.0.1"
        assert await address(resolver) == "10.0.0.1"
        assert names.asked == 2
        names.error, names.addresses = None, ["10.0.0.2"]
        await asyncio.sleep(STALE_FOR)
        assert await address(resolver) == "10.0.0.2"

    run_virtual(play())


@pytest.mark.parametrize(
    ("error", "addresses"),
    [(socket.gaierror(socket.EAI_NONAME, "no such name"), ["10.0.0.1"]), (None, [])],
    ids=["no such name", "no address"],
)
def test_a_name_that_is_gone_is_an_error_also_when_it_was_known(error: Exception | None, addresses: list[str]) -> None:
    """The name server was asked and it answered."""

    async def play() -> None:
        names = Names("10.0.0.1")
        resolver = Resolver(TTL, names)
        await address(resolver)
        await asyncio.sleep(TTL)
        names.error, names.addresses = error, addresses
        for _ in range(2):
            with pytest.raises(OSError, match=r"no such name|no address"):
                await address(resolver)
        assert names.asked == 3

    run_virtual(play())


def test_with_no_earlier_answer_everybody_who_asked_hears_the_error() -> None:
    """And the next one asks again."""

    async def play() -> None:
        names = Names("10.0.0.1")
        names.error = OSError("no network")
        resolver = Resolver(TTL, names)
        found = await asyncio.gather(*(address(resolver) for _ in range(3)), return_exceptions=True)
        assert [str(one) for one in found] == ["no network"] * 3
        names.error = None
        assert await address(resolver) == "10.0.0.1"
        assert names.asked == 2

    run_virtual(play())


def test_close_ends_questions() -> None:
    """No task is left behind."""

    async def play() -> None:
        names = Names("10.0.0.1")
        names.takes = 1000.0
        resolver = Resolver(TTL, names)
        task = asyncio.create_task(address(resolver))
        await asyncio.sleep(1.0)
        resolver.close()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_virtual(play())


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("fe80::1%lo", True),
        ("localhost", False),
        ("127.1", False),
        ("1.2.3.4.5", False),
        ("", False),
    ],
)
def test_addresses_are_told_from_names(*, host: str, expected: bool) -> None:
    """Only what needs no look-up counts as an address."""
    assert is_numeric(host) is expected


async def test_the_systems_look_up_names_each_address_once() -> None:
    """Localhost is what every machine knows."""
    found = await system_lookup("localhost", 80)
    assert found
    assert len(found) == len(set(found))
    assert set(found) <= {"127.0.0.1", "::1"}


async def test_what_the_system_cannot_tell_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that can be none, and one that nobody has."""
    with pytest.raises(UnicodeError):
        await system_lookup("x" * 64 + ".test", 80)

    def getaddrinfo(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(socket.gaierror) as caught:
        await system_lookup("nobody", 80)
    assert caught.value.errno == socket.EAI_NONAME


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, Loop])
def test_names_that_nobody_tells_keep_nobody_from_connecting(
    monkeypatch: pytest.MonkeyPatch, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """However many: neither by another name nor by a number; whoever leaves is told nothing later."""
    silence, asked = threading.Event(), threading.Semaphore(0)
    told = socket.getaddrinfo

    def getaddrinfo(host: str, *more: Any, **named: Any) -> Any:
        if host.startswith("silent"):
            asked.release()
            assert silence.wait(30.0)
        return told("127.0.0.1", *more, **named)

    async def play() -> None:
        loop = asyncio.get_running_loop()
        waiting = [asyncio.create_task(system_lookup(f"silent-{n}", 80)) for n in range(40)]
        for _ in waiting:
            await asyncio.to_thread(asked.acquire)
        assert await system_lookup("wallet", 80) == ["127.0.0.1"]
        with socket.create_server(("127.0.0.1", 0)) as server, _socket("127.0.0.1") as sock:
            address = server.getsockname()
            await _until_connected(loop, sock, address)
            assert sock.getpeername() == address
        with _socket("127.0.0.1") as sock, pytest.raises(ConnectionRefusedError):
            await _until_connected(loop, sock, address)
        waiting[0].cancel()
        silence.set()
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        assert answers[1:] == [["127.0.0.1"]] * 39

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(play())
