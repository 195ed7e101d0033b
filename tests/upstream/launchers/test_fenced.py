"""A launcher that does nothing to its daemon once the wallet is held elsewhere."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from gateway.base import care
from gateway.upstream.launchers import Heir, Launcher, LauncherError, limit
from gateway.upstream.launchers.fenced import fence
from gateway.upstream.launchers.registry import make

VERBS: dict[str, Callable[[Launcher], Awaitable[object]]] = {
    "start": lambda one: one.start(),
    "stop": lambda one: one.stop(1.5),
    "kill": lambda one: one.kill(),
    "write_wallet": lambda one: one.write_wallet("/wallet", b"x"),
}


class Recording:
    """Remembers what it was asked to do."""

    kind = "recording"
    takes_along = False

    def __init__(self) -> None:
        """Begin with nothing done."""
        self.done: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Callable[..., Awaitable[None]]:
        async def act(*words: object) -> None:
            self.done.append((name, *words))

        return act


@pytest.mark.parametrize("verb", VERBS)
async def test_what_changes_something_asks_first(verb: str) -> None:
    """Done with its arguments while the wallet is held, an error with the reason afterwards."""
    launcher, held = Recording(), True
    fenced = fence(cast("Launcher", launcher), lambda: held)
    await VERBS[verb](fenced)
    (done,) = launcher.done
    assert done == {"stop": ("stop", 1.5), "write_wallet": ("write_wallet", "/wallet", b"x")}.get(verb, (verb,))
    held = False
    with pytest.raises(LauncherError, match="does not hold the wallet any more"):
        await VERBS[verb](fenced)
    assert launcher.done == [done]


async def test_who_takes_over_is_told_of_no_fence() -> None:
    """The kinds know each other by their class; a kind that takes nothing over is left alone."""

    class Taking(Recording):
        def take_over(self, before: object) -> None:
            self.done.append(("take_over", before))

    launcher, before = Taking(), Recording()
    fenced = fence(cast("Launcher", launcher), lambda: False)
    assert isinstance(fenced, Heir)
    # what later versions of Python ask a class for
    assert inspect.getattr_static(fenced, "take_over", None) is not None
    fenced.take_over(fence(cast("Launcher", before), lambda: True))
    fenced.take_over(cast("Launcher", before))
    assert launcher.done == [("take_over", before)] * 2
    command = make(
        care.Launcher.model_validate({"kind": "command", "restart": "true"}), "ec-1", asyncio.get_running_loop()
    )
    other = fence(command, lambda: True)
    assert isinstance(other, Heir)
    other.take_over(fenced)
    await command.close()


async def test_a_fence_tells_how_long_orders_take() -> None:
    """As what is behind it does, and where that says nothing, by its time-out."""
    keys = {"kind": "command", "restart": "true", "timeout": 3.0}
    command = make(care.Launcher.model_validate(keys), "ec-1", asyncio.get_running_loop())
    assert limit(fence(command, lambda: True), "status", 3.0) == limit(command, "status", 3.0) == 6.0
    await command.close()
    keys = {"kind": "supervisor", "url": "http://127.0.0.1:1", "program": "ec-1"}
    supervisor = make(care.Launcher.model_validate(keys), "ec-1", asyncio.get_running_loop())
    assert limit(fence(supervisor, lambda: True), "kill", 4.0) == 4.0


async def test_looking_is_always_allowed() -> None:
    """It changes nothing."""
    launcher = Recording()
    fenced = fence(cast("Launcher", launcher), lambda: False)
    await fenced.status()
    await fenced.memory()
    await fenced.read_wallet("/wallet")
    assert launcher.done == [("status",), ("memory",), ("read_wallet", "/wallet")]
    assert (fenced.kind, fenced.takes_along) == ("recording", False)
