"""Who reads the ledger for people: one question at a time, few that wait, and no thread that others need."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway.observe.reader import WAITING, BusyError, Reader


class Nobody(ThreadPoolExecutor):
    """The threads of the loop, which names of daemons are resolved with."""

    def submit(self, *_: object, **__: object) -> "asyncio.Future[object]":  # type: ignore[override]  # never comes back
        """Refuse."""
        raise AssertionError("a thread of the loop was taken")


def nothing(_connection: object) -> None:
    """Read nothing: there is no ledger."""
    raise AssertionError("there is nothing to read")


async def test_one_is_answered_few_wait_and_one_more_is_told_to_come_back() -> None:
    """All in one thread of its own; a caller that leaves frees no place before his question has ended."""
    asyncio.get_running_loop().set_default_executor(Nobody())
    reader, go, threads = Reader("tea"), threading.Event(), list[str]()

    def made(found: None) -> str:
        assert found is None
        threads.append(threading.current_thread().name)
        assert go.wait(10)
        return "told"

    asked = [asyncio.ensure_future(reader.look(None, nothing, made)) for _ in range(1 + WAITING)]
    await asyncio.sleep(0)
    asked[0].cancel()
    with pytest.raises(BusyError):
        await reader.look(None, nothing, made)
    with pytest.raises(asyncio.CancelledError):
        await asked[0]
    with pytest.raises(BusyError):
        await reader.look(None, nothing, made)
    go.set()
    assert await asyncio.gather(*asked[1:]) == ["told"] * WAITING
    assert await reader.look(None, nothing, made) == "told"
    assert set(threads) == {"tea_0"}
    reader.close()


async def test_what_fails_fails_for_who_asked_alone() -> None:
    """The next one is answered; once closed nobody is."""
    reader = Reader("tea")

    def fail(_found: None) -> None:
        raise ValueError("a mistake of ours")

    with pytest.raises(ValueError, match="of ours"):
        await reader.look(None, nothing, fail)
    assert await reader.look(None, nothing, lambda _found: "told") == "told"
    waits = asyncio.ensure_future(reader.look(None, nothing, lambda _found: "told"))
    await asyncio.sleep(0)
    reader.close()
    with pytest.raises(asyncio.CancelledError):
        await waits
