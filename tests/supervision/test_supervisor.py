"""Sick daemons are restarted the right way, and everybody else is left alone; fake daemons in virtual time."""

import asyncio
import re
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from pydantic import SecretStr

from gateway.base.care import Launcher as LauncherSettings
from gateway.base.errors import Failure, OrderError
from gateway.base.events import Event
from gateway.base.jsonrpc import Answer
from gateway.rules.lifecycle import Phase
from gateway.rules.patients import Act
from gateway.supervision import relief
from gateway.supervision.charts import Chart
from gateway.supervision.relief import see_relief
from gateway.upstream.launchers import Memory, Status
from tests.supervision.care_bench import CareBench, play

# -- restarts -------------------------------------------------------------------------------------------------------


def test_a_death_that_the_launcher_hears_of_is_acted_on_at_once() -> None:
    """No probe is waited for."""

    async def scene(bench: CareBench) -> None:
        await asyncio.sleep(0.3)
        at = bench.loop.time()
        bench.launchers[0].die()
        await asyncio.sleep(0.001)
        assert bench.backend().phase is Phase.EJECTED
        await bench.until_well()
        assert bench.when("restart.begun")[0] - at < 0.01
        assert bench.steps() == ["start", "answer", "load", "sync", "align"]

    play(scene)


def test_a_launcher_that_raises_where_nothing_is_waited_for_is_told_and_does_its_work() -> None:
    """A package may bring one whose `watch` fails: no wallet is without rooms for that."""

    async def scene(bench: CareBench) -> None:
        launcher = bench.launchers[0]

        def watch(_on_death: object) -> None:
            raise ZeroDivisionError("of theirs")

        launcher.watch = watch  # type: ignore[method-assign,assignment]  # as a package might
        await bench.begin_again()
        [event] = bench.told("launcher.failed")
        assert (event.backend, event.fields["order"]) == ("ec-1", "watch")
        assert "ZeroDivisionError: of theirs" in str(event.fields["error"])
        bench.daemons[0].freeze()
        await bench.until_well(200.0)
        assert launcher.did("kill") == 1

    play(scene)


def test_a_death_that_was_heard_late_hurts_nobody() -> None:
    """The probe that follows it is answered by the one that took its place."""

    async def scene(bench: CareBench) -> None:
        heard = bench.launchers[0].on_death
        assert heard is not None
        bench.launchers[0].die()
        await bench.until_well()
        from gateway.upstream.launchers import Death  # noqa: PLC0415 - the one place that needs it

        heard(Death("life-1"))
        await asyncio.sleep(0.2)
        assert bench.backend().phase.is_serving
        await asyncio.sleep(20.0)
        assert bench.launchers[0].did("kill") == 0
        assert len(bench.told("restart.begun")) == 1

    play(scene)


def test_an_engine_that_restarts_it_by_itself_is_let_do_so() -> None:
    """Its new process is taken as it is, and its wallet is loaded."""

    async def scene(bench: CareBench) -> None:
        bench.launchers[0].die()
        await bench.until_well()
        assert bench.launchers[0].did("kill") == 0
        assert bench.daemons[0].lives == 2
        assert bench.daemons[0].care.loads == 1

    play(scene, before=lambda bench: setattr(bench.launchers[0], "restarts_by_itself", True))


@pytest.mark.parametrize("is_fresh", [True, False])
def test_a_daemon_that_somebody_else_told_to_stop_is_let_save(*, is_fresh: bool) -> None:
    """It listens no more and still writes its wallet; it is started once it is gone, whenever it began."""

    async def scene(bench: CareBench) -> None:
        daemon, launcher = bench.daemons[0], bench.launchers[0]
        launcher.started_at = bench.clock() if is_fresh else 0.0
        daemon.turn_deaf()
        bench.loop.call_later(2.0, daemon.kill)
        await bench.until_well(30.0)
        assert (launcher.did("kill"), launcher.did("start"), daemon.lives) == (0, 1, 2)
        assert bench.steps() == ["wait", "start", "answer", "load", "sync", "align"]

    play(scene)


def test_a_daemon_that_listens_no_more_and_stays_is_killed() -> None:
    """It had the time to save its wallet."""

    async def scene(bench: CareBench) -> None:
        bench.daemons[0].turn_deaf()
        await bench.until_well(40.0)
        assert bench.launchers[0].did("kill") == 1
        assert bench.steps() == ["wait", "kill", "start", "answer", "load", "sync", "align"]
        assert bench.told("restart.step")[0].fields["reason"] == "not within 5 s"

    play(scene)


def test_one_that_somebody_else_started_and_that_takes_long_is_waited_for() -> None:
    """As long as a start may take; killed in the middle it would begin anew."""

    async def scene(bench: CareBench) -> None:
        daemon, launcher = bench.daemons[0], bench.launchers[0]
        launcher.started_at = bench.clock()
        daemon.turn_deaf()
        bench.loop.call_later(12.0, daemon._listen, daemon.lives)  # as at any start
        await bench.until_well(40.0)
        assert (launcher.did("kill"), launcher.did("start"), daemon.lives) == (0, 0, 1)
        assert bench.steps() == ["wait", "load", "sync", "align"]

    play(scene)


@pytest.mark.parametrize(
    ("skew", "has_instance"), [(-3600.0, True), (-20.0, True), (3600.0, True), (-3600.0, False), (3600.0, False)]
)
def test_no_clock_keeps_a_dead_daemon_from_its_cure(skew: float, *, has_instance: bool) -> None:
    """Its start may lie in the future, where the engine's clock is ahead or ours was set back."""

    async def scene(bench: CareBench) -> None:
        launcher = bench.launchers[0]
        if not has_instance:
            honest = launcher.status

            async def status() -> Status:
                return replace(await honest(), instance="")

            launcher.status = status  # type: ignore[method-assign]  # one that knows less
        launcher.started_at = bench.clock() + 40.0 + skew
        await asyncio.sleep(40.0)
        bench.daemons[0].turn_deaf()
        await bench.until_well(40.0)
        assert launcher.did("kill") == 1
        assert not bench.told("restart.failed")

    play(scene)


def test_one_that_somebody_else_started_is_waited_for_though_its_clock_is_ahead() -> None:
    """A new life that this gateway has just seen is fresh, whatever its clock says."""

    async def scene(bench: CareBench) -> None:
        daemon, launcher = bench.daemons[0], bench.launchers[0]
        await asyncio.sleep(40.0)
        daemon.lives, launcher.started_at = 2, bench.clock() + 3600.0
        daemon.turn_deaf()
        bench.loop.call_later(12.0, daemon._listen, daemon.lives)  # as at any start
        await bench.until_well(40.0)
        assert (launcher.did("kill"), daemon.lives) == (0, 2)

    play(scene)


def test_a_daemon_that_does_not_stop_is_killed() -> None:
    """After the time that it has for it."""

    async def scene(bench: CareBench) -> None:
        bench.daemons[0].stop_hangs = True
        bench.plant.restart("ec-1", "slow")
        await bench.until_well()
        assert [one.fields["took"] for one in bench.told("restart.step") if one.fields["step"] == "stop"] == [15.0]
        assert [one.verb for one in bench.launchers[0].deeds] == ["kill", "start"]

    play(scene)


