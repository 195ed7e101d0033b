"""A gateway among others, as its parts are put together: reloads while a wallet is gained, held or given up."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import gateway.app
from gateway.app import App
from gateway.base.errors import READ_ONLY, Failure, LedgerError
from gateway.base.events import Event
from gateway.base.loader import load
from gateway.ledger.migrations import bring_up
from gateway.ledger.store import InlineLedger
from gateway.money import Book
from gateway.plant import Plant
from gateway.profiles import path_of
from gateway.rules.methods import Granted
from gateway.seats import LAST_WORDS, PATIENCE, Seat
from tests.test_app import plain

LEASE = 0.5


class Place:
    """One gateway of a cluster, whose ledger is in memory; nobody listens at its backends."""

    def __init__(self, folder: Path) -> None:
        """Build it with two wallets; nothing is started."""
        self.folder = folder
        self.path = folder / "gateway.yaml"
        key = folder / "ledger.key"
        key.write_bytes(b"k" * 32)
        key.chmod(0o600)
        self.write("main", "second")
        self.app = App(load([self.path], {}), [self.path])
        self.told: list[Event] = []
        self.app.emit = self._hear

    def _hear(self, event: Event) -> None:
        self.told.append(event)

    def write(self, *wallets: str, backends: int = 1, profile: str = "electron-cash") -> None:
        """Write its file anew."""
        found = {
            name: {
                "backends": [
                    {"name": f"{name}-{n}", "url": f"http://127.0.0.1:{1 + n}/{name}"} for n in range(backends)
                ],
                "profile": profile,
            }
            for name in wallets
        }
        settings = plain(
            wallets=found,
            ledger={"url": "postgresql://u@127.0.0.1/d", "key_file": str(self.folder / "ledger.key")},
            cluster={"name": "gw-1", "address": "http://127.0.0.1:7", "secret": "s" * 32, "lease": LEASE},
        )
        self.path.write_text(yaml.safe_dump(settings), encoding="utf-8")

    def reload(self, *wallets: str, **changes: Any) -> None:
        """Write it, and let the gateway read it."""
        self.write(*wallets, **changes)
        self.app.reload()
        assert "config.refused" not in {event.name for event in self.told}

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait for something."""
        async with asyncio.timeout(20):
            while not is_so():  # noqa: ASYNC110 - what is waited for sets no event
                await asyncio.sleep(0.01)

    async def gained(self, *wallets: str) -> None:
        """Wait until it has these wallets, and calls come to them."""
        await self.until(lambda: set(self.app.plants) == set(wallets))

    @property
    def cluster(self) -> Any:
        """Its seats."""
        return self.app.cluster


@pytest.fixture
async def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    """A gateway that has started."""

    async def never(*_args: object) -> None:
        await asyncio.Event().wait()

    ledger = InlineLedger(None)
    ledger.transact(bring_up)
    monkeypatch.setattr(gateway.app, "watch", never)
    monkeypatch.setattr(gateway.app, "_open_book", lambda _settings: (Book(ledger, b"k" * 32, lambda: 1.0), ""))
    one = Place(tmp_path)
    await one.app.start()
    yield one
    await one.app.stop()


def begin_slow_call(plant: Plant, seconds: float) -> None:
    """Let a call be under way that could not be made elsewhere."""
    assert plant.desk is not None
    slow: asyncio.Task[Any] = asyncio.get_running_loop().create_task(asyncio.sleep(seconds))
    plant.desk.under_way.add(slow)
    slow.add_done_callback(plant.desk.under_way.discard)


@pytest.mark.long
async def test_a_wallet_that_was_taken_out_and_put_back_is_gained_anew(place: Place) -> None:
    """When it has been given up, and not before; what ends the old rooms leaves the new ones alone."""
    await place.gained("main", "second")
    old, held = place.app.plants["second"], place.cluster.term("second")
    begin_slow_call(old, 0.5)
    place.reload("main")
    await asyncio.sleep(0.1)
    place.reload("main", "second")
    assert place.cluster.why_not_ready("second") == ["it was taken out and put back, and waits until it was given up"]
    place.reload("main")
    place.reload("main", "second")
    await place.until(lambda: place.app.plants.get("second", old) is not old)
    new = place.app.plants["second"]
    assert old.is_over
    assert place.cluster.term("second") > held
    await asyncio.sleep(2 * LEASE)
    seat = place.cluster.seats["second"]
    assert place.app.plants["second"] is seat.plant is new
    assert place.app.runners["second"] is new.runner
    assert place.cluster.is_held("second")
    assert place.cluster.term("second") == seat.tenancy.term


