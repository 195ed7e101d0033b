"""Marks, change addresses and balances of several daemons, kept alike in virtual time."""

import asyncio
from collections.abc import Callable

import pytest
from sqlalchemy import Connection

from gateway.ledger import intents, marks
from gateway.ledger.marks import FREEZE, FREEZE_UTXO, GATEWAY, LABEL, Change, Wish
from gateway.ledger.store import LedgerError, T
from gateway.rules.agreement import BACK_OFF
from gateway.supervision.balances import GRACE
from gateway.supervision.horizon import AGAIN
from gateway.supervision.marking import CHUNK
from gateway.supervision.reconcile import ALL_AGAIN, PERIOD
from tests.supervision.money_world import MoneyWorld, play

COIN = "a" * 64 + ":0"

pytestmark = pytest.mark.long


async def nothing(_world: MoneyWorld) -> None:
    """Let the two seconds be all."""


# -- marks ------------------------------------------------------------------------------------------------------


def test_a_mark_reaches_every_standby_and_is_not_given_to_the_one_that_has_it() -> None:
    """Labels, addresses and coins; the primary ran the client's own call."""

    async def scene(world: MoneyWorld) -> None:
        world.mark(LABEL, "k", "rent", backend="ec-1")
        world.mark(FREEZE, "address-3", "1", backend="ec-1")
        world.mark(FREEZE_UTXO, COIN, "1", backend="ec-1")
        await asyncio.sleep(0.1)
        assert all(world.reconciler.marking.has_all(one) for one in world.pool.backends)

    world = play(scene)
    for daemon in world.daemons[1:]:
        assert daemon.money.notes.labels == {"k": "rent"}
        assert daemon.money.notes.frozen == {"address-3", COIN}
    assert not world.daemons[0].ran("setlabel")
    assert not world.daemons[0].ran("freeze")


def test_nothing_is_written_into_a_wallet_of_another_seed() -> None:
    """Neither marks nor change addresses; it gets all of them once it is found to be one of ours."""

    async def scene(world: MoneyWorld) -> None:
        world.pool.mark_stranger(world.backend(1), is_stranger=True)
        world.mark(LABEL, "k", "rent", backend="ec-1")
        world.mark(FREEZE, "address-3", "1", backend="ec-1")
        await asyncio.sleep(5.0)
        assert not world.daemons[1].ran("setlabel")
        assert not world.daemons[1].ran("freeze")
        world.pool.mark_stranger(world.backend(1), is_stranger=False)
        await asyncio.sleep(5.0)
        assert world.daemons[1].money.notes.labels == {"k": "rent"}
        assert world.daemons[1].money.notes.frozen == {"address-3"}

    play(scene)


def test_only_the_last_value_is_given() -> None:
    """A label that changed often while a standby was away is given once."""

    async def scene(world: MoneyWorld) -> None:
        world.daemons[1].kill()
        await asyncio.sleep(3.0)
        for label in ("a", "b", "c"):
            world.mark(LABEL, "k", label)
        world.mark(FREEZE, "address-3", "1")
        world.mark(FREEZE, "address-3", "")
        await asyncio.sleep(1.0)
        world.daemons[1].start()
        await asyncio.sleep(5.0)

    world = play(scene)
    assert world.daemons[1].ran("setlabel") == [["k", "c"]]
    assert world.daemons[1].ran("freeze") == []
    assert world.daemons[1].ran("unfreeze") == [["address-3"]]


def test_an_older_value_that_came_behind_a_clients_call_does_not_stay() -> None:
    """A new holder gives all marks again, and its client names one anew in the same moment."""

    async def scene(world: MoneyWorld) -> None:
        world.mark(LABEL, "k", "old")
        await asyncio.sleep(1.0)
        world.daemons[0].kill()
        await asyncio.sleep(2.0)
        world.daemons[0].start()
        await asyncio.sleep(5.0)
        labels = world.daemons[0].money.notes.labels
        # the client's call ran there, and the older value came after it, before the call was written down
        assert world.daemons[0].ran("setlabel")[-1] == ["k", "old"]
        assert world.reconciler.marking.has_all(world.backend(0))
        world.mark(LABEL, "k", "new", backend="ec-1")
        await asyncio.sleep(1.0)
        assert labels == {"k": "new"}
        asked = len(world.daemons[0].ran("setlabel"))
        world.mark(LABEL, "other", "new", backend="ec-1")
        await asyncio.sleep(1.0)
        assert len(world.daemons[0].ran("setlabel")) == asked, "a label that was not given from here costs nothing"

    play(scene)