def test_a_launcher_that_cannot_say_ends_it_in_its_own_soft_way() -> None:
    """After RPC `stop`, which has saved the wallet."""

    async def scene(bench: CareBench) -> None:
        bench.plant.restart("ec-1", "")
        await bench.until_well()
        assert [one.verb for one in bench.launchers[0].deeds] == ["stop", "start"]
        assert bench.daemons[0].journal[-1] is not None
        assert "stop" in [method for _, method, _ in bench.daemons[0].journal]
        assert not any(one.was_saving for one in bench.launchers[0].deeds)

    def before(bench: CareBench) -> None:
        bench.launchers[0].is_blind = True
        # as measured: it answers, is silent, closes its port, and is gone later still
        bench.daemons[0].stops_within, bench.daemons[0].goes_on = 1.9, 1.0

    play(scene, before=before)


def test_a_launcher_that_cannot_say_kills_what_never_leaves() -> None:
    """Its port stays open for as long as it may take to stop."""

    async def scene(bench: CareBench) -> None:
        bench.daemons[0].stop_hangs = True
        bench.plant.restart("ec-1", "")
        await bench.until_well()
        assert [one.verb for one in bench.launchers[0].deeds] == ["kill", "start"]

    play(scene, before=lambda bench: setattr(bench.launchers[0], "is_blind", True))


@pytest.mark.parametrize("blind", [False, True])
def test_one_that_somebody_else_has_told_to_stop_saves_first(*, blind: bool) -> None:
    """It accepts and is silent meanwhile, as a wedged one is; with nothing of ours inside there is that much time."""

    async def scene(bench: CareBench) -> None:
        bench.daemons[0].stops_within = 3.5
        bench.daemons[0].care.on_stop()
        at = bench.loop.time()
        await bench.until(lambda: bool(bench.told("restart.begun")), 5.0)
        await bench.until_well()
        assert not any(one.was_saving for one in bench.launchers[0].deeds)
        assert bench.when("restart.done")[0] - at < 5.0 + bench.daemons[0].starts_within

    play(scene, before=lambda bench: setattr(bench.launchers[0], "is_blind", blind))


def test_a_wedge_that_goes_before_it_is_ended_ends_nothing() -> None:
    """The guest leaves in the moment in which it is waited for."""

    async def scene(bench: CareBench) -> None:
        bench.daemons[0].wedge()
        await bench.until(lambda: bool(bench.told("restart.begun")), 5.0)
        bench.daemons[0].unwedge()
        await bench.until_well()
        assert not bench.launchers[0].deeds

    play(scene, daemons=1)


def test_a_wedge_costs_five_seconds_and_the_start() -> None:
    """Also where it was waited for, because it might have been saving its wallet."""

    async def scene(bench: CareBench) -> None:
        # the worst moment: a probe was answered just now
        at = bench.loop.time()
        bench.daemons[0].wedge()
        await bench.until(lambda: bench.launchers[0].did("start") == 1, 20.0)
        await bench.until(lambda: bench.backend().phase.is_serving, 10.0)
        assert bench.loop.time() - at < 5.0 + bench.daemons[0].starts_within

    play(scene, daemons=1)


def test_an_ordered_restart_finishes_the_calls_first() -> None:
    """Nothing is cut short that has time, however short the time to drain is; and none comes after it."""

    async def scene(bench: CareBench) -> None:
        bench.daemons[0].service = lambda method: 20.0 if method == "gettransaction" else 0.0003
        call = bench.ask("gettransaction", 30.0)
        await asyncio.sleep(0.5)
        assert "restarted" in bench.plant.restart("ec-1", "")
        await asyncio.sleep(0.5)
        assert bench.backend().phase is Phase.DRAINING
        assert bench.status()["step"] == "drain"
        assert isinstance(await call, Answer)
        await bench.until_well()
        assert bench.launchers[0].did("kill") == 0

    play(scene, daemons=1, restart={"drain_timeout": 2.0})


def test_calls_wait_for_a_daemon_that_is_being_restarted() -> None:
    """With one daemon there is nobody else; the balance is told a second later."""

    async def scene(bench: CareBench) -> None:
        bench.launchers[0].die()
        assert isinstance(await bench.ask("getbalance"), Answer)
        bench.plant.restart("ec-1", "")
        await asyncio.sleep(0.2)
        assert isinstance(await bench.ask("getbalance"), Answer)

    play(scene, daemons=1)


def test_calls_do_not_wait_for_one_that_is_held() -> None:
    """Nobody restarts it, so they are refused at once."""

    async def scene(bench: CareBench) -> None:
        await bench.plant.hold("ec-1")
        bench.launchers[0].die()
        at = bench.loop.time()
        assert isinstance(await bench.ask("getbalance"), Failure)
        assert bench.loop.time() - at < 0.5
        await bench.plant.release("ec-1")
        await bench.until_well()

    play(scene, daemons=1)


def test_a_paused_daemon_whose_restart_was_ordered_goes_on_to_save_and_gets_a_new_process() -> None:
    """Whoever orders a restart wants a new process, and the old one can save only while it runs."""

    async def scene(bench: CareBench) -> None:
        await asyncio.sleep(0.3)
        lives = bench.daemons[0].lives
        bench.launchers[0].pause()
        assert "restarted" in bench.plant.restart("ec-1", "a new version")
        await bench.until_well()
        assert bench.daemons[0].lives == lives + 1
        assert bench.steps()[:4] == ["drain", "resume", "stop", "start"], bench.steps()
        assert bench.launchers[0].did("kill") == 0

    play(scene)


def test_four_orders_make_one_restart() -> None:
    """Whoever gives the later ones is told so."""

    async def scene(bench: CareBench) -> None:
        told = [bench.plant.restart("ec-1", "a new version") for _ in range(4)]
        assert told[0] == "ec-1 is restarted now"
        assert all(text.startswith("ec-1 is being restarted already") for text in told[1:])
        await bench.until_well()
        assert len(bench.told("restart.begun")) == 1
        assert bench.daemons[0].lives == 2

    play(scene)


def test_an_order_waits_for_the_restart_of_another_one() -> None:
    """One at a time; what it waits for is said."""

    async def scene(bench: CareBench) -> None:
        bench.plant.restart("ec-1", "")
        told = bench.plant.restart("ec-2", "disk is full")
        assert told == "ec-2 will be restarted as soon as that is possible (disk is full; ec-1 is being restarted)"
        assert bench.plant.restart("ec-2", "").endswith("as was ordered before")
        await bench.until(lambda: len(bench.told("restart.done")) == 2)
        assert bench.when("restart.begun")[1] >= bench.when("restart.done")[0]

    play(scene)


