"""A standby is given another daemon's wallet file, or keeps its own; files, modes and links as the disk has them."""

import asyncio
import json
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gateway.supervision import reinit as room
from gateway.supervision.reinit import FRESH, KEPT, Reinit, ReinitError
from gateway.supervision.upkeep import is_plain_file
from tests.supervision.money_world import MoneyWallet, MoneyWorld, Notes, play


@dataclass
class FileWallet(MoneyWallet):
    """A wallet whose file is one."""

    path: Path = field(default_factory=Path)
    seed: str = "address"
    is_unreadable: Callable[[str], bool] = lambda _text: False
    """Whether it does not load such a file: its password is another one."""

    def save(self) -> None:
        """Replace the file whole."""
        text = {"seed": self.seed, "addresses": len(self.addresses), "labels": self.notes.labels,
                "frozen": sorted(self.notes.frozen), "change": self.notes.change}  # fmt: skip
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(text))
        new.chmod(self.path.stat().st_mode if self.path.exists() else 0o600)
        new.replace(self.path)

    def loaded(self) -> object:
        """Read the file."""
        text = self.path.read_text()
        if self.is_loaded or self.is_unreadable(text):
            return self.is_loaded
        found = json.loads(text)
        self.seed = found["seed"]
        self.addresses = [f"{self.seed}-{n}" for n in range(found["addresses"])]
        self.notes = Notes(found["labels"], set(found["frozen"]), found["change"])
        self.is_loaded = True
        return True


class Shop:
    """Daemons with wallet files, and the order."""

    def __init__(self, folder: Path) -> None:
        """Have no daemon yet."""
        self.folder = folder
        self.left_out: set[str] = set()
        """Backends without `wallet_file:`."""
        self.told: list[str] = []

    def file(self, number: int) -> Path:
        """The wallet file of a daemon."""
        return self.folder / f"wallet-{number}"

    def wallet(self, world: MoneyWorld, number: int) -> FileWallet:
        """The wallet of a daemon."""
        found = world.daemons[number].wallet
        assert isinstance(found, FileWallet)
        return found

    def prepare(self, world: MoneyWorld) -> None:
        """Give each daemon a file of its own."""
        for number, daemon in enumerate(world.daemons):
            daemon.wallet = daemon.money = FileWallet(path=self.file(number))
            daemon.money.save()
            self.file(number).chmod(0o640)

    def order(self, world: MoneyWorld) -> Reinit:
        """The room."""

        async def at_once(work: Callable[[], Any]) -> Any:
            return work()

        def wallet_file(name: str) -> str | None:
            return None if name in self.left_out else str(self.file(int(name[-1]) - 1))

        reconciler = world.reconciler
        return Reinit(world.pool, reconciler.upkeep, wallet_file, reconciler.held, at_once)

    async def refused(self, world: MoneyWorld, name: str = "ec-2") -> str:
        """Order it and return why it was not done."""
        with pytest.raises(ReinitError) as error:
            await self.order(world).run(name)
        return str(error.value)


def void(_done: object) -> None:
    """Return nothing."""


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """Daemons with files."""
    return Shop(tmp_path)


def test_the_standby_has_what_the_primary_has(shop: Shop) -> None:
    """Labels that were not saved are flushed first; mode stays, what it had lies beside it, nothing else does."""

    async def scene(world: MoneyWorld) -> None:
        primary, standby = shop.wallet(world, 0), shop.wallet(world, 1)
        primary.notes.labels["k"] = "of the primary"
        primary.notes.change = 30
        standby.notes.labels["own"] = "lost"
        shop.file(1).chmod(0o604)
        sentence = await shop.order(world).run("ec-2")
        assert "ec-2 has the wallet file of ec-1 now" in sentence
        assert f"wallet-1{KEPT}" in sentence
        assert standby.notes == primary.notes
        assert world.daemons[1].money.is_loaded
        assert world.daemons[0].money.is_loaded
        assert not world.pool.is_aligned(world.backend(1)), "the mirror has to look first"
        await asyncio.sleep(2.0)
        assert world.pool.is_aligned(world.backend(1))
        assert world.reconciler.may_read(world.backend(1))
        assert world.reconciler.may_sign(world.backend(1))

    world = play(scene, 2, shop.prepare)
    assert stat.S_IMODE(shop.file(1).stat().st_mode) == 0o604
    assert shop.file(1).read_bytes() == shop.file(0).read_bytes()
    assert "own" in Path(f"{shop.file(1)}{KEPT}").read_text()
    assert {one.name for one in shop.folder.iterdir()} == {"wallet-0", "wallet-1", f"wallet-1{KEPT}"}
    told = world.events("backend.reinitialized")
    assert [(one.backend, one.fields["source"]) for one in told] == [("ec-2", "ec-1")]