@pytest.mark.parametrize("number", [0, 1])
def test_a_daemon_that_was_killed_gets_everything_back(number: int) -> None:
    """The primary too; until it has the freezes it does not sign."""

    async def scene(world: MoneyWorld) -> None:
        world.mark(LABEL, "k", "rent")
        world.mark(FREEZE_UTXO, COIN, "1", GATEWAY)
        await asyncio.sleep(1.0)
        daemon, backend = world.daemons[number], world.backend(number)
        assert world.reconciler.may_sign(backend)
        daemon.kill()
        await asyncio.sleep(2.0)
        assert not world.reconciler.may_sign(backend)
        assert daemon.money.notes.frozen == set()
        daemon.start()
        await asyncio.sleep(5.0)
        assert daemon.money.notes.frozen == {COIN}
        assert daemon.money.notes.labels == {"k": "rent"}
        assert world.reconciler.may_sign(backend)

    play(scene)


def test_what_was_lost_unseen_is_given_again_when_somebody_tells() -> None:
    """A restart between two probes is told by whoever finds the connection broken."""

    async def scene(world: MoneyWorld) -> None:
        world.mark(LABEL, "k", "rent")
        await asyncio.sleep(1.0)
        world.daemons[1].kill()
        world.daemons[1].start()
        await asyncio.sleep(0.2)
        assert world.daemons[1].money.notes.labels == {}
        world.reconciler.lost(world.backend(1))
        await asyncio.sleep(0.2)
        assert world.daemons[1].money.notes.labels == {"k": "rent"}

    play(scene)


@pytest.mark.simulation
def test_what_was_lost_unseen_is_given_again_in_the_end_though_nobody_tells() -> None:
    """Once an hour everything is given again."""

    async def scene(world: MoneyWorld) -> None:
        world.mark(LABEL, "k", "rent")
        await asyncio.sleep(1.0)
        world.daemons[1].money.notes.labels.clear()
        await asyncio.sleep(ALL_AGAIN + 30)
        assert world.daemons[1].money.notes.labels == {"k": "rent"}

    play(scene, 2)


def test_a_standby_reads_and_signs_only_with_what_it_needs() -> None:
    """Without a label it may still sign, without a freeze it may not; the primary answers reads in any case."""

    async def scene(world: MoneyWorld) -> None:
        reconciler, standby, primary = world.reconciler, world.backend(1), world.backend(0)
        for daemon in world.daemons:
            daemon.freeze()
        assert reconciler.may_read(standby)
        world.mark(LABEL, "k", "rent")
        assert not reconciler.may_read(standby)
        assert reconciler.may_read(primary)
        assert reconciler.may_sign(standby)
        world.mark(FREEZE_UTXO, COIN, "1", GATEWAY)
        assert not reconciler.may_sign(standby)
        assert not reconciler.may_sign(primary)
        for daemon in world.daemons:
            daemon.thaw()
        await asyncio.sleep(3.0)
        assert reconciler.may_read(standby)
        assert reconciler.may_sign(standby)
        assert reconciler.may_sign(primary)

    play(scene)


def test_many_marks_come_in_their_order_and_freezes_before_labels() -> None:
    """More than are read at once."""
    count = CHUNK * 2 + 1

    async def scene(world: MoneyWorld) -> None:
        for n in range(count):
            change = world.ledger.transact(
                lambda c, n=n: marks.put(c, "main", LABEL, f"k{n}", "x", marks.CLIENT, 1.0)  # type: ignore[misc]  # bound
            )
            assert change is not None
        world.ledger.transact(lambda c: marks.put(c, "main", FREEZE_UTXO, COIN, "1", GATEWAY, 1.0))
        world.reconciler.wake()
        await asyncio.sleep(2.0)

    world = play(scene, 2)
    given = [(name, params) for _, name, params in world.daemons[1].journal if name in ("setlabel", "freeze_utxo")]
    assert [name for name, _ in given] == ["freeze_utxo", *["setlabel"] * count]
    assert [params[0] for _, params in given[1:]] == [f"k{n}" for n in range(count)]  # type: ignore[index]  # lists