def test_another_one_is_made_primary_before_the_primary_is_stopped() -> None:
    """With a ledger; no promotion is needed because of an illness, and the old one comes back as a standby."""

    async def scene(bench: CareBench) -> None:
        await asyncio.sleep(3.0)
        assert bench.plant.money is not None
        # these daemons have no change addresses to compare
        bench.plant.money.rooms.election.may_sign = lambda _backend: True
        bench.plant.restart("ec-1", "")
        await bench.until_well()
        assert bench.plant.pool.primary.name == "ec-2"
        assert bench.steps()[:2] == ["promote", "drain"]
        names = bench.recorder.names()
        assert names.index("primary.promoted") < names.index("backend.draining")

    play(scene, ledger=True)


@pytest.mark.long
def test_a_chain_that_is_silent_for_all_does_not_keep_a_loaded_wallet_out_of_service() -> None:
    """Nobody is better, so it serves as it did before."""

    async def scene(bench: CareBench) -> None:
        for daemon in bench.daemons:
            daemon.care.connected = False
        await asyncio.sleep(2.0)
        bench.launchers[0].die()
        await bench.until(lambda: bool(bench.told("restart.done")), 90.0)
        (done,) = bench.told("restart.done")
        assert done.fields["synced"] is False
        assert float(str(done.fields["took"])) < 70.0
        assert bench.backend().phase.is_serving
        await asyncio.sleep(600.0)
        assert len(bench.told("restart.begun")) == 1

    play(scene, daemons=1)


# -- what goes wrong ------------------------------------------------------------------------------------------------


@pytest.mark.simulation
def test_a_launcher_that_fails_is_told_and_tried_less_and_less_often() -> None:
    """Back-off, then FAILED and a try now and then; the others go on; and it heals when it can."""

    async def scene(bench: CareBench) -> None:
        bench.daemons[0].stays_dead = True
        bench.daemons[0].kill()
        await asyncio.sleep(1000.0)
        assert bench.backend().phase is Phase.FAILED
        assert bench.backend(1).phase is Phase.READY
        begun = bench.when("restart.begun")
        assert len(begun) == 8
        ended = bench.when("restart.failed")
        gaps = [round(after - before) for before, after in zip(ended, begun[1:], strict=False)]
        assert gaps[:5] == [10, 20, 40, 80, 160]
        assert [begun[7] - begun[6], begun[6] - begun[5]] == pytest.approx([300, 300], abs=1)
        assert [one.level for one in bench.told("backend.failed")] == ["error"] * 3
        assert bench.status()["next_try"] is not None
        bench.daemons[0].stays_dead = False
        await bench.until_well(400.0)
        assert bench.status()["restarts_in_a_row"] > 0
        await asyncio.sleep(601.0)
        assert bench.status()["restarts_in_a_row"] == 0

    play(scene, restart={"failed_retry": 300.0})


def test_nothing_is_stopped_while_its_launcher_cannot_start_it_again() -> None:
    """An order then is called off, and the daemon goes on serving."""

    async def scene(bench: CareBench) -> None:
        bench.launchers[0].fails = True
        bench.plant.restart("ec-1", "")
        await asyncio.sleep(1.0)
        (failed,) = bench.told("restart.failed")
        assert "no such container" in str(failed.fields["reason"])
        assert bench.backend().phase is Phase.READY
        assert bench.daemons[0].lives == 1

    play(scene)


def test_an_order_that_failed_before_anything_was_stopped_is_told_to_who_follows_it() -> None:
    """The order is over, and no word of a command's is in what every client may ask for."""

    async def scene(bench: CareBench) -> None:
        launcher = bench.launchers[0]
        assert bench.status()["failure"] is None
        launcher.fails, launcher.complains = True, "start ended with code 1: it said «hunter2»"
        bench.plant.restart("ec-1", "")
        await asyncio.sleep(2.0)
        launcher.fails = False
        found = bench.status()
        assert (found["ordered"], found["phase"]) == ("", "READY")
        assert found["failure"]["step"] == "look"
        assert found["failure"]["reason"] == "start ended with code 1: it said «see the log»"
        assert 1.5 < found["failure"]["seconds_ago"] <= 2.0
        (failed,) = bench.told("restart.failed")
        assert failed.fields["serves_on"] is True
        bench.plant.restart("ec-1", "")
        await bench.until_well()
        assert bench.status()["failure"] is None

    play(scene)


def test_a_dead_daemon_whose_restart_fails_does_not_serve_on() -> None:
    """The alert stays until it does."""

    async def scene(bench: CareBench) -> None:
        bench.launchers[0].fails = True
        bench.daemons[0].kill()
        await bench.until(lambda: bool(bench.told("restart.failed")))
        assert "serves_on" not in bench.told("restart.failed")[0].fields

    play(scene)


def test_a_launcher_that_never_answers_holds_up_its_own_daemon_alone() -> None:
    """Bounded by its time-out; another one that dies meanwhile is next."""

    async def scene(bench: CareBench) -> None:
        bench.launchers[0].hangs = True
        bench.launchers[0].die()
        await asyncio.sleep(1.0)
        bench.launchers[1].die()
        await bench.until(lambda: bool(bench.told("backend.warming")), 40.0)
        assert bench.told("backend.warming")[0].backend == "ec-2"
        (failed, *_) = bench.told("restart.failed")
        assert "does not answer" in str(failed.fields["reason"])

    play(scene)


def test_a_launcher_that_cannot_tell_for_a_moment_spoils_nothing() -> None:
    """It is asked on while the daemon saves, as long as that may take; and while the new one comes up."""

    async def scene(bench: CareBench) -> None:
        launcher = bench.launchers[0]
        bench.daemons[0].stops_within = 2.0
        bench.plant.restart("ec-1", "")
        await bench.until(lambda: bench.daemons[0].is_told_to_stop)
        launcher.fails = True
        await asyncio.sleep(1.0)
        launcher.fails = False
        await bench.until_well()
        assert [one.verb for one in launcher.deeds] == ["start"]
        assert not bench.told("restart.failed")

    play(scene)


@pytest.mark.long
def test_what_a_person_must_change_first_fails_at_once_and_is_tried_soon() -> None:
    """Not after minutes: it is found as soon as it was changed."""

    async def scene(bench: CareBench) -> None:
        launcher = bench.launchers[0]
        launcher.fails, launcher.may_pass = True, False
        bench.daemons[0].kill()
        await asyncio.sleep(900.0)
        assert bench.backend().phase is not Phase.FAILED
        begun = bench.when("restart.begun")
        assert max(after - before for before, after in pairwise(begun)) < 11.0
        launcher.fails = False
        await bench.until_well(20.0)

    play(scene)


@pytest.mark.simulation
def test_a_launcher_that_was_away_costs_nothing_but_its_absence() -> None:
    """Nothing that it spoilt counts into the cap, and the pauses are forgiven as soon as it answers."""

    async def scene(bench: CareBench) -> None:
        bench.launchers[0].fails = True
        bench.daemons[0].kill()
        await asyncio.sleep(1800.0)
        assert bench.status()["restarts_in_a_row"] > 6
        assert bench.backend().phase is not Phase.FAILED
        bench.launchers[0].fails = False
        await bench.until(lambda: bench.launchers[0].did("start") == 1, 2.0)
        await bench.until_well(20.0)

    play(scene)