def test_the_giver_is_away_for_one_reload_and_nothing_comes_between(shop: Shop) -> None:
    """Closed and loaded in one go."""

    async def scene(world: MoneyWorld) -> None:
        await shop.order(world).run("ec-2")

    world = play(scene, 2, shop.prepare)
    names = [name for _, name, _ in world.daemons[0].journal]
    assert names[names.index("close_wallet") + 1] == "load_wallet"
    assert names.count("close_wallet") == 1


def test_another_aligned_daemon_gives_where_the_primary_has_no_file_here(shop: Shop) -> None:
    """The primary is not touched."""
    shop.left_out = {"ec-1"}

    async def scene(world: MoneyWorld) -> None:
        assert "of ec-3" in await shop.order(world).run("ec-2")

    world = play(scene, 3, shop.prepare)
    assert not world.daemons[0].ran("close_wallet")


def test_a_standby_gives_before_the_primary_does(shop: Shop) -> None:
    """The primary has customers who would wait for its reload; it gives where no other one can."""

    async def scene(world: MoneyWorld) -> None:
        assert "of ec-3" in await shop.order(world).run("ec-2")
        await asyncio.sleep(2.0)
        assert "of ec-1" in await shop.order(world).run("ec-2 ec-1")
        for giver in ("ec-2", "ec-9"):
            assert "can give nothing now" in await shop.refused(world, f"ec-2 {giver}")
        await asyncio.sleep(2.0)
        world.daemons[2].kill()
        await asyncio.sleep(2.0)
        assert "of ec-1" in await shop.order(world).run("ec-2")

    world = play(scene, 3, shop.prepare)
    assert len(world.daemons[0].ran("close_wallet")) == 2


def test_addresses_that_come_meanwhile_are_no_other_addresses(shop: Shop) -> None:
    """Derived after the flush they are not in the file; the mirror has the target derive them afterwards."""

    async def scene(world: MoneyWorld) -> None:
        source, target = shop.wallet(world, 0), shop.wallet(world, 1)
        real = source.do_load_wallet

        def loads(params: Any) -> object:
            done = real(params)
            source.addresses += [f"address-{n}" for n in range(len(source.addresses), 30)]
            return done

        source.do_load_wallet = loads  # type: ignore[method-assign, assignment]  # customers are given addresses
        assert "has the wallet file" in await shop.order(world).run("ec-2")
        assert len(target.addresses) < 30
        await asyncio.sleep(12.0)
        assert target.addresses == source.addresses
        assert world.pool.is_aligned(world.backend(1))

    world = play(scene, 2, shop.prepare)
    assert not world.events("backend.diverged")


def test_a_file_of_before_is_not_taken_for_the_new_one(shop: Shop) -> None:
    """The daemon reads another file on the same seed, which lists too little."""

    def prepare(world: MoneyWorld) -> None:
        shop.prepare(world)
        target = shop.wallet(world, 1)
        target.path = shop.folder / "real"
        target.save()

    async def scene(world: MoneyWorld) -> None:
        target = shop.wallet(world, 1)
        old = json.loads(target.path.read_text())
        # what it lists it has not saved, and it saves it nowhere
        few = json.dumps(old | {"addresses": 20})
        target.save = lambda: void(target.path.write_text(few))  # type: ignore[method-assign]  # see above
        for wallet in (shop.wallet(world, 0), target):
            wallet.addresses = [f"address-{n}" for n in range(25)]
        assert "lists other receiving addresses" in await shop.refused(world)

    play(scene, 2, prepare)


@pytest.mark.long
def test_while_a_wallet_is_exchanged_the_mirror_asks_it_nothing_and_tells_no_divergence(shop: Shop) -> None:
    """Customers take addresses all the while, and the primary lists more each time."""

    async def scene(world: MoneyWorld) -> None:
        room = shop.order(world)
        stop = asyncio.Event()

        async def allocate() -> None:
            primary = shop.wallet(world, 0)
            while not stop.is_set():
                primary.addresses.append(f"address-{len(primary.addresses)}")
                world.pool.wrote(changes_addresses=True)
                await asyncio.sleep(0.01)

        for daemon in world.daemons:
            daemon.service = lambda method: 0.05 if method in ("close_wallet", "load_wallet") else 0.002
        customers = asyncio.create_task(allocate())
        for _ in range(10):
            assert "has the wallet file" in await room.run("ec-2")
            await asyncio.sleep(0.7)
        stop.set()
        await customers
        await asyncio.sleep(12.0)
        assert world.pool.is_aligned(world.backend(1))

    world = play(scene, 3, shop.prepare)
    assert not world.events("backend.diverged")
    assert len(world.daemons[1].ran("close_wallet")) == 10
    for daemon in world.daemons:
        names = [name for _, name, _ in daemon.journal]
        for place in [place for place, name in enumerate(names) if name == "close_wallet"]:
            until = names.index("load_wallet", place)
            assert not {"createnewaddress", "listaddresses"} & set(names[place:until])