def test_a_mark_that_a_daemon_does_not_take_keeps_none_of_the_others() -> None:
    """It is told, without its key, and left out."""

    async def scene(world: MoneyWorld) -> None:
        world.daemons[1].money.denies = frozenset({"freeze_utxo"})
        world.mark(FREEZE_UTXO, COIN, "1")
        world.mark(FREEZE, "address-3", "1")
        await asyncio.sleep(0.5)

    world = play(scene, 2)
    assert world.daemons[1].money.notes.frozen == {"address-3"}
    told = world.events("mark.not_taken")
    assert [one.backend for one in told] == ["ec-2"]
    assert COIN not in repr(told)


def test_a_freeze_of_an_address_that_a_standby_does_not_know_yet_waits_for_the_mirror() -> None:
    """It is not given up because it came before the address."""

    def before(world: MoneyWorld) -> None:
        del world.daemons[1].wallet.addresses[10:]
        world.daemons[1].service = lambda method: 0.5 if method == "createnewaddress" else 0.0003
        world.ledger.transact(lambda c: marks.put(c, "main", FREEZE, "address-15", "1", marks.CLIENT, 1.0))

    async def scene(world: MoneyWorld) -> None:
        assert not world.reconciler.may_sign(world.backend(1))
        await asyncio.sleep(10.0)
        assert world.reconciler.may_sign(world.backend(1))

    world = play(scene, 2, before)
    assert world.daemons[1].money.notes.frozen == {"address-15"}
    assert not world.events("mark.not_taken")


def test_with_the_ledger_away_daemons_keep_what_they_have_and_it_is_told_once() -> None:
    """And everything goes on when it is back."""

    async def scene(world: MoneyWorld) -> None:
        real = world.ledger.run

        async def fails(_work: Callable[[Connection], T]) -> T:
            raise LedgerError("disk is full")

        world.ledger.run = fails  # type: ignore[method-assign, assignment]  # the disk is full for a while
        for _ in range(3):
            world.reconciler.wake()
            await asyncio.sleep(1.0)
        assert world.reconciler.may_sign(world.backend(1))
        world.ledger.run = real  # type: ignore[method-assign]  # and is not any more
        world.mark(LABEL, "k", "rent")
        await asyncio.sleep(1.0)

    world = play(scene, 2)
    assert [one.fields["reason"] for one in world.events("reconcile.blind")] == ["disk is full"]
    assert world.daemons[1].money.notes.labels == {"k": "rent"}


def unknown(world: MoneyWorld, kind: str, key: str, value: str) -> None:
    """A client's call for a mark ends without an answer."""

    def work(connection: Connection) -> Change | None:
        wish = Wish(kind, key, value)
        intent = intents.open_(connection, "main", 1, "shop", "freeze", 1.0, note=wish.note())
        intents.close(connection, intent, intents.UNKNOWN, 1, 1.0, "ec-1", "g7", wish.note())
        return marks.keep(connection, "main", wish, 1.0)

    change = world.ledger.transact(work)
    assert change is not None
    world.reconciler.marked("", change)


def test_what_one_daemon_may_have_comes_to_all_and_is_known_then() -> None:
    """Also to the one that was asked first; it is called unknown until every daemon has it, and no longer."""

    async def scene(world: MoneyWorld) -> None:
        def count() -> int:
            return world.ledger.transact(lambda c: intents.count_unknown(c, "main"))

        world.daemons[2].kill()
        await asyncio.sleep(2.0)
        unknown(world, FREEZE_UTXO, COIN, "1")
        await asyncio.sleep(2 * PERIOD)
        assert [daemon.money.notes.frozen for daemon in world.daemons] == [{COIN}, {COIN}, set()]
        assert count() == 1, "one daemon is away, and may have it or not"
        assert world.events("outcome.all_resolved") == []
        world.daemons[2].start()
        await asyncio.sleep(2 * PERIOD)
        assert world.daemons[2].money.notes.frozen == {COIN}
        assert count() == 0
        assert len(world.events("outcome.all_resolved")) == 1, "nobody has to be told of it any more"

    play(scene)