@pytest.mark.parametrize("how", ["told to stop", "taken out"])
async def test_a_gateway_that_gives_a_wallet_up_for_good_waits_no_longer_than_an_operator_does(
    place: Place, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """However long it may drain: nobody has the wallet by then."""
    await place.gained("main", "second")
    waited: list[float] = []

    async def calm(_seat: Seat, _plant: Plant, patience: float) -> None:
        waited.append(patience)

    monkeypatch.setattr(Seat, "_calm", calm)
    if how == "taken out":
        place.reload("main")
        await place.until(lambda: len(waited) == 2)
    else:
        await place.cluster.leave()
    assert set(waited) == {PATIENCE, LAST_WORDS}


async def test_a_wallet_that_was_put_back_is_not_gained_by_a_gateway_that_stops(place: Place) -> None:
    """It would be taken from whoever has it next."""
    await place.gained("main", "second")
    begin_slow_call(place.app.plants["second"], 0.3)
    place.reload("main")
    place.reload("main", "second")
    await place.cluster.leave()
    assert set(place.cluster.seats) == {"main"}
    assert not place.app.plants
    assert not place.cluster.term("second")


async def test_a_gateway_that_is_told_to_hurry_ends_what_it_was_giving_up(place: Place) -> None:
    """Its rooms are ended all the same."""
    await place.gained("main", "second")
    second = place.app.plants["second"]
    begin_slow_call(second, 60.0)
    place.reload("main")
    await asyncio.sleep(0.05)
    await place.cluster.stop()
    assert second.is_over


async def test_rooms_that_are_not_the_wallets_any_more_dismiss_nobody(place: Place) -> None:
    """As with those of the holding before."""
    await place.gained("main", "second")
    plants = dict(place.app.plants)
    place.app._dismiss(place.app._build("main", place.app.settings, plants["main"].targets))
    assert place.app.plants == plants
    assert set(place.app.runners) == set(place.app.desks) == {"main", "second"}


async def test_a_reload_while_the_ledger_is_read_reaches_the_rooms(place: Place) -> None:
    """Nobody would tell them later: the file has not changed since."""
    await place.gained("main", "second")
    gate, read = asyncio.Event(), Seat._read

    async def slow(seat: Seat, plant: Plant, book: Book) -> Any:
        await gate.wait()
        return await read(seat, plant, book)

    seat = place.cluster.seats["main"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Seat, "_read", slow)
        await seat.tenancy.handover(0.0)
        await place.until(lambda: seat.plant is not None)
        place.reload("main", "second", backends=2)
        gate.set()
        await place.gained("main", "second")
    for name, plant in place.app.plants.items():
        assert plant.settings is place.app.settings
        assert list(plant.pool.by_name) == [f"{name}-0", f"{name}-1"]


async def test_a_wallet_that_gateways_share_signs_nothing_without_its_ledger(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even without a key: another gateway may have the wallet by now."""
    await place.gained("main", "second")
    plant, book = place.app.plants["main"], place.app.book
    assert plant.desk is not None
    assert book is not None

    async def is_away(_work: object) -> None:
        raise LedgerError("it is away")

    monkeypatch.setattr(book.ledger, "run", is_away)
    row = plant.profile.methods["payto"]
    granted = Granted(row, row.effect, row.bound, b'["x", "0.1"]')
    handler = plant.desk.handler(granted)
    assert handler is not None
    told = await handler(place.app.settings.clients[0], granted, asyncio.get_running_loop().time() + 1.0, None)
    assert isinstance(told, Failure)
    assert told.kind is READ_ONLY


async def test_a_follower_takes_over_an_edited_profile(place: Place) -> None:
    """By it its clients' calls are judged and, where it says so, repeated; its lease says that it has another one."""
    profile = place.folder / "own.yaml"
    text = path_of("electron-cash").read_text(encoding="utf-8")
    profile.write_text(text, encoding="utf-8")
    place.reload("main", "second", profile=str(profile))
    await place.gained("main", "second")
    seat = place.cluster.seats["main"]
    await seat.tenancy.handover(60.0)
    await place.gained("second")
    before = seat.tenancy.me.config
    edited = [line for line in text.splitlines() if not line.startswith("  setlabel:")]
    profile.write_text("\n".join(edited), encoding="utf-8")
    place.app.reload()
    assert place.told[-1].name == "config.reloaded"
    assert place.told[-1].fields["new_profile_of"] == ["main", "second"]
    for wallet in ("main", "second"):
        assert "setlabel" not in place.cluster.forwarders[wallet].profile().methods
    assert seat.tenancy.me.config != before
    place.told.clear()
    place.app.reload()
    assert place.told == []
