"""What one daemon lists as its addresses, and how many it had."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway.base.jsonrpc import Answer
from gateway.fleet.backend import Backend
from gateway.profiles import load
from gateway.supervision.lists import CannotList, Lists
from tests.virtual_time import run_virtual


def test_how_many_addresses_a_daemon_has_is_remembered() -> None:
    """From its own list, and with each that it derives; an answer that is no list changes nothing."""

    async def live() -> None:
        said = [b'["a", "b"]', b'"c"', b"1"]

        async def call_on(*_: Any) -> Answer:
            return Answer(said.pop(0), None)

        backend = cast("Backend", SimpleNamespace(name="ec-1", listed=None))
        lists = Lists(load("electron-cash"), call_on, asyncio.get_running_loop())
        assert await lists.of(backend) == ["a", "b"]
        assert backend.listed == 2
        assert await lists.derive(backend) == "c"
        assert backend.listed == 3
        with pytest.raises(CannotList):
            await lists.of(backend)
        assert backend.listed == 3
        said.append(b'"d"')
        backend.listed = None
        await lists.derive(backend)
        assert backend.listed is None, "nobody knows what it had before"

    run_virtual(live())