def test_a_payment_of_unknown_outcome_stays_one_where_a_mark_is_settled() -> None:
    """That every daemon has the label says nothing of the payment: an alert about it stays."""

    async def scene(world: MoneyWorld) -> None:
        intent = world.ledger.transact(lambda c: intents.open_(c, "main", 1, "shop", "payto", 1.0))
        world.ledger.transact(lambda c: intents.close(c, intent, intents.UNKNOWN, 1, 1.0, "ec-1", "g8", ""))
        unknown(world, FREEZE_UTXO, COIN, "1")
        await asyncio.sleep(3 * PERIOD)
        assert world.ledger.transact(lambda c: intents.count_unknown(c, "main")) == 1
        assert world.events("outcome.all_resolved") == []

    play(scene)


def test_what_was_written_and_not_told_of_yet_is_not_called_known() -> None:
    """The room that wrote it tells a moment later; by then no daemon has it."""

    async def scene(world: MoneyWorld) -> None:
        wish = Wish(LABEL, "k", "v")
        unknown(world, LABEL, "other", "v")
        await asyncio.sleep(0.5)
        world.reconciler._may_be_unknown = True
        read = world.reconciler.marking.read

        async def read_before_it_is_written() -> None:
            await read()
            world.ledger.transact(lambda c: marks.put(c, "main", LABEL, "k", "v", marks.CLIENT, 1.0))
            intent = world.ledger.transact(
                lambda c: intents.open_(c, "main", 1, "shop", "setlabel", 1.0, note=wish.note())
            )
            world.ledger.transact(
                lambda c: intents.close(c, intent, intents.UNKNOWN, 1, 1.0, "ec-1", "g7", wish.note())
            )
            world.reconciler.marking.read = read  # type: ignore[method-assign]  # once

        world.reconciler.marking.read = read_before_it_is_written  # type: ignore[method-assign]  # in between
        world.reconciler.wake()
        await asyncio.sleep(1.0)
        assert world.ledger.transact(lambda c: intents.count_unknown(c, "main")) == 2
        await asyncio.sleep(2 * PERIOD)
        assert world.ledger.transact(lambda c: intents.count_unknown(c, "main")) == 0

    play(scene)


def test_a_mark_costs_no_look_at_change_addresses() -> None:
    """They move by payments alone; a payment and the period have all daemons looked at."""

    async def scene(world: MoneyWorld) -> None:
        def looks() -> list[int]:
            return [daemon.ran("listaddresses").count([False, True]) for daemon in world.daemons]

        await asyncio.sleep(0.5)
        before = looks()
        began = world.loop.time()
        for number in range(20):
            world.mark(LABEL, f"k{number}", "rent", backend="ec-1")
            await asyncio.sleep(0.05)
        assert all(len(daemon.money.notes.labels) == 20 for daemon in world.daemons[1:])
        assert looks() == before
        world.reconciler.stirred()
        await asyncio.sleep(0.2)
        assert [now - was for now, was in zip(looks(), before, strict=True)] == [1, 1, 1]
        # marks that come all the time do not keep the others from being looked at
        while world.loop.time() < began + 3 * PERIOD:
            world.mark(LABEL, "k", str(world.loop.time()), backend="ec-1")
            await asyncio.sleep(0.5)
        assert all(now - was >= 3 for now, was in zip(looks(), before, strict=True))

    play(scene)


# -- change addresses -------------------------------------------------------------------------------------------


def payouts(world: MoneyWorld, count: int) -> None:
    """Let the primary make payouts of which the others hear from the chain alone."""
    for daemon in world.daemons:
        daemon.money.used_change += count
    world.daemons[0].money.notes.change = max(20, world.daemons[0].money.used_change + 1)