def test_what_was_listed_before_a_wallet_was_exchanged_is_compared_with_nothing_after_it() -> None:
    """The mirror had listed it and was deriving; the new file lists more, and that is no other seed."""

    async def scene(world: MoneyWorld) -> None:
        standby = world.daemons[1]
        del standby.money.addresses[10:]
        standby.service = lambda method: 0.3 if method == "createnewaddress" else 0.001
        world.pool.wrote(changes_addresses=True)
        await asyncio.sleep(0.1)
        assert standby.current is not None, "an address is being derived"
        with world.reconciler.held(world.backend(1)):
            standby.money.addresses = [f"address-{n}" for n in range(18)]
        await asyncio.sleep(15.0)
        assert world.pool.is_aligned(world.backend(1))

    assert not play(scene, 2).events("backend.diverged")


def test_the_pool_does_not_wait_for_a_wallet_that_is_exchanged() -> None:
    """It is left out of comparisons, and none of them is put off for it."""

    async def scene(world: MoneyWorld) -> None:
        standbys = world.plant.mirror.standbys
        with world.reconciler.held(world.backend(1)):
            assert standbys.serving() == [world.backend(2)]
        assert standbys.serving() == [world.backend(1), world.backend(2)]

    play(scene, 3)


def test_a_wallet_with_a_password_that_is_not_configured_is_not_closed(shop: Shop) -> None:
    """Neither the giver's nor the taker's: nobody could load it again.  With the password it is given."""
    passwords: dict[str, str] = {}

    async def scene(world: MoneyWorld) -> None:
        for daemon in world.daemons:
            daemon.money.password = "correct horse"
        for missing in ("ec-2", "ec-1"):
            passwords.update({"ec-1": "correct horse", "ec-2": "correct horse"})
            del passwords[missing]
            why = await shop.refused(world)
            assert f"wallets.main.backends.{missing}.wallet_password is not set, and its wallet has a password" in why
        assert not any(daemon.ran("close_wallet") for daemon in world.daemons)
        passwords.update({"ec-1": "correct horse", "ec-2": "correct horse"})
        assert "has the wallet file of ec-1" in await shop.order(world).run("ec-2")
        assert all(daemon.money.is_loaded for daemon in world.daemons)

    world = play(scene, 2, shop.prepare, password=lambda name: passwords.get(name, ""))
    assert not any(daemon.ran("load_wallet") for daemon in world.daemons)


def test_a_wallet_whose_keys_alone_are_encrypted_is_reloaded_without_its_password(shop: Shop) -> None:
    """Its file tells, where it lies on this machine; it loads as any other."""

    async def is_plain(_name: str) -> bool:
        return True

    def prepare(world: MoneyWorld) -> None:
        shop.prepare(world)
        for daemon in world.daemons:
            daemon.money.do_signmessage = lambda _params: {"error": "Password required"}  # type: ignore[method-assign, assignment]

    async def scene(world: MoneyWorld) -> None:
        assert "has the wallet file" in await shop.order(world).run("ec-2")

    play(scene, 2, prepare, is_plain=is_plain)


async def test_only_a_file_of_json_is_plain(tmp_path: Path) -> None:
    """An encrypted one is not, nor one that is not there."""
    (tmp_path / "plain").write_text('{"seed": 1}')
    (tmp_path / "encrypted").write_text("QklFMQ==")
    assert await is_plain_file(str(tmp_path / "plain"))
    for name in ("encrypted", "gone"):
        assert not await is_plain_file(str(tmp_path / name))
    assert not await is_plain_file(None)


