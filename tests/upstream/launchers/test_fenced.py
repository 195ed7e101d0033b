"""A launcher that does nothing to its daemon once the wallet is held elsewhere."""

from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from gateway.upstream.launchers import Launcher, LauncherError
from gateway.upstream.launchers.fenced import fence

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


async def test_looking_is_always_allowed() -> None:
    """It changes nothing."""
    launcher = Recording()
    fenced = fence(cast("Launcher", launcher), lambda: False)
    await fenced.status()
    await fenced.memory()
    await fenced.read_wallet("/wallet")
    assert launcher.done == [("status",), ("memory",), ("read_wallet", "/wallet")]
    assert (fenced.kind, fenced.takes_along) == ("recording", False)