def test_a_standby_derives_the_change_addresses_that_it_lacks() -> None:
    """By unsigned payments of its own, and may not sign before; nothing is broadcast."""

    async def scene(world: MoneyWorld) -> None:
        payouts(world, 25)
        world.reconciler.wake()
        await asyncio.sleep(0.002)
        await asyncio.sleep(1.0)
        assert [daemon.money.notes.change for daemon in world.daemons] == [26, 26, 26]
        assert world.reconciler.may_sign(world.backend(1))

    world = play(scene)
    assert len(world.daemons[1].ran("payto")) == 6
    assert all(params["unsigned"] is True for params in world.daemons[1].ran("payto"))  # type: ignore[index]  # objects
    assert not world.daemons[0].ran("payto")
    assert not any(daemon.ran("broadcast") for daemon in world.daemons)
    assert [one.fields["addresses"] for one in world.events("change.derived")] == [6, 6]


def test_a_standby_that_can_make_no_payment_may_not_sign_and_is_told_once_with_the_cure() -> None:
    """It has lost sight of its coins; tried again now and then, and whole when it works."""

    async def scene(world: MoneyWorld) -> None:
        world.daemons[1].money.is_poor = True
        payouts(world, 25)
        world.reconciler.wake()
        await asyncio.sleep(3 * AGAIN)
        assert not world.reconciler.may_sign(world.backend(1))
        assert not world.reconciler.may_read(world.backend(1))
        assert world.reconciler.may_sign(world.backend(2))
        assert 2 <= len(world.daemons[1].ran("payto")) <= 5
        world.daemons[1].money.is_poor = False
        await asyncio.sleep(2 * AGAIN + 10)
        assert world.reconciler.may_sign(world.backend(1))

    world = play(scene)
    told = world.events("backend.change_behind")
    assert [(one.backend, one.fields["missing"]) for one in told] == [("ec-2", 6)]
    assert "reinit ec-2" in str(told[0].fields["remedy"])


def test_a_standby_with_an_unused_change_address_in_stock_is_blind_to_nothing() -> None:
    """The primary has derived ahead; asked a few times it derives none, and that is good."""

    async def scene(world: MoneyWorld) -> None:
        world.daemons[0].money.notes.change = 35
        world.reconciler.wake()
        await asyncio.sleep(3.0)
        assert world.reconciler.may_sign(world.backend(1))
        assert world.daemons[1].money.notes.change == 20
        asked = len(world.daemons[1].ran("payto"))
        await asyncio.sleep(60.0)
        assert len(world.daemons[1].ran("payto")) == asked <= 4

    play(scene)


def test_each_daemon_has_an_unused_change_address_in_stock_before_it_is_needed() -> None:
    """The last one is used up on all of them: each derives the next before anybody pays with it."""

    async def scene(world: MoneyWorld) -> None:
        for daemon in world.daemons:
            daemon.money.used_change = 20
        world.reconciler.stirred()
        await asyncio.sleep(0.5)
        assert [daemon.money.notes.change for daemon in world.daemons] == [21, 21, 21]
        await asyncio.sleep(30.0)

    world = play(scene)
    assert [len(daemon.ran("payto")) for daemon in world.daemons] == [1, 1, 1]


def test_before_signed_bytes_leave_every_standby_is_brought_to_their_change() -> None:
    """At once, not with the next round; a standby that does not answer is said to be behind in time."""

    async def scene(world: MoneyWorld) -> None:
        payouts(world, 25)
        assert await world.reconciler.level(1.0)
        assert [daemon.money.notes.change for daemon in world.daemons] == [26, 26, 26]
        assert await world.reconciler.level(1.0)
        world.daemons[1].freeze()
        payouts(world, 1)
        began = world.loop.time()
        assert not await world.reconciler.level(0.3)
        assert world.loop.time() - began < 0.35
        assert world.daemons[2].money.notes.change == 27
        world.daemons[1].thaw()
        await asyncio.sleep(2.0)
        assert await world.reconciler.level(1.0)

    play(scene)


def test_a_standby_that_cannot_be_brought_up_does_not_keep_a_payment_waiting() -> None:
    """What can be done is done, and the answer comes before the patience is over."""

    async def scene(world: MoneyWorld) -> None:
        world.daemons[1].money.is_poor = True
        payouts(world, 25)
        began = world.loop.time()
        assert not await world.reconciler.level(5.0)
        assert world.loop.time() - began < 1.0

    play(scene)