def test_where_a_wallet_did_not_load_again_no_other_one_is_closed(shop: Shop) -> None:
    """The giver's own reload failed: the next order is refused with the way out, and so is every cure."""

    async def scene(world: MoneyWorld) -> None:
        world.daemons[0].money.denies = frozenset({"load_wallet"})
        await shop.refused(world)
        assert not world.daemons[0].money.is_loaded
        world.daemons[0].money.denies = frozenset()
        await world.reconciler.upkeep.load(world.backend(0), anyway=True)
        await asyncio.sleep(5.0)
        assert "restart the gateway" in await shop.refused(world)

    world = play(scene, 2, shop.prepare)
    assert [len(daemon.ran("close_wallet")) for daemon in world.daemons] == [1, 0]


def test_a_wallet_that_is_being_reloaded_is_left_alone(shop: Shop) -> None:
    """Two hands on one wallet would load what the other has just closed."""

    async def scene(world: MoneyWorld) -> None:
        reconciler = world.reconciler
        order = shop.order(world)
        order.is_held = reconciler.is_held
        with reconciler.held(world.backend(1)), pytest.raises(ReinitError, match="again in a moment"):
            await order.run("ec-2")
        with reconciler.held(world.backend(0)), pytest.raises(ReinitError, match="no other backend"):
            await order.run("ec-2")
        with reconciler.held(world.backend(1)):
            with reconciler.held(world.backend(1)):
                pass
            assert reconciler.is_held(world.backend(1)), "the other one is still at it"
        assert not reconciler.is_held(world.backend(1))

    play(scene, 2, shop.prepare)


def test_orders_that_make_no_sense_are_refused_with_the_way_out(shop: Shop) -> None:
    """And no wallet was closed for them."""

    async def scene(world: MoneyWorld) -> None:
        assert "there are ec-1, ec-2" in await shop.refused(world, "ec-9")
        assert "promote" in await shop.refused(world, "ec-1")
        shop.left_out = {"ec-1"}
        assert "wallet_file is not set for ec-1" in await shop.refused(world)
        shop.left_out = {"ec-2"}
        assert "wallet_file is not set for ec-2" in await shop.refused(world)
        shop.left_out = set()
        world.daemons[0].kill()
        await asyncio.sleep(2.0)
        assert "no other backend is in service" in await shop.refused(world)

    world = play(scene, 2, shop.prepare)
    assert not any(daemon.ran("close_wallet") for daemon in world.daemons)


def make_link(shop: Shop) -> None:
    """The target's file is a link to somewhere else."""
    shop.file(1).rename(shop.folder / "elsewhere")
    shop.file(1).symlink_to(shop.folder / "elsewhere")


def make_source_link(shop: Shop) -> None:
    """The giver's file is a link to somewhere else."""
    shop.file(0).rename(shop.folder / "elsewhere")
    shop.file(0).symlink_to(shop.folder / "elsewhere")


def make_same(shop: Shop) -> None:
    """Both names are one file."""
    shop.file(1).unlink()
    shop.file(1).hardlink_to(shop.file(0))


def take_away(shop: Shop) -> None:
    """The target's file is not there."""
    shop.file(1).unlink()


@pytest.mark.parametrize(
    ("spoil", "word"),
    [(make_link, "link"), (make_source_link, "link"), (make_same, "its own"), (take_away, "No such file")],
)
def test_files_that_are_not_what_they_should_be_are_not_touched(
    shop: Shop, spoil: Callable[[Shop], None], word: str
) -> None:
    """No wallet is closed, and the error names the file without its folder."""

    async def scene(world: MoneyWorld) -> None:
        spoil(shop)
        why = await shop.refused(world)
        assert word in why
        assert str(shop.folder) not in why

    world = play(scene, 2, shop.prepare)
    assert not any(daemon.ran("close_wallet") for daemon in world.daemons)


def test_a_file_that_does_not_load_is_taken_back(shop: Shop) -> None:
    """Its password is another one; the standby has its own wallet again and serves."""

    async def scene(world: MoneyWorld) -> None:
        shop.wallet(world, 0).notes.labels["k"] = "of the primary"
        shop.wallet(world, 1).notes.labels["own"] = "kept"
        shop.wallet(world, 1).is_unreadable = lambda text: "of the primary" in text
        why = await shop.refused(world)
        assert "its own wallet file again" in why
        assert world.daemons[1].money.is_loaded
        assert shop.wallet(world, 1).notes.labels == {"own": "kept"}
        await asyncio.sleep(15.0)
        assert world.reconciler.may_read(world.backend(1))

    play(scene, 2, shop.prepare)
    assert "own" in shop.file(1).read_text()
    assert not Path(f"{shop.file(1)}{FRESH}").exists()


