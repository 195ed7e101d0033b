"""The switches that a visitor throws, at a real daemon; nobody cares for it here, so it stays as it was made."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.sandbox import switches
from gateway.sandbox.fleet import Fleet
from gateway.sandbox.switches import NAMES, Handle, SwitchError, Switches, is_stopped
from tests.sandbox.conftest import eventually, is_wedged

pytestmark = pytest.mark.integration


def handle_of(fleet: Fleet) -> Handle:
    """The only daemon of a fleet, as a launcher knows it."""
    return Handle("ec-1", fleet.port(0), fleet.control_port(0), lambda: fleet.pid(0) if fleet.is_alive(0) else None)


def on(thrown: Switches) -> set[str]:
    """The switches that are on now."""
    (row,) = thrown.names()
    listed = row["switches"]
    assert isinstance(listed, list)
    assert [one["name"] for one in listed] == list(NAMES)
    return {str(one["name"]) for one in listed if one["is_on"]}


@pytest.fixture
async def thrown(shop: Fleet) -> AsyncIterator[Switches]:
    """The switches of the module's daemon, which is healed afterwards and started again where it was killed."""
    one = Switches("main", [handle_of(shop)])
    yield one
    if not shop.is_alive(0):
        shop.start(0)
    await one.flip("ec-1", "heal", on=True)


async def test_freeze_stops_the_process_and_off_lets_it_go_on(thrown: Switches, shop: Fleet) -> None:
    """SIGSTOP and SIGCONT, and the switch is seen where it really is: at the process."""
    assert "SIGSTOP" in await thrown.flip("ec-1", "freeze", on=True)
    assert is_stopped(shop.pid(0))
    assert on(thrown) == {"freeze"}
    assert await asyncio.to_thread(is_wedged, shop)
    shop.thaw(0)
    assert eventually(lambda: on(thrown) == set()), "whoever lets it go on, the switch is off"
    await thrown.flip("ec-1", "freeze", on=True)
    await thrown.flip("ec-1", "freeze", on=False)
    assert shop.rpc(0, "ping") is True


async def test_wedge_holds_a_connection_until_off(thrown: Switches, shop: Fleet) -> None:
    """Thrown twice it is held once; let go, the daemon serves again."""
    await thrown.flip("ec-1", "wedge", on=True)
    await thrown.flip("ec-1", "wedge", on=True)
    assert await asyncio.to_thread(is_wedged, shop)
    assert on(thrown) == {"wedge"}
    await thrown.flip("ec-1", "wedge", on=False)
    assert on(thrown) == set()
    assert await asyncio.to_thread(shop.rpc, 0, "ping") is True


async def test_one_switch_of_several_is_taken_back_alone(thrown: Switches, shop: Fleet) -> None:
    """Slow and lost; then only slow is over."""
    for name in ("slow", "lose_chain"):
        await thrown.flip("ec-1", name, on=True)
    assert on(thrown) == {"slow", "lose_chain"}
    await thrown.flip("ec-1", "slow", on=False)
    assert on(thrown) == {"lose_chain"}
    told = await asyncio.to_thread(shop.rpc, 0, "getinfo", timeout=1.0)
    assert (told["connected"], told["server_height"]) == (False, 0)


async def test_heal_ends_all_of_it_at_once(thrown: Switches, shop: Fleet) -> None:
    """Also of one that is frozen and hears of nothing until it goes on."""
    for name in ("leak", "lose_chain", "wedge", "freeze"):
        await thrown.flip("ec-1", name, on=True)
    assert on(thrown) == {"leak", "lose_chain", "wedge", "freeze"}
    assert "healed" in await thrown.flip("ec-1", "heal", on=True)
    assert on(thrown) == set()
    assert await asyncio.to_thread(lambda: shop.rpc(0, "getinfo")["connected"]) is True


async def test_a_new_life_has_no_switch_on(thrown: Switches, shop: Fleet) -> None:
    """Killed, it has none; while it does not run it takes none and says when to try again; nor has the next life."""
    for name in ("slow", "wedge"):
        await thrown.flip("ec-1", name, on=True)
    assert "SIGKILL" in await thrown.flip("ec-1", "kill", on=True)
    assert eventually(lambda: not shop.is_alive(0))
    assert on(thrown) == set()
    with pytest.raises(SwitchError, match="in a moment"):
        await thrown.flip("ec-1", "freeze", on=True)
    assert "does not run" in await thrown.flip("ec-1", "heal", on=True)
    shop.start(0)
    assert on(thrown) == set()
    assert shop.rpc(0, "ping", timeout=1.0) is True


async def test_a_frozen_daemon_hears_no_other_switch_and_it_is_said(
    thrown: Switches, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what to do first."""
    monkeypatch.setattr(switches, "PATIENCE", 0.3)
    await thrown.flip("ec-1", "freeze", on=True)
    with pytest.raises(SwitchError, match="let it go on first"):
        await thrown.flip("ec-1", "slow", on=True)
    assert on(thrown) == {"freeze"}


@pytest.mark.parametrize(
    ("backend", "name", "is_on", "said"),
    [
        ("ec-9", "freeze", True, "there are ec-1"),
        ("ec-1", "melt", True, "there are freeze, kill"),
        ("ec-1", "kill", False, "cannot be taken back"),
    ],
)
async def test_what_cannot_be_thrown_says_what_can(
    thrown: Switches, backend: str, name: str, said: str, *, is_on: bool
) -> None:
    """And nothing happens."""
    with pytest.raises(SwitchError, match=said):
        await thrown.flip(backend, name, on=is_on)
    assert on(thrown) == set()