def test_orders_do_not_count_into_the_cap() -> None:
    """Whoever ordered six of them has not made the daemon worse."""

    async def scene(bench: CareBench) -> None:
        for _ in range(7):
            bench.plant.restart("ec-1", "")
            await bench.until_well()
        bench.daemons[0].kill()
        await bench.until(lambda: bool(bench.told("backend.ejected")))
        await bench.until_well(15.0)
        assert not bench.told("backend.failed")

    play(scene)


@pytest.mark.parametrize("fresh", [False, True])
def test_no_second_daemon_is_started_beside_one_that_its_launcher_does_not_know(*, fresh: bool) -> None:
    """By an order, when it is wedged, and when the gateway begins; a person is told to end it by hand."""

    async def scene(bench: CareBench) -> None:
        bench.launchers[0].is_lost = True
        if fresh:
            await bench.begin_again()
        await asyncio.sleep(15.0)
        assert not bench.told("restart.begun")
        bench.plant.restart("ec-1", "")
        await bench.until(lambda: bool(bench.told("restart.failed")))
        assert "end it by hand" in str(bench.told("restart.failed")[0].fields["reason"])
        assert bench.backend().phase.is_serving
        bench.daemons[0].wedge()
        await asyncio.sleep(60.0)
        assert not bench.launchers[0].deeds
        bench.daemons[0].kill()
        await bench.until(lambda: bench.launchers[0].did("start") > 0, 400.0)

    play(scene)


@pytest.mark.parametrize("fails", [False, True])
def test_a_wedged_one_whose_queue_is_full_is_ended_though_its_launcher_takes_it_for_gone(*, fails: bool) -> None:
    """No connection comes about, as where nobody is; started at once, a second one would have the same wallet."""

    async def scene(bench: CareBench) -> None:
        await asyncio.sleep(1.0)
        launcher, daemon = bench.launchers[0], bench.daemons[0]
        daemon.freeze()
        daemon.is_full = launcher.is_lost = True
        if fails:
            # it is gone indeed, and its host answers nothing
            daemon.kill()
            daemon.refusal, launcher.kill_needs_one = "connect_timeout", True
        await bench.until(lambda: launcher.did("start") > 0)
        assert [one.verb for one in launcher.deeds][:2] == ["kill", "start"]
        assert launcher.seconds == 0
        launcher.is_lost = False
        await bench.until_well()

    play(scene)


def test_one_that_its_launcher_takes_for_gone_and_then_does_not_is_not_ended() -> None:
    """Nobody finds the way to it, and its status command did not either; it is well."""

    async def scene(bench: CareBench) -> None:
        await asyncio.sleep(1.0)
        launcher, daemon = bench.launchers[0], bench.daemons[0]
        launcher.is_lost = daemon.is_cut = True

        def begun(event: Event) -> None:
            if event.name == "restart.begun":
                launcher.is_lost = False

        bench.recorder.heard.append(begun)
        await bench.until(lambda: bool(bench.told("restart.failed")))
        assert "says now that it runs" in str(bench.told("restart.failed")[0].fields["reason"])
        await asyncio.sleep(20.0)
        assert not launcher.deeds
        daemon.is_cut = False
        await bench.until_well()
        assert daemon.lives == 1

    play(scene)


def test_one_whose_launcher_was_mute_and_cannot_say_is_not_ended_for_a_way_that_is_gone() -> None:
    """It was not known that it cannot; of such a one less is done, and later."""

    async def scene(bench: CareBench) -> None:
        await asyncio.sleep(1.0)
        launcher = bench.launchers[0]
        launcher.hangs = launcher.is_blind = bench.daemons[0].is_cut = True
        await asyncio.sleep(70.0)
        launcher.hangs = False
        await asyncio.sleep(60.0)
        bench.daemons[0].is_cut = False
        await bench.until_well(400.0)
        assert launcher.did("kill") == 0
        assert bench.daemons[0].lives == 1

    play(scene)


def test_where_nobody_listens_a_kill_that_fails_keeps_nobody_from_being_started() -> None:
    """Commands without a status: `pkill` and the like fail where there is no process."""

    async def scene(bench: CareBench) -> None:
        await asyncio.sleep(1.0)
        bench.daemons[0].kill()
        await bench.until(lambda: bench.launchers[0].did("start") > 0)
        await bench.until_well()
        assert [one.verb for one in bench.launchers[0].deeds] == ["kill", "start"]
        assert not bench.told("restart.failed")
        # of one that may be there it is an error as ever
        bench.daemons[0].freeze()
        bench.launchers[0].kill_needs_one = False
        bench.launchers[0].fails = True
        await bench.until(lambda: bool(bench.told("restart.failed")))

    def before(bench: CareBench) -> None:
        bench.launchers[0].is_blind = bench.launchers[0].kill_needs_one = True

    play(scene, daemons=1, before=before)


def test_a_host_name_that_nobody_knows_is_a_death_where_the_launcher_cannot_say() -> None:
    """The name of a container goes with it."""

    async def scene(bench: CareBench) -> None:
        await asyncio.sleep(1.0)
        bench.daemons[0].refusal = "resolve"
        bench.daemons[0].kill()
        await bench.until(lambda: bench.launchers[0].did("start") == 1, 20.0)
        await bench.until_well()
        assert bench.launchers[0].did("kill") == 0

    play(scene, daemons=1, before=lambda bench: setattr(bench.launchers[0], "is_blind", True))


@pytest.mark.long
@pytest.mark.parametrize("blind", [True, False])
@pytest.mark.parametrize("seconds", [1.5, 30.0, 600.0])
def test_daemons_that_nobody_finds_the_way_to_are_ended_by_nobody(seconds: float, *, blind: bool) -> None:
    """A name server or a network was away: they are well, and go on as they are."""

    async def scene(bench: CareBench) -> None:
        await asyncio.sleep(1.0)
        for daemon in bench.daemons:
            daemon.is_cut = True
        await asyncio.sleep(seconds)
        for daemon in bench.daemons:
            daemon.is_cut = False
        await bench.until_well()
        assert [daemon.lives for daemon in bench.daemons] == [1, 1, 1]
        assert not any(one.verb != "start" for launcher in bench.launchers for one in launcher.deeds)
        assert bool(bench.launchers[0].deeds) is (blind and seconds > 10.0)

    def before(bench: CareBench) -> None:
        for launcher in bench.launchers:
            launcher.is_blind = blind

    play(scene, daemons=3, before=before)


@pytest.mark.parametrize("blind", [True, False])
def test_who_is_found_again_last_is_not_ended_as_the_only_one_that_is_lost(*, blind: bool) -> None:
    """The way to all was away for minutes, to one of them for half a minute more; a minute alone is another thing."""

    async def scene(bench: CareBench) -> None:
        last, *others = bench.daemons
        for daemon in bench.daemons:
            daemon.is_cut = True
        await asyncio.sleep(200.0)
        for daemon in others:
            daemon.is_cut = False
        await asyncio.sleep(30.0)
        assert not any(one.verb != "start" for launcher in bench.launchers for one in launcher.deeds)
        assert last.lives == 1
        await asyncio.sleep(60.0)
        assert [one.verb for one in bench.launchers[0].deeds if one.verb != "start"] == ["kill"]
        last.is_cut = False
        await bench.until_well()

    def before(bench: CareBench) -> None:
        for launcher in bench.launchers:
            launcher.is_blind = blind

    play(scene, daemons=3, before=before)