def test_a_primary_that_forgot_change_addresses_derives_them_and_does_not_sign_before() -> None:
    """A kill loses them as it loses receiving ones; a standby has more then."""

    async def scene(world: MoneyWorld) -> None:
        payouts(world, 25)
        world.reconciler.wake()
        await asyncio.sleep(1.0)
        world.daemons[0].kill()
        await asyncio.sleep(2.0)
        world.daemons[0].start()
        assert world.daemons[0].money.notes.change == 20
        await asyncio.sleep(5.0)
        assert world.daemons[0].money.notes.change == 26

    play(scene)


def test_a_wallet_of_one_daemon_signs_also_where_it_cannot_derive_what_it_had() -> None:
    """Nobody else sees more, and refusing everything would help nobody."""

    async def scene(world: MoneyWorld) -> None:
        payouts(world, 25)
        world.reconciler.wake()
        await asyncio.sleep(1.0)
        world.daemons[0].money.is_poor = True
        world.daemons[0].kill()
        await asyncio.sleep(2.0)
        world.daemons[0].start()
        await asyncio.sleep(5.0)
        assert world.reconciler.may_sign(world.backend(0))

    play(scene, 1)


# -- balances ---------------------------------------------------------------------------------------------------


def test_the_odd_one_of_three_is_reloaded_after_the_grace() -> None:
    """Once, and that cures it; nobody else is touched."""

    async def scene(world: MoneyWorld) -> None:
        world.daemons[1].money.missed = 500
        await asyncio.sleep(2 * GRACE + 8)
        assert world.daemons[1].money.missed == 0

    world = play(scene)
    assert [len(daemon.ran("close_wallet")) for daemon in world.daemons] == [0, 1, 0]
    assert [one.backend for one in world.events("backend.odd_balance")] == ["ec-2"]
    assert [one.backend for one in world.events("backend.reloaded")] == ["ec-2"]
    assert "took" in world.events("backend.reloaded")[0].fields
    assert not world.events("backend.diverged_balance")


def test_the_primary_is_compared_and_reloaded_as_everybody() -> None:
    """Two standbys against it; afterwards it serves as before."""

    async def scene(world: MoneyWorld) -> None:
        world.daemons[0].money.missed = 500
        await asyncio.sleep(2 * GRACE + 8)
        assert world.daemons[0].money.missed == 0
        assert world.pool.is_primary_checked
        assert world.reconciler.may_sign(world.backend(0))

    world = play(scene)
    assert [len(daemon.ran("close_wallet")) for daemon in world.daemons] == [1, 0, 0]


@pytest.mark.parametrize("configured", ["", "correct horse", "wrong"])
def test_a_wallet_with_a_password_is_reloaded_only_where_that_is_configured(configured: str) -> None:
    """Without it nobody could load it again: told with the way out, and it goes on as it is."""

    def before(world: MoneyWorld) -> None:
        for daemon in world.daemons:
            daemon.money.password = "correct horse"

    async def scene(world: MoneyWorld) -> None:
        world.daemons[1].money.missed = 500
        await asyncio.sleep(2 * GRACE + 8)

    world = play(scene, 3, before, password=lambda _name: configured)
    odd = world.daemons[1]
    assert len(odd.ran("close_wallet")) == (configured != "")
    assert odd.money.is_loaded == (configured != "wrong")
    assert odd.money.missed == (0 if configured == "correct horse" else 500)
    told = world.events("backend.not_reloaded")
    setting = "wallets.main.backends.ec-2.wallet_password"
    why = {"": f"{setting} is not set, and its wallet has a password", "wrong": f"{setting} is not the password"}
    assert [configured in why] * len(told) == ([True] if configured in why else [])
    assert all(why[configured] in str(one.fields["reason"]) for one in told)
    assert "correct horse" not in repr(world.recorder.events)
    # the supervisor of this world knows no password, and tries what it can for a wallet that is gone
    assert bool(odd.ran("load_wallet")) == (configured == "wrong"), "that one takes no password"


def test_with_two_the_standby_is_reloaded_first_and_then_the_primary() -> None:
    """Here the primary is wrong, and only its own reload helps."""

    async def scene(world: MoneyWorld) -> None:
        world.daemons[0].money.missed = 500
        await asyncio.sleep(60.0)
        assert world.daemons[0].money.missed == 0

    world = play(scene, 2)
    assert [one.backend for one in world.events("backend.reloaded")] == ["ec-2", "ec-1"]
    assert not world.events("backend.diverged_balance")


