"""A gateway among others, as its parts are put together: reloads while a wallet is gained, held or given up."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

import gateway.app
import gateway.closed
import gateway.cluster
from gateway.app import App
from gateway.base.errors import READ_ONLY, Failure, LedgerError, OrderError
from gateway.base.events import Event
from gateway.base.loader import load
from gateway.flow import reach
from gateway.ledger import leases
from gateway.ledger.looking import Looking
from gateway.ledger.migrations import bring_up
from gateway.ledger.store import InlineLedger
from gateway.money import Book
from gateway.plant import Plant
from gateway.profiles import path_of
from gateway.rules import durability
from gateway.rules.config_hash import differences
from gateway.rules.lease import Gateway
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


class Closed(Place):
    """One whose ledger cannot be opened, though it answers; another gateway may hold wallets in it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Build it."""
        self.ledger = InlineLedger(None)
        self.ledger.transact(bring_up)
        self.why = "it is of a newer version; run that one"
        self.looked: list[Looking] = []
        monkeypatch.setattr(gateway.app, "_open_book", lambda _settings: (None, self.why))
        monkeypatch.setattr(gateway.cluster, "looking_at", self._looking)
        monkeypatch.setattr(gateway.closed, "open_book", self._open)
        monkeypatch.setattr(gateway.closed, "AGAIN", 0.1)
        super().__init__(folder)

    def _looking(self, _settings: object) -> Looking:
        self.looked.append(Looking(self.ledger))
        return self.looked[-1]

    def _open(self, _settings: object, _clock: object, *, is_shared: bool) -> Book:
        assert is_shared
        if self.why:
            raise LedgerError(self.why)
        ledger = InlineLedger(None)
        ledger.transact(bring_up)
        return Book(ledger, b"k" * 32, lambda: 1.0)

    def other_holds(self, wallet: str) -> None:
        """Let another gateway take a wallet, for long."""
        other = Gateway("gw-2", "other", "http://127.0.0.1:9", "c")
        assert self.ledger.transact(lambda c: leases.acquire(c, wallet, other, 0, 1, 60.0))


@pytest.fixture
async def shut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Closed]:
    """One that has started."""

    async def never(*_args: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(gateway.app, "watch", never)
    one = Closed(tmp_path, monkeypatch)
    one.other_holds("main")
    await one.app.start()
    yield one
    await one.app.stop()


async def test_a_gateway_that_cannot_open_the_ledger_follows_who_holds_a_wallet(shut: Closed) -> None:
    """It is ready for that wallet, and says of the other why nobody has it and why it does not take it itself."""
    await shut.until(lambda: shut.cluster.has_holder("main"))
    holder = shut.cluster.forwarders["main"].holder()
    assert (holder.name, holder.address, holder.term, holder.is_elsewhere) == ("gw-2", "http://127.0.0.1:9", 1, True)
    cannot = f"this gateway cannot take it over: {shut.why}"
    assert shut.app.why_not_ready() == {"main": [], "second": ["no gateway is known to hold this wallet", cannot]}
    assert shut.cluster.status("main")["closed"] == shut.why
    assert shut.cluster.status("second")["holder"] is None
    views = {view.name: view for view in shut.app._elsewhere()}
    assert (views["main"].has_no_holder, views["second"].has_no_holder) == (False, True)
    assert {view.why_not_held for view in views.values()} == {shut.why}
    shut.why = "the key is another one; copy it"
    await shut.until(lambda: shut.cluster.status("main")["closed"] == shut.why)
    await asyncio.sleep(2 * LEASE)
    assert shut.ledger.transact(lambda c: leases.read(c, "second")) is None, "it takes nothing"
    assert not shut.app.plants
    with pytest.raises(OrderError, match="gw-2 does"):
        await shut.cluster.hand_over("main")


async def test_a_ledger_that_can_be_opened_at_last_is_gone_after(shut: Closed) -> None:
    """By the same seats; a wallet that came meanwhile has one as well, and what was looked by is let go of."""
    await shut.until(lambda: shut.cluster.has_holder("main"))
    shut.reload("main", "second", "third")
    await shut.until(lambda: "third" in shut.cluster.seats)
    seats, me = dict(shut.cluster.seats), shut.cluster.seats["third"].tenancy.me
    assert (me.sections, len(shut.looked)) == ("", 1)
    shut.why = ""
    await shut.gained("main", "second", "third")
    assert shut.cluster.seats == seats
    assert seats["third"].tenancy.me.sections
    assert shut.cluster.status("main")["closed"] == ""
    assert shut.cluster._looking is None


async def test_a_gateway_that_is_on_its_way_out_goes_after_nothing_any_more(shut: Closed) -> None:
    """Also where the ledger can be opened just then."""
    await shut.cluster.leave()
    shut.why = ""
    await shut.until(lambda: shut.app.book is not None)
    await asyncio.sleep(2 * LEASE)
    assert not shut.app.plants
    assert not any(seat.tenancy.is_held for seat in shut.cluster.seats.values())


async def test_a_follower_shows_how_the_ledger_answers_and_what_it_sent_on(place: Place) -> None:
    """It holds nothing and talks to the database all the same; one that hangs is shown while it does."""
    await place.gained("main", "second")
    for wallet in ("main", "second"):
        place.cluster.seats[wallet].tenancy.ttl = 1e9
        await place.cluster.seats[wallet].hand_over(patience=0.0)
    assert place.app.plants == {}
    assert place.app.book is not None
    timing = place.app.book.ledger.timing

    def figures(name: str) -> dict[str, float]:
        return {labels.get("wallet", ""): value for found, labels, value in place.app._gauges() if found == name}

    assert figures("ledger_failing") == {"main": 0.0, "second": 0.0}
    assert set(figures("ledger_last_transaction_seconds")) == {"main", "second"}
    with timing.measured() as one:
        one.asked_at -= 2.3
        assert figures("ledger_last_transaction_seconds")["main"] >= 2.3
        assert figures("ledger_failing") == {"main": 1.0, "second": 1.0}
        assert figures("ledger_waiting_transactions") == {"": 1.0}
        assert figures("ledger_waiting_seconds")[""] >= 2.3
    assert figures("ledger_waiting_seconds") == {"": 0.0}
    assert b"ecgw_ledger_transaction_duration_seconds_count" in place.app.metrics.text()
    place.cluster.forwarded.outcomes.update({("main", "answered"): 3, ("main", "unknown"): 1, ("second", "here"): 5})
    place.cluster.forwarded.repeated["main", "lost"] += 2
    place.cluster.taken.refused["age"] += 4
    whole: Any = place.app.snapshots.whole()
    sent = {"calls": 4, "outcomes": {"answered": 3, "unknown": 1}, "repeats": 2}
    assert whole["wallets"]["main"]["lease"]["forwarded"] == sent
    assert whole["ledger"]["transactions"]["count"] == timing.figures().count > 0
    assert whole["peer_calls"] == {"taken": 0, "not_holder": 0, "refused": 4}
    place.app.book = None
    assert figures("ledger_failing") == {"main": 1.0, "second": 1.0}
    assert figures("ledger_last_transaction_seconds") == {}
    shown: Any = place.app.snapshots.whole()
    assert shown["ledger"]["transactions"] is None


async def test_a_database_that_begins_to_forget_is_told_by_a_gateway_that_runs(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It serves on, and its alerts hear of it."""

    class Forgetful:
        connections_made = 1

        async def judge(self) -> tuple[str, ...]:
            return ("the database d has fsync off",)

    monkeypatch.setattr(durability, "REST", 0.0)
    monkeypatch.setattr(durability, "EVERY", 0.0)
    assert place.app.durability is None, "what is in memory is no database"
    assert place.app.book is not None
    place.app._keep_book(replace(place.app.book, judged=Forgetful()))
    await place.until(lambda: "ledger.unsafe" in {event.name for event in place.told})
    assert place.app.durability is not None
    assert {view.ledger_unsafe for view in place.app.alerts.views()} == {place.app.durability.alarm} != {""}
    await place.gained("main", "second")


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
    before, sections = seat.tenancy.me.config, seat.tenancy.me.sections
    edited = [line for line in text.splitlines() if not line.startswith("  setlabel:")]
    profile.write_text("\n".join(edited), encoding="utf-8")
    place.app.reload()
    assert place.told[-1].name == "config.reloaded"
    assert place.told[-1].fields["new_profile_of"] == ["main", "second"]
    for wallet in ("main", "second"):
        assert "setlabel" not in place.cluster.forwarders[wallet].profile().methods
    assert seat.tenancy.me.config != before
    assert differences(sections, seat.tenancy.me.sections) == ("profile",)
    place.told.clear()
    place.app.reload()
    assert place.told == []


async def test_other_gateways_are_told_why_no_daemon_takes_calls(place: Place) -> None:
    """Of what is held here, as soon as calls come to it; of anything else nobody here can say."""
    await place.gained("main", "second")
    not_ready = place.cluster.peers.not_ready
    assert not_ready("main") == place.cluster.why_not_ready("main") == place.app.plants["main"].why_not_ready() != []
    assert not_ready("third") == []
    seat = place.cluster.seats["main"]
    await seat.tenancy.handover(60.0)
    assert not_ready("main") == []
    assert seat.forwarder.reach.word.reasons, "until the next holder says how they are"


async def test_a_silent_address_is_found_out_before_a_greeting_is_given_up(place: Place) -> None:
    """Or the next greeting would go there again, and the second address of a name would never be tried."""
    assert place.cluster.relay.connect < reach.PATIENCE