@pytest.mark.long
def test_a_single_one_that_cannot_be_reached_is_ended_once_when_a_start_did_not_help() -> None:
    """Once in that illness, a minute after it began; what follows are starts."""

    async def scene(bench: CareBench) -> None:
        at = bench.loop.time()
        bench.daemons[0].is_cut = True
        await asyncio.sleep(600.0)
        (kill,) = [one.at for one in bench.launchers[0].deeds if one.verb == "kill"]
        assert kill - at > 60.0
        assert [one.verb for one in bench.launchers[0].deeds][-2:] == ["start", "start"]
        bench.daemons[0].is_cut = False
        await bench.until_well(400.0)
        assert bench.plant.supervisor.charts["ec-1"].tried is None

    play(scene, daemons=1, before=lambda bench: setattr(bench.launchers[0], "is_blind", True))


def test_whose_start_would_end_what_runs_is_not_started_beside_others_that_are_away() -> None:
    """Its launcher says so of itself."""

    async def scene(bench: CareBench) -> None:
        for daemon in bench.daemons:
            daemon.is_cut = True
        await asyncio.sleep(100.0)
        assert not bench.launchers[0].deeds
        assert "nor can ec-2, and the cause is elsewhere" in bench.status()["care"]

    def before(bench: CareBench) -> None:
        for launcher in bench.launchers:
            launcher.is_blind = launcher.start_ends = True

    play(scene, before=before)


@pytest.mark.parametrize("daemons", [1, 2])
@pytest.mark.parametrize("blind", [True, False])
def test_one_that_wedges_while_nobody_finds_the_way_to_it_is_cured(daemons: int, *, blind: bool) -> None:
    """Only an answer shows that the way is there again, and it gives none."""

    async def scene(bench: CareBench) -> None:
        for daemon in bench.daemons:
            daemon.is_cut = True
        await asyncio.sleep(5.0)
        for daemon in bench.daemons:
            daemon.wedge()
            daemon.is_cut = False
        await bench.until_well(90.0)

    def before(bench: CareBench) -> None:
        for launcher in bench.launchers:
            launcher.is_blind = blind

    play(scene, daemons=daemons, before=before)


def test_one_that_works_on_a_call_is_not_wedged_because_nobody_finds_the_way_to_it() -> None:
    """The answer to its probe comes behind that of the call; and a moment is left for it."""

    async def scene(bench: CareBench) -> None:
        bench.daemons[0].service = lambda method: 20.0 if method == "gettransaction" else 0.0003
        call = bench.ask("gettransaction", 30.0)
        await asyncio.sleep(3.0)
        bench.daemons[0].is_cut = True
        # the probe from before is reset, and finds no way
        bench.plant.pool.refused(bench.backend(), bench.loop.time(), "resolve")
        exchange = bench.plant.prober._pending[bench.backend()].exchange
        assert exchange is not None
        exchange.abort()
        await asyncio.sleep(1.5)
        bench.daemons[0].is_cut = False
        assert isinstance(await call, Answer)
        # the call is over, and the answer to the probe is on its way
        assert bench.backend().refused_since is not None
        bench.plant.supervisor.look()
        await bench.until_well()
        assert not bench.launchers[0].deeds

    play(scene, daemons=1)


def test_a_hold_during_a_restart_says_what_it_does_not_hold() -> None:
    """The one under way goes on."""

    async def scene(bench: CareBench) -> None:
        bench.plant.restart("ec-1", "")
        told = await bench.plant.hold("ec-1")
        assert told.startswith("ec-1 is held: nothing restarts it after the one under way until it is released")
        await bench.until_well()
        assert "after the one" not in await bench.plant.hold("ec-1")

    play(scene)


@pytest.mark.parametrize("within", [1.5, 0.1])
def test_a_daemon_that_ends_again_at_each_start_is_not_waited_for(within: float) -> None:
    """Where its launcher says so, before the time for the start is over, however short its life was."""

    async def scene(bench: CareBench) -> None:
        bench.daemons[0].starts_within = within
        bench.daemons[0].stays_dead = True
        bench.daemons[0].kill()
        await bench.until(lambda: bool(bench.told("restart.failed")), 20.0)
        (failed,) = bench.told("restart.failed")
        assert "it ended again (exit code 0)" in str(failed.fields["reason"])

    play(scene)


def test_a_wrong_wallet_password_is_told_with_the_setting_and_not_tried_each_second() -> None:
    """Nor is the daemon restarted for it, and no word of it is in any event."""

    async def scene(bench: CareBench) -> None:
        bench.daemons[0].care.is_loaded = False
        await asyncio.sleep(100.0)
        told = bench.told("wallet.not_loaded")
        assert len(told) == 2
        assert "wallets.main.backends.ec-1.wallet_password is not the password" in str(told[0].fields["reason"])
        assert not bench.told("restart.begun")
        assert "wrong-one" not in repr(bench.recorder.events)
        bench.daemons[0].care.wants_password = "wrong-one"
        await bench.until_well(200.0)

    def before(bench: CareBench) -> None:
        bench.daemons[0].care.wants_password = "right-one"

    play(scene, before=before, password="wrong-one")


def test_a_password_that_was_mended_is_tried_at_once() -> None:
    """Whoever reloads the gateway with it does not wait for the next try; other settings hurry nothing."""

    async def scene(bench: CareBench) -> None:
        bench.daemons[0].care.is_loaded = False
        await asyncio.sleep(40.0)
        assert len(bench.told("wallet.not_loaded")) == 1
        bench.reload(slots=7)
        await asyncio.sleep(1.0)
        assert not bench.told("wallet.loaded")
        bench.reload(wallet_password=SecretStr("right-one"))
        await asyncio.sleep(1.0)
        assert len(bench.told("wallet.loaded")) == 1

    def before(bench: CareBench) -> None:
        bench.daemons[0].care.wants_password = "right-one"

    play(scene, before=before, password="wrong-one")


def test_a_wallet_with_a_password_is_loaded_with_it_after_a_restart() -> None:
    """By the way that takes one, and with the path of the wallet."""

    async def scene(bench: CareBench) -> None:
        bench.launchers[0].die()
        await bench.until_well()
        ((_, _, params),) = [row for row in bench.daemons[0].journal if row[1] == "daemon"]
        expected = {"subcommand": "load_wallet", "cwd": "/", "wallet_path": "wallet", "password": "right-one"}
        assert params == [expected]

    def before(bench: CareBench) -> None:
        bench.daemons[0].care.wants_password = "right-one"

    play(scene, before=before, password="right-one")