def test_a_standby_that_stays_odd_is_told_taken_out_of_reads_and_let_in_when_it_agrees() -> None:
    """One reload did not help; the one after the back-off does."""

    async def scene(world: MoneyWorld) -> None:
        world.daemons[1].money.missed = 500
        world.daemons[1].money.stays_wrong = 1
        await asyncio.sleep(BACK_OFF - 10)
        assert not world.reconciler.may_read(world.backend(1))
        assert not world.reconciler.may_sign(world.backend(1))
        assert world.reconciler.may_read(world.backend(0))
        await asyncio.sleep(60.0)
        assert world.reconciler.may_read(world.backend(1))

    world = play(scene)
    assert [(one.backend, one.level) for one in world.events("backend.diverged_balance")] == [("ec-2", "error")]
    assert [one.backend for one in world.events("backend.balance_agrees")] == ["ec-2"]


def test_two_that_stay_unequal_are_told_and_both_stay() -> None:
    """Nobody knows who is wrong, and a wallet without reads helps nobody."""

    async def scene(world: MoneyWorld) -> None:
        world.daemons[1].money.missed = 500
        world.daemons[1].money.stays_wrong = 100
        await asyncio.sleep(100.0)
        assert all(world.reconciler.may_read(one) for one in world.pool.backends)
        assert all(world.reconciler.may_sign(one) for one in world.pool.backends)

    world = play(scene, 2)
    assert {one.backend for one in world.events("backend.diverged_balance")} == {"ec-1", "ec-2"}


@pytest.mark.parametrize(("backends", "is_cured"), [(2, False), (3, True)])
def test_while_we_pay_all_the_time_only_a_lasting_difference_against_a_majority_is_cured(
    backends: int, *, is_cured: bool
) -> None:
    """Each daemon hears of a payment in its own time; of two nobody knows who is only late."""

    async def scene(world: MoneyWorld) -> None:
        world.daemons[1].money.missed = 500
        for turn in range(20):
            world.reconciler.stirred()
            await asyncio.sleep(GRACE / 2)
            assert turn > 10 or world.daemons[1].money.missed
        assert (world.daemons[1].money.missed == 0) is is_cured
        await asyncio.sleep(4 * GRACE)
        assert world.daemons[1].money.missed == 0

    play(scene, backends)


def test_a_daemon_at_another_height_is_not_odd() -> None:
    """It has a block less, and with it less money."""

    async def scene(world: MoneyWorld) -> None:
        world.daemons[1].money.height = world.daemons[1].money.server_height = 99
        world.daemons[1].money.missed = 500
        await asyncio.sleep(60.0)

    world = play(scene)
    assert not world.events("backend.odd_balance")
    assert not world.daemons[1].ran("close_wallet")


def test_a_daemon_that_has_loaded_another_wallet_is_not_closed() -> None:
    """load_wallet would open its default one, which is not the one of this gateway."""

    async def scene(world: MoneyWorld) -> None:
        world.daemons[1].money.missed = 500
        world.daemons[1].money.other_path = "second_wallet"
        await asyncio.sleep(2 * GRACE + 15)

    world = play(scene)
    assert not world.daemons[1].ran("close_wallet")
    told = world.events("backend.not_reloaded")
    assert [(one.backend, one.level) for one in told] == [("ec-2", "error")]
    assert "default" in str(told[0].fields["reason"])


def test_a_wallet_that_does_not_load_at_once_is_loaded_again() -> None:
    """It fails once, and is asked again before anybody is told."""

    async def scene(world: MoneyWorld) -> None:
        world.daemons[1].money.missed = 500
        world.daemons[1].money.stays_closed = 2
        await asyncio.sleep(2 * GRACE + 10)
        assert world.daemons[1].money.is_loaded

    world = play(scene)
    assert world.events("backend.reloaded")
    assert not world.events("backend.not_reloaded")