def test_a_file_that_the_daemon_does_not_read_is_taken_back(shop: Shop) -> None:
    """`wallet_file:` names another file than the daemon has: its lists tell, and that file is as it was."""
    other = shop.folder / "other"

    def prepare(world: MoneyWorld) -> None:
        shop.prepare(world)
        wallet = shop.wallet(world, 1)
        wallet.path = shop.folder / "real"
        wallet.addresses = [f"stranger-{n}" for n in range(20)]
        wallet.seed = "stranger"
        wallet.save()
        shop.file(1).write_text("something else")
        other.write_text("x")

    async def scene(world: MoneyWorld) -> None:
        why = await shop.refused(world)
        assert "lists other receiving addresses" in why
        assert world.daemons[1].money.is_loaded

    play(scene, 2, prepare)
    assert shop.file(1).read_text() == "something else"


@pytest.mark.parametrize("step", ["copy", "swap"])
def test_a_disk_that_fails_costs_nobody_his_wallet(shop: Shop, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Full while copying, or broken while swapping: both daemons have what they had."""

    def fails(*_args: object) -> None:
        raise OSError(28, "No space left on device", str(shop.file(1)))

    monkeypatch.setattr(room, step, fails)

    async def scene(world: MoneyWorld) -> None:
        shop.wallet(world, 1).notes.labels["own"] = "kept"
        assert "No space left" in await shop.refused(world)
        assert all(daemon.money.is_loaded for daemon in world.daemons)
        assert shop.wallet(world, 1).notes.labels == {"own": "kept"}

    monkeypatch.setattr(room, "swap_back", lambda _theirs: None)
    play(scene, 2, shop.prepare)


def test_a_standby_that_falls_silent_keeps_its_file(shop: Shop) -> None:
    """What is not heard of is not written over."""

    async def scene(world: MoneyWorld) -> None:
        before = shop.file(1).read_bytes()
        world.daemons[1].freeze()
        assert "keeps the wallet file" in await shop.refused(world)
        assert shop.file(1).read_bytes() == before
        world.daemons[1].thaw()

    play(scene, 2, shop.prepare)


# -- files ------------------------------------------------------------------------------------------------------


def test_a_copy_replaces_whatever_lay_there_and_follows_no_link(tmp_path: Path) -> None:
    """A link in the place of the copy is removed, not written through."""
    ours, theirs, victim = tmp_path / "ours", tmp_path / "theirs", tmp_path / "victim"
    ours.write_bytes(b"x" * 3_000_000)
    theirs.write_text("before")
    victim.write_text("not touched")
    Path(f"{theirs}{FRESH}").symlink_to(victim)
    assert room.copy(ours, theirs) == 3_000_000
    assert victim.read_text() == "not touched"
    assert theirs.read_text() == "before"
    room.swap(theirs)
    assert theirs.read_bytes() == ours.read_bytes()
    assert Path(f"{theirs}{KEPT}").read_text() == "before"
    room.swap_back(theirs)
    assert theirs.read_text() == "before"
    assert {one.name for one in tmp_path.iterdir()} == {"ours", "theirs", "victim"}


def test_a_source_that_became_a_link_is_not_followed(tmp_path: Path) -> None:
    """Between the look and the copying somebody swapped it."""
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    (tmp_path / "secret").write_text("secret")
    ours.symlink_to(tmp_path / "secret")
    theirs.write_text("before")
    with pytest.raises(OSError, match="Too many levels"):
        room.copy(ours, theirs)
    assert {one.name for one in tmp_path.iterdir()} == {"ours", "theirs", "secret"}


def test_a_copy_that_breaks_off_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk was full."""
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    ours.write_text("new")
    theirs.write_text("before")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        room.copy(ours, theirs)
    assert theirs.read_text() == "before"
    assert {one.name for one in tmp_path.iterdir()} == {"ours", "theirs"}


def test_a_swap_that_was_not_made_is_undone_without_a_trace(tmp_path: Path) -> None:
    """The copy is removed and the file stays."""
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    ours.write_text("new")
    theirs.write_text("before")
    room.copy(ours, theirs)
    room.swap_back(theirs)
    assert theirs.read_text() == "before"
    assert {one.name for one in tmp_path.iterdir()} == {"ours", "theirs"}


def test_the_mode_is_that_of_the_file_that_is_replaced(tmp_path: Path) -> None:
    """Whatever the giver's is, and whatever the umask says."""
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    ours.write_text("new")
    ours.chmod(0o644)
    theirs.write_text("before")
    theirs.chmod(0o660)
    room.copy(ours, theirs)
    room.swap(theirs)
    assert stat.S_IMODE(theirs.stat().st_mode) == 0o660