def test_a_missing_password_is_told_with_the_setting() -> None:
    """Whoever did not know that the wallet has one."""

    async def scene(bench: CareBench) -> None:
        bench.daemons[0].care.is_loaded = False
        await asyncio.sleep(1.0)
        assert "wallet_password is not set" in str(bench.told("wallet.not_loaded")[0].fields["reason"])

    play(scene, before=lambda bench: setattr(bench.daemons[0].care, "wants_password", "some"))


# -- unloaded and adrift --------------------------------------------------------------------------------------------


def test_a_wallet_that_is_not_loaded_is_loaded_without_a_restart() -> None:
    """Also where nobody could restart the daemon."""

    async def scene(bench: CareBench) -> None:
        for daemon in bench.daemons:
            daemon.kill()
            daemon.start()
        await asyncio.sleep(2.0)
        await bench.until_well()
        assert [daemon.lives for daemon in bench.daemons] == [2, 2]
        assert len(bench.told("wallet.loaded")) == 2

    play(scene, launchers=False)


def test_one_that_is_adrift_is_reloaded_and_then_restarted() -> None:
    """Alone."""

    async def scene(bench: CareBench) -> None:
        bench.daemons[0].care.connected = False
        await asyncio.sleep(30.0)
        assert len(bench.told("backend.reloaded")) == 1
        assert not bench.told("restart.begun")
        await bench.until(lambda: bool(bench.told("restart.begun")), 60.0)
        assert bench.told("restart.begun")[0].fields["cause"] == "adrift"

    play(scene)


def test_one_that_drifts_back_and_forth_is_not_closed_and_loaded_all_night() -> None:
    """A reload that helped for a moment has not helped; after health that lasts it may be tried again."""

    async def scene(bench: CareBench) -> None:
        await asyncio.sleep(1.0)
        care = bench.daemons[0].care
        for _ in range(10):
            care.connected = False
            await asyncio.sleep(14.0)
            care.connected = True
            await asyncio.sleep(5.0)
        assert len(bench.told("backend.reloaded")) == 1
        assert not bench.told("restart.begun")
        await asyncio.sleep(700.0)
        care.connected = False
        await bench.until(lambda: len(bench.told("backend.reloaded")) == 2, 30.0)

    play(scene, daemons=2)


def test_a_reload_that_helps_is_all() -> None:
    """The wallet hears of its chain again."""

    async def scene(bench: CareBench) -> None:
        care = bench.daemons[0].care
        care.connected = False
        honest = care._load

        def load(password: str) -> object:
            care.connected = True
            return honest(password)

        care._load = load  # type: ignore[method-assign]  # this wallet finds its chain when it is loaded
        await bench.until_well()
        assert len(bench.told("backend.reloaded")) == 1
        await asyncio.sleep(100.0)
        assert not bench.told("restart.begun")

    play(scene)


# -- new settings ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"launcher": LauncherSettings(kind="fake", timeout=4.0)},
        {"wallet_password": SecretStr("other")},
        {"wallet_file": "/other"},
    ],
)
def test_how_a_daemon_is_started_is_no_part_of_its_calls(changes: dict[str, Any]) -> None:
    """A call under way is finished before a restart that is ordered after such a change."""

    async def scene(bench: CareBench) -> None:
        bench.daemons[0].service = lambda method: 20.0 if method == "gettransaction" else 0.0003
        before, call = bench.backend(), bench.ask("gettransaction", 30.0)
        await asyncio.sleep(0.5)
        bench.reload(**changes)
        bench.daemons[0].care.wants_password = "other" if "wallet_password" in changes else ""
        assert bench.backend() is before
        bench.plant.restart("ec-1", "")
        assert isinstance(await call, Answer)
        await bench.until(lambda: bool(bench.told("restart.done")))

    play(scene, daemons=1)


def test_a_backend_that_is_made_anew_may_be_working_for_the_one_before() -> None:
    """An order waits until it is heard of, or until no call can run there any more."""

    async def scene(bench: CareBench) -> None:
        await asyncio.sleep(40.0)
        bench.daemons[0].service = lambda method: 20.0 if method == "gettransaction" else 0.0003
        call = bench.ask("gettransaction", 30.0)
        await asyncio.sleep(0.5)
        bench.reload(slots=7)
        told = bench.plant.restart("ec-1", "")
        assert "it may be working on a call" in told
        assert isinstance(await call, Answer)
        await bench.until(lambda: bool(bench.told("restart.done")))
        assert all(one.works_on is None for one in bench.launchers[0].deeds)

    play(scene, daemons=1)


@pytest.mark.parametrize("changes", [{}, {"launcher": LauncherSettings(kind="fake", timeout=4.0)}])
def test_a_daemon_that_goes_with_its_launcher_saves_before_a_reload_closes_it(changes: dict[str, Any]) -> None:
    """Whether its backend is removed or is given another launcher."""

    async def scene(bench: CareBench) -> None:
        launcher, daemon = bench.launchers[0], bench.daemons[0]
        launcher.takes_along = True
        bench.reload(**changes)
        await bench.until(lambda: launcher.is_closed)
        assert "stop" in [method for _, method, _ in daemon.journal]
        assert launcher.closed_beside_process is False
        assert len(bench.told("backend.stopped")) == 1

    play(scene)


def test_a_daemon_that_goes_with_its_launcher_saves_before_its_wallet_is_removed() -> None:
    """The plant is stopped then, and nobody has told it to save."""

    async def scene(bench: CareBench) -> None:
        bench.launchers[0].takes_along = True
        await bench.plant.stop()
        assert bench.launchers[0].closed_beside_process is False
        assert bench.launchers[1].closed_beside_process is True

    play(scene)


def test_a_restart_whose_launcher_is_changed_begins_anew() -> None:
    """With the new one."""

    async def scene(bench: CareBench) -> None:
        bench.daemons[0].starts_within = 3.0
        bench.daemons[0].kill()
        await bench.until(lambda: bench.launchers[0].did("start") == 1)
        bench.reload(launcher=LauncherSettings(kind="fake", timeout=4.0))
        await bench.until(lambda: bool(bench.told("restart.failed")), 1.0)
        assert "settings were changed" in str(bench.told("restart.failed")[0].fields["reason"])
        await bench.until_well()

    play(scene)


# -- dry run --------------------------------------------------------------------------------------------------------


def test_a_dry_run_tells_once_and_does_nothing() -> None:
    """And counts; a second illness is told again."""

    async def scene(bench: CareBench) -> None:
        bench.daemons[0].kill()
        await asyncio.sleep(60.0)
        (told,) = bench.told("restart.would_be")
        assert (told.fields["act"], told.fields["cause"]) == ("restart", "dead")
        assert bench.launchers[0].deeds == []
        assert bench.plant.supervisor.counts["ec-1", "dead", "dry"] == 1
        assert isinstance(await bench.ask("listcontacts"), Failure)
        with pytest.raises(OrderError, match=r"restart\.enforce is false"):
            bench.plant.restart("ec-1", "")
        bench.daemons[0].start()
        bench.daemons[0].care.is_loaded = True
        await bench.until_well()
        bench.daemons[0].kill()
        await asyncio.sleep(5.0)
        assert len(bench.told("restart.would_be")) == 2

    play(scene, restart={"enforce": False})