def test_where_a_wallet_could_not_be_loaded_again_no_other_one_is_closed() -> None:
    """Its file has a password, most likely, and that of the primary has one too."""

    async def scene(world: MoneyWorld) -> None:
        world.daemons[1].money.missed = 500
        world.daemons[1].money.stays_closed = 1000
        await asyncio.sleep(50.0)
        world.daemons[1].money.stays_closed = 0
        world.daemons[1].money.is_loaded = True  # by hand; it is as wrong as before
        await asyncio.sleep(200.0)
        assert {one.backend for one in world.events("backend.diverged_balance")} == {"ec-1", "ec-2"}

    world = play(scene, 2)
    assert world.daemons[0].money.is_loaded
    assert not world.daemons[0].ran("close_wallet")
    assert [one.backend for one in world.events("backend.not_reloaded")] == ["ec-2"]


def test_no_call_comes_between_closing_and_loading() -> None:
    """Though clients, mirror and probes want the slot all the time."""

    async def scene(world: MoneyWorld) -> None:
        world.daemons[0].money.missed = 500
        world.daemons[0].service = lambda _method: 0.01
        until = world.loop.time() + 2 * GRACE + 8

        async def ask() -> None:
            row = world.plant.profile.methods["listunspent"]
            while world.loop.time() < until:
                await world.plant.runner.call_on(world.backend(0), row, b"[]", world.loop.time() + 1.0)

        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(ask())

    world = play(scene)
    names = [name for _, name, _ in world.daemons[0].journal]
    places = [n for n, name in enumerate(names) if name == "close_wallet"]
    assert len(places) == 1
    assert names[places[0] + 1] == "load_wallet"


def test_while_a_wallet_is_reloaded_its_daemon_is_out_and_the_mirror_looks_at_it_again() -> None:
    """No reads, no signing, until it is in step with its server; afterwards its addresses are compared anew."""

    async def scene(world: MoneyWorld) -> None:
        standby, reconciler = world.backend(1), world.reconciler
        for backend in world.pool.backends:
            world.pool.on_doubt = lambda _backend: None
            backend.probed_at = backend.heard_at = world.loop.time() + 10.0  # no probe comes between
        world.daemons[1].money.is_synced = False
        task = asyncio.create_task(reconciler.balances.cure(standby))
        await asyncio.sleep(1.0)
        assert world.daemons[1].ran("load_wallet")
        assert world.daemons[1].money.is_loaded
        assert not reconciler.may_read(standby)
        assert not reconciler.may_sign(standby)
        world.daemons[1].money.is_synced = True
        await task
        await asyncio.sleep(1.0)
        assert reconciler.may_read(standby)
        assert reconciler.may_sign(standby)
        assert world.pool.is_aligned(standby)
        assert {one.backend for one in world.events("backend.unaligned")} == {"ec-2"}

    play(scene)


def test_a_gateway_that_stops_waits_for_the_reload_under_way() -> None:
    """No wallet is left closed behind it."""

    async def scene(world: MoneyWorld) -> None:
        world.daemons[1].money.missed = 500
        world.daemons[1].service = lambda method: 3.0 if method == "close_wallet" else 0.0003
        for _ in range(1000):
            await asyncio.sleep(0.05)
            current = world.daemons[1].current
            if current is not None and b"close_wallet" in current.body:
                return
        pytest.fail("no wallet was closed")

    world = play(scene)
    assert world.daemons[1].money.is_loaded
    assert world.daemons[1].ran("load_wallet")


def test_with_the_mirror_off_standbys_are_left_alone() -> None:
    """Somebody else keeps them alike; marks go to the primary alone, and nobody is compared."""

    def before(world: MoneyWorld) -> None:
        world.pool.mirror = False

    async def scene(world: MoneyWorld) -> None:
        world.mark(LABEL, "k", "rent")
        payouts(world, 25)
        world.daemons[1].money.missed = 500
        await asyncio.sleep(60.0)
        assert all(world.reconciler.may_read(one) and world.reconciler.may_sign(one) for one in world.pool.backends)

    world = play(scene, 2, before)
    assert world.daemons[0].ran("setlabel") == [["k", "rent"]]
    assert not world.daemons[1].ran("setlabel")
    assert not world.daemons[1].ran("payto")
    assert not world.events("backend.odd_balance")
