"""The alerts of a gateway: from facts and events to the log, the metrics and every sink; in virtual time."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import replace
from typing import Any

import pytest

from gateway.base.care import Alerts as Settings
from gateway.base.care import Sink as SinkSettings
from gateway.base.events import Event
from gateway.observe.alerts import LOOK, STOOD_STILL, Alerts, trial_message
from gateway.observe.sinks import Sink
from gateway.rules.conditions import BackendView, WalletView
from tests.fakes_alerts import AWAY, FakeSink, sink
from tests.virtual_time import run_virtual

WELL = WalletView("main", (BackendView("ec-1"),))
DOWN = WalletView("main", (BackendView("ec-1", is_serving=False, reason="silent"),))
WALL = 1_800_000_000.0


class Rig:
    """Alerts with fakes around them."""

    def __init__(self, *names: str) -> None:
        """Start with sinks of these names."""
        self.loop = asyncio.get_running_loop()
        self.seen: Iterable[WalletView] | Exception = [WELL]
        self.told: list[Event] = []
        self.sinks: dict[str, FakeSink] = {}
        self.broken: set[str] = set()
        self.alerts = Alerts(
            self.settings(*names),
            self._views,
            self.told.append,
            lambda: WALL + self.loop.time() - 1000.0,
            lambda: 0.5,
            self.loop,
            gateway="here",
            make=self._make,
        )
        self.alerts.start()

    def settings(self, *names: str, **changes: Any) -> Settings:
        """Settings with sinks of these names."""
        return Settings(sinks=tuple(sink(name=name) for name in names), **changes)

    def _views(self) -> Iterable[WalletView]:
        if isinstance(self.seen, Exception):
            raise self.seen
        return self.seen

    def _make(self, settings: SinkSettings) -> Sink:
        if settings.name in self.broken:
            raise ImportError(settings.name)
        return self.sinks.setdefault(settings.name, FakeSink())

    def names(self) -> list[str]:
        """What was written down."""
        return [event.name for event in self.told]

    def gauge(self, name: str, **labels: str) -> float:
        """One figure."""
        return next(value for got, had, value in self.alerts.gauges() if got == name and labels.items() <= had.items())


def rigged(test: Callable[[Rig], Coroutine[Any, Any, None]], *names: str) -> None:
    """Run a test with alerts in virtual time."""

    async def main() -> None:
        rig = Rig(*names)
        try:
            await test(rig)
        finally:
            await rig.alerts.stop()

    run_virtual(main())


def test_an_outage_is_opened_and_closed_at_every_sink_in_the_log_and_in_the_metrics() -> None:
    """One incident; ids that differ; a duration."""

    async def test(rig: Rig) -> None:
        rig.seen = [DOWN]
        await asyncio.sleep(60)
        assert rig.gauge("alerts_open", wallet="main", kind="all_down") == 1.0
        rig.seen = [WELL]
        await asyncio.sleep(60)
        assert rig.gauge("alerts_open", wallet="main", kind="all_down") == 0.0
        for one in rig.sinks.values():
            assert one.types == ["opened", "closed"]
            opened, closed = one.taken
            assert opened.incident == closed.incident
            assert opened.id != closed.id
            assert closed.seconds == pytest.approx(60, abs=1.5)
            assert closed.opened_at == opened.opened_at == pytest.approx(WALL, abs=1.5)
            assert (opened.alert, opened.gateway, opened.facts) == (
                "all_down/main", "here", {"serving": 0, "backends": 1},
            )  # fmt: skip
        assert rig.names() == ["alert.opened", "alert.closed"]
        assert [event.level for event in rig.told] == ["error", "info"]
        assert rig.told[0].fields["text"] == "main answers nothing (ec-1: silent)"

    rigged(test, "pager", "chat")


def test_what_holds_no_more_is_shown_as_such_until_it_is_told_as_over() -> None:
    """Since when, and until when it is watched; both stay as they are, and are gone when it is back."""

    def quiet(rig: Rig) -> list[tuple[object, object]]:
        return [(one["quiet_since"], one["closes_at"]) for one in rig.alerts.shown()]

    async def test(rig: Rig) -> None:
        rig.seen = [DOWN]
        await asyncio.sleep(20)
        assert quiet(rig) == [(None, None)]
        rig.seen, at = [WELL], WALL + rig.loop.time() - 1000.0
        await asyncio.sleep(3)
        before = quiet(rig)
        ((since, until),) = before
        assert isinstance(since, float)
        assert isinstance(until, float)
        assert at <= since <= at + LOOK
        assert until - since == pytest.approx(rig.alerts.settings.settle)
        await asyncio.sleep(20.3)
        assert quiet(rig) == before
        rig.seen = [DOWN]
        await asyncio.sleep(2)
        assert quiet(rig) == [(None, None)]

    rigged(test)


def test_a_wallet_that_another_gateway_has_taken_over_leaves_no_alert_here() -> None:
    """Within a look: whoever looks at this gateway must not be told that nobody serves."""

    async def test(rig: Rig) -> None:
        rig.seen = [DOWN]
        await asyncio.sleep(10)
        assert rig.alerts.shown()
        rig.seen = [WalletView("main")]
        await asyncio.sleep(LOOK + 0.1)
        assert rig.alerts.shown() == []
        assert "watched here no more" in str(rig.told[-1].fields["text"])
        assert rig.names().count("alert.closed") == rig.names().count("alert.opened")

    rigged(test)


def test_every_transition_has_an_id_of_its_own() -> None:
    """Over repeats, over incidents and over lives of the gateway."""
    ids: list[str] = []

    async def test(rig: Rig) -> None:
        for _ in range(3):
            rig.seen = [DOWN]
            await asyncio.sleep(1000)
            rig.seen = [WELL]
            await asyncio.sleep(400)
        ids.extend(one.id for one in rig.sinks["pager"].taken)
        assert "repeated" in rig.sinks["pager"].types
        assert len({one.incident for one in rig.sinks["pager"].taken}) == 3

    rigged(test, "pager")
    rigged(test, "pager")
    assert len(set(ids)) == len(ids) > 12


def test_events_are_heard() -> None:
    """What a look would never find."""

    async def test(rig: Rig) -> None:
        rig.alerts.hear(Event("restart.failed", "main", "ec-1", {"reason": "no such container", "step": "start"}))
        rig.alerts.hear(Event("restart.done", "main", "ec-1", {"reason": "wedged", "took": 7.5}))
        rig.alerts.hear(Event("call.outcome_unknown", "main", "ec-1", {"method": "payto", "reason": "cut"}))
        await asyncio.sleep(20)
        assert [(one.type, one.alert) for one in rig.sinks["pager"].taken] == [
            ("alert.told", "restarted/main/ec-1"),
            ("alert.opened", "unknown_outcome/main"),
        ]
        assert rig.sinks["pager"].taken[0].facts == {"reason": "wedged", "took": 7.5}

    rigged(test, "pager")


def test_an_outcome_that_settles_itself_within_a_moment_wakes_nobody() -> None:
    """As that of a label does, which is brought to every daemon anew."""

    async def test(rig: Rig) -> None:
        rig.alerts.hear(Event("call.outcome_unknown", "main", "ec-1", {"method": "setlabel", "reason": "cut"}))
        await asyncio.sleep(5)
        rig.alerts.hear(Event("outcome.all_resolved", "main", "", {}))
        await asyncio.sleep(60)
        assert rig.sinks["pager"].taken == []

    rigged(test, "pager")


def test_hearing_never_raises() -> None:
    """Whoever emits an event has other things to do."""

    class Odd:
        def __str__(self) -> str:
            raise RuntimeError

    async def test(rig: Rig) -> None:
        rig.alerts.hear(Event("restart.failed", "main", "ec-1", {"reason": Odd()}))

    rigged(test)


def test_a_dead_sink_holds_up_neither_the_others_nor_the_looking() -> None:
    """And gets everything when it is back."""

    async def test(rig: Rig) -> None:
        rig.sinks["dead"].takes = float("inf")
        rig.seen = [DOWN]
        await asyncio.sleep(60)
        rig.seen = [WELL]
        await asyncio.sleep(60)
        assert rig.sinks["pager"].types == ["opened", "closed"]
        assert rig.gauge("alert_sink_failing", sink="dead") == 1.0
        rig.sinks["dead"].takes = 0.0
        await asyncio.sleep(400)
        assert rig.sinks["dead"].types == ["opened", "closed"]

    rigged(test, "dead", "pager")


def test_without_sinks_alerts_are_in_the_log() -> None:
    """And in the metrics."""

    async def test(rig: Rig) -> None:
        rig.seen = [DOWN]
        await asyncio.sleep(10)
        assert rig.names() == ["alert.opened"]
        assert rig.gauge("alerts_open", kind="all_down") == 1.0

    rigged(test)


def test_the_ledger_s_alert_counts_for_every_wallet() -> None:
    """Whoever reads the metrics asks by wallet."""

    async def test(rig: Rig) -> None:
        rig.seen = [replace(WELL, ledger_error="disk full"), replace(WELL, name="other", ledger_error="disk full")]
        await asyncio.sleep(10)
        assert rig.names() == ["alert.opened"]
        for wallet in ("main", "other"):
            assert rig.gauge("alerts_open", wallet=wallet, kind="read_only") == 1.0

    rigged(test)


def test_a_gateway_that_stops_closes_what_it_opened() -> None:
    """A receiver would show it as open for ever."""
    taken: list[str] = []

    async def test(rig: Rig) -> None:
        rig.seen = [DOWN]
        await asyncio.sleep(10)
        await rig.alerts.stop()
        taken.extend(rig.sinks["pager"].types)
        assert "this gateway stops" in rig.sinks["pager"].taken[-1].text
        await rig.alerts.stop()
        assert len(rig.sinks["pager"].taken) == 2

    rigged(test, "pager")
    assert taken == ["opened", "closed"]


def test_a_stopping_gateway_says_what_it_could_not_bring() -> None:
    """The log is read later."""

    async def test(rig: Rig) -> None:
        rig.sinks["pager"].trouble = AWAY
        rig.seen = [DOWN]
        await asyncio.sleep(10)
        await rig.alerts.stop()
        dropped = [event.fields["message"] for event in rig.told if event.name == "alert.dropped"]
        assert dropped == ["alert.opened", "alert.closed"]

    rigged(test, "pager")


def test_a_process_that_stood_still_judges_nobody() -> None:
    """Every age it sees is its own."""

    async def test(rig: Rig) -> None:
        await asyncio.sleep(5)
        rig.seen = [replace(WELL, longest_wait=60.0)]
        rig.alerts._looked_at = rig.loop.time() - LOOK - STOOD_STILL - 1
        rig.alerts.look()
        assert rig.told == []
        rig.alerts.look()
        assert rig.names() == ["alert.opened"]

    rigged(test)


def test_a_look_that_fails_is_told_once_and_the_next_may_do_better() -> None:
    """An alarm that is dead in silence is worse than none."""

    async def test(rig: Rig) -> None:
        rig.seen = RuntimeError("no pool")
        await asyncio.sleep(10)
        assert rig.names() == ["room.failed"]
        rig.seen = [DOWN]
        await asyncio.sleep(10)
        assert rig.names() == ["room.failed", "alert.opened"]

    rigged(test)


# -- reloads --------------------------------------------------------------------------------------------------


def test_a_reload_changes_what_is_told_and_to_whom() -> None:
    """A new sink hears from now on, one that was taken out hears nothing more."""

    async def test(rig: Rig) -> None:
        rig.seen = [replace(WELL, backends=(BackendView("ec-1", failures=4),))]
        rig.alerts.update(rig.settings("chat", failures=5))
        await asyncio.sleep(10)
        assert rig.names() == []
        rig.alerts.update(rig.settings("chat", failures=4))
        await asyncio.sleep(10)
        assert rig.sinks["chat"].types == ["opened"]
        assert rig.sinks["pager"].types == []
        assert rig.sinks["pager"].is_closed

    rigged(test, "pager")


def test_a_sink_with_new_settings_gets_what_waited() -> None:
    """The operator has mended its address."""

    async def test(rig: Rig) -> None:
        old = rig.sinks["pager"]
        old.trouble = AWAY
        rig.seen = [DOWN]
        await asyncio.sleep(10)
        del rig.sinks["pager"]
        rig.alerts.update(Settings(sinks=(sink(name="pager", url="https://elsewhere.example.net/"),)))
        await asyncio.sleep(1)
        assert rig.sinks["pager"].types == ["opened"]
        assert old.is_closed

    rigged(test, "pager")


def test_a_sink_that_is_not_changed_is_not_touched() -> None:
    """Its back-off goes on."""

    async def test(rig: Rig) -> None:
        before = rig.alerts.couriers["pager"]
        rig.alerts.update(rig.settings("pager", repeat=60.0))
        assert rig.alerts.couriers["pager"] is before

    rigged(test, "pager")


def test_a_sink_that_cannot_be_built_is_told_and_the_others_hear() -> None:
    """And what waited for it is counted, not forgotten."""

    async def test(rig: Rig) -> None:
        rig.sinks["pager"].trouble = AWAY
        rig.seen = [DOWN]
        await asyncio.sleep(10)
        rig.broken = {"pager"}
        rig.alerts.update(Settings(sinks=(sink(name="pager", url="https://elsewhere/"), sink(name="chat"))))
        assert [name for name in rig.names() if name != "alert.not_delivered"] == [
            "alert.opened", "alert.sink_not_built", "alert.dropped",
        ]  # fmt: skip
        assert set(rig.alerts.couriers) == {"chat"}
        rig.seen = [WELL]
        await asyncio.sleep(60)
        assert rig.sinks["chat"].types == ["opened", "closed"]

    rigged(test, "pager")


def test_a_test_message_says_that_it_is_one() -> None:
    """And has an id of its own each time."""
    one, other = trial_message("here", WALL), trial_message("here", WALL)
    assert one.type == "alert.test"
    assert one.id != other.id