def test_a_dry_run_tells_of_each_that_would_be_restarted() -> None:
    """One after the other, were it in earnest; so nobody's turn ever comes."""

    async def scene(bench: CareBench) -> None:
        for daemon in bench.daemons:
            daemon.kill()
        await asyncio.sleep(60.0)
        told = bench.told("restart.would_be")
        assert sorted(one.backend for one in told) == ["ec-1", "ec-2", "ec-3"]
        assert {one.fields["act"] for one in told} == {"restart"}
        assert not any(launcher.deeds for launcher in bench.launchers)

    play(scene, daemons=3, restart={"enforce": False})


def test_an_order_that_waits_is_over_where_restarts_are_switched_off() -> None:
    """It was for then, and not for whenever they are switched on."""

    async def scene(bench: CareBench) -> None:
        bench.daemons[1].starts_within = 20.0
        bench.plant.restart("ec-2", "")
        await asyncio.sleep(1.0)
        assert "will be restarted" in bench.plant.restart("ec-1", "")
        for enforce in (False, True):
            restart = bench.settings.restart.model_copy(update={"enforce": enforce})
            bench.settings = bench.settings.model_copy(update={"restart": restart})
            bench.plant.update(bench.settings, {one.name: one.target for one in bench.daemons})  # type: ignore[misc]  # fakes
            await asyncio.sleep(1.0)
        assert bench.status()["ordered"] == ""
        await bench.until_well()
        assert bench.daemons[0].lives == 1

    play(scene)


# -- orders ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ledger", [True, False])
def test_holds_and_drains_outlast_the_gateway_where_there_is_a_ledger(*, ledger: bool) -> None:
    """Where there is none, whoever orders is told so."""

    async def scene(bench: CareBench) -> None:
        await asyncio.sleep(3.0)
        told = [await bench.plant.hold("ec-1"), await bench.plant.drain("ec-2"), await bench.plant.drain("ec-2")]
        assert all(("forgotten" in text) is not ledger for text in told)
        assert not bench.backend(1).takes_calls
        await bench.begin_again()
        await asyncio.sleep(3.0)
        assert [bench.status(n)["held"] for n in (0, 1)] == [ledger, False]
        assert [bench.status(n)["drained"] for n in (0, 1)] == [False, ledger]
        assert bench.backend(1).takes_calls is not ledger
        for order in (bench.plant.release("ec-1"), bench.plant.undrain("ec-2")):
            await order
        assert bench.backend(1).takes_calls
        await bench.begin_again()
        await asyncio.sleep(3.0)
        assert bench.backend(1).takes_calls
        assert not bench.status()["held"]

    play(scene, ledger=ledger)


def test_orders_that_make_no_sense_are_refused_with_the_way_out() -> None:
    """Who is meant, and what is missing."""

    async def scene(bench: CareBench) -> None:
        with pytest.raises(OrderError, match="there is no backend ec-9; there are ec-1, ec-2"):
            await bench.plant.hold("ec-9")
        await bench.plant.hold("ec-1")
        with pytest.raises(OrderError, match="release it first"):
            bench.plant.restart("ec-1", "")
        bench.plant.supervisor.launchers.pop("ec-2")
        with pytest.raises(OrderError, match=re.escape("give it one (wallets.main.backends.ec-2.launcher)")):
            bench.plant.restart("ec-2", "")

    play(scene)


def test_a_drained_daemon_finishes_what_it_has() -> None:
    """And gets nothing more until it is undrained; nothing restarts it meanwhile."""

    async def scene(bench: CareBench) -> None:
        for daemon in bench.daemons:
            daemon.service = lambda method: 0.5 if method == "validateaddress" else 0.0003
        call = bench.ask("validateaddress")
        await asyncio.sleep(0.1)
        busy = next(n for n in (0, 1) if bench.backend(n).occupants)
        name = bench.backend(busy).name
        assert "1 are under way" in await bench.plant.drain(name)
        assert isinstance(await call, Answer)
        bench.daemons[busy].kill()
        await asyncio.sleep(30.0)
        assert not bench.told("restart.begun")
        assert "an operator drained it" in bench.status(busy)["care"]
        await bench.plant.undrain(name)
        await bench.until_well()

    play(scene)


# -- a gateway that restarts in the middle --------------------------------------------------------------------------


@pytest.mark.parametrize("when", [0.2, 0.4, 0.7, 0.95, 1.2, 1.6])
def test_a_gateway_that_restarts_in_the_middle_picks_up_where_the_daemon_is(when: float) -> None:
    """Told to stop, gone, started, unloaded: whatever it was, it is well a little later, and nothing was killed."""

    async def scene(bench: CareBench) -> None:
        bench.plant.restart("ec-1", "")
        await asyncio.sleep(when)
        await bench.begin_again()
        await asyncio.sleep(2.0)
        await bench.until_well()
        assert bench.launchers[0].did("kill") == 0
        assert bench.daemons[0].lives == 2

    play(scene)


def test_daemons_that_end_with_the_gateway_save_before_it_goes() -> None:
    """By their own `stop`, waited for until the process is gone; those that outlive it are left alone."""

    async def scene(bench: CareBench) -> None:
        bench.launchers[0].takes_along = True
        began = bench.plant.runner.loop.time()
        await bench.plant.save()
        assert not bench.daemons[0].has_process
        assert bench.daemons[1].has_process
        assert bench.told("backend.stopped")
        assert bench.plant.runner.loop.time() - began < 1.0
        assert bench.launchers[0].did("kill") == bench.launchers[0].did("stop") == 0
        await asyncio.sleep(10.0)
        assert not bench.told("restart.begun")

    play(scene)


def test_a_busy_daemon_outlives_the_gateway_and_its_successor() -> None:
    """It works on a call from before; only when no such call can run any more it is taken for wedged."""

    async def scene(bench: CareBench) -> None:
        bench.daemons[0].service = lambda method: 30.0 if method == "payto" else 0.0003
        bench.ask("payto")
        await asyncio.sleep(0.5)
        await bench.begin_again()
        await asyncio.sleep(28.0)
        assert bench.launchers[0].did("kill") == 0
        await bench.until_well()
        assert "payto" in [method for _, method, _ in bench.daemons[0].journal]

    play(scene, wallet={"start_grace": 1.0})


# -- preventive -----------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_a_restart_by_cron_that_never_found_its_moment_is_told() -> None:
    """One that is drained keeps the others waiting, and nobody would know that they are restarted no more."""

    async def scene(bench: CareBench) -> None:
        await bench.plant.drain("ec-2")
        await asyncio.sleep(3600.0)
        assert not bench.told("restart.left_out")
        await asyncio.sleep(300.0)
        told = bench.told("restart.left_out")
        assert [one.backend for one in told] == ["ec-1", "ec-2"]
        assert "waits until ec-2 is well and whole" in str(told[0].fields["reason"])
        assert not bench.told("restart.begun")

    play(scene, daemons=2, wallet={"preventive": {"cron": "18 8 * * *"}})


def test_at_a_time_of_cron_one_after_the_other_is_restarted() -> None:
    """Never two, and never while another one is not whole."""

    async def scene(bench: CareBench) -> None:
        await asyncio.sleep(300.0)
        begun, done = bench.when("restart.begun"), bench.when("restart.done")
        assert [one.fields["cause"] for one in bench.told("restart.begun")] == ["cron"] * 3
        assert all(after >= before for before, after in zip(done, begun[1:], strict=False))
        assert len({one.backend for one in bench.told("restart.done")}) == 3
        assert all(launcher.did("kill") == 0 for launcher in bench.launchers)

    # the clock begins at 08:16:40
    play(scene, daemons=3, wallet={"preventive": {"cron": "18 8 * * *"}})


@pytest.mark.long
def test_the_only_daemon_is_restarted_at_its_time_and_calls_wait() -> None:
    """Its age alone is no reason."""

    async def scene(bench: CareBench) -> None:
        await bench.until(lambda: bool(bench.told("restart.begun")), 120.0)
        assert isinstance(await bench.ask("getbalance"), Answer)
        await asyncio.sleep(1000.0)
        assert len(bench.told("restart.begun")) == 1

    play(scene, daemons=1, wallet={"preventive": {"cron": "18 8 * * *", "max_age": 60.0}})


def test_a_daemon_that_takes_too_much_memory_is_restarted() -> None:
    """By the share of its limit, the worst that is left first."""

    async def scene(bench: CareBench) -> None:
        await bench.until(lambda: bench.status()["memory"] is not None)
        await asyncio.sleep(200.0)
        assert not bench.told("restart.begun")
        bench.launchers[1].usage = Memory(81, 100)
        await bench.until(lambda: bool(bench.told("restart.done")), 60.0)
        (done,) = bench.told("restart.done")
        assert (done.backend, done.fields["cause"]) == ("ec-2", "memory")

    def before(bench: CareBench) -> None:
        for launcher in bench.launchers:
            launcher.usage = Memory(50, 100)

    play(scene, before=before, wallet={"preventive": {"memory_share": 0.8}})


@pytest.mark.simulation
@pytest.mark.parametrize("grows", [True, False])
def test_a_restart_that_did_not_lower_the_memory_is_told_and_not_repeated(*, grows: bool) -> None:
    """Also where it takes its time to fill it; nor by another one of them, until it takes less by itself."""

    async def scene(bench: CareBench) -> None:
        await asyncio.sleep(1500.0)
        told = bench.told("restart.no_help")
        assert [one.fields["after"] for one in told] == [0.9, 0.9]
        assert "90% after" in str(told[0].fields["reason"])
        assert len(bench.told("restart.done")) == 2
        assert "did not help" in bench.status()["care"]
        bench.launchers[0].weigh = lambda: Memory(50, 100)
        await asyncio.sleep(20.0)
        (relieved,) = bench.told("memory.relieved")
        assert relieved.backend == "ec-1"
        bench.launchers[0].weigh = lambda: Memory(95, 100)
        await asyncio.sleep(700.0)
        assert len(bench.told("restart.done")) == 3

    def before(bench: CareBench) -> None:
        for launcher in bench.launchers:
            launcher.weigh = lambda one=launcher: Memory(
                90 if not grows or bench.loop.time() - one.started_at > 300.0 else 40, 100
            )

    play(scene, before=before, wallet={"preventive": {"memory_share": 0.8}})


@pytest.mark.long
def test_a_restart_that_lowered_the_memory_for_an_hour_has_helped(monkeypatch: pytest.MonkeyPatch) -> None:
    """What grows slowly is what such restarts are for."""
    monkeypatch.setattr(relief, "HELPS", 700.0)

    async def scene(bench: CareBench) -> None:
        await bench.until(lambda: bool(bench.told("restart.done")), 60.0)
        bench.launchers[0].usage = Memory(50, 100)
        await asyncio.sleep(750.0)
        bench.launchers[0].usage = Memory(85, 100)
        await bench.until(lambda: len(bench.told("restart.done")) == 2, 60.0)
        assert not bench.told("restart.no_help")

    def before(bench: CareBench) -> None:
        bench.launchers[0].usage = Memory(85, 100)
        bench.launchers[1].usage = Memory(50, 100)
        begin = bench.launchers[0].start

        async def start() -> None:
            bench.launchers[0].usage = Memory(50, 100)
            await begin()

        bench.launchers[0].start = start  # type: ignore[method-assign]  # a new process takes less

    play(scene, before=before, wallet={"preventive": {"memory_share": 0.8}})


@pytest.mark.parametrize("is_done", [True, False])
def test_a_share_that_was_taken_out_ends_what_was_told_of_it(*, is_done: bool) -> None:
    """And a restart that was not done says nothing of whether it helps."""
    chart = Chart("ec-1", share_before=0.9)
    chart.end(Act.RESTART, None, 100.0, is_done=is_done)
    told = see_relief(chart, Memory(90, 100), 0.8, "main", 200.0)
    assert (told is not None and told.name == "restart.no_help") is is_done
    again = see_relief(chart, Memory(90, 100), None, "main", 300.0)
    assert (again is not None and again.name == "memory.relieved") is is_done
    assert see_relief(chart, None, 0.8, "main", 400.0) is None


# -- what it tells --------------------------------------------------------------------------------------------------


def test_status_and_gauges_tell_how_the_care_stands() -> None:
    """The process, its memory and how it grows, restarts, holds."""

    async def scene(bench: CareBench) -> None:
        for used in range(20):
            bench.launchers[0].usage = Memory(1_000_000 + used * 10_000, 4_000_000)
            await asyncio.sleep(10.0)
        found = bench.status()
        assert found["process"] == "running"
        assert found["launcher"] == "fake"
        assert found["memory"]["share"] == pytest.approx(0.3, abs=0.01)
        assert found["memory"]["grows_per_hour"] == pytest.approx(3_600_000, rel=0.05)
        bench.plant.restart("ec-1", "")
        await bench.until_well()
        await bench.plant.hold("ec-2")
        gauges = {(name, labels.get("backend")): value for name, labels, value in bench.plant.gauges(bench.loop.time())}
        assert gauges["restarts_total", "ec-1"] == 1.0
        assert gauges["backend_held", "ec-2"] == 1.0
        assert gauges["backend_restarting", "ec-1"] == 0.0
        assert gauges["backend_memory_limit_bytes", "ec-1"] == 4_000_000.0
        assert (bench.status()["restarts"], bench.status(1)["held"]) == (1, True)
        assert "restarting=[]" in repr(bench.plant.supervisor)

    play(scene)


def test_a_launcher_that_does_not_answer_is_told_once() -> None:
    """And once that it answers again."""

    async def scene(bench: CareBench) -> None:
        bench.launchers[0].fails = True
        await asyncio.sleep(60.0)
        assert len(bench.told("launcher.failed")) == 1
        assert "no such container" in bench.status()["launcher_error"]
        bench.launchers[0].fails = False
        await asyncio.sleep(20.0)
        assert len(bench.told("launcher.answers")) == 1
        assert not bench.status()["launcher_error"]

    play(scene)
