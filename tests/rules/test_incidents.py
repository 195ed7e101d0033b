"""What went wrong as stories: nothing short is lost, nothing stays open, and what was done meanwhile stands in them."""

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.base.events import Event
from gateway.rules import health, incidents
from gateway.rules.conditions import BackendView, WalletView
from gateway.rules.incidents import LINGERS, SETTLE, Stories
from gateway.rules.service import Services, hear, look
from gateway.rules.stories import (
    ALL_DOWN,
    FIRST_LINES,
    LONGEST,
    MOST_ALERTS,
    MOST_LINES,
    OUT,
    PLANNED,
    STOOD_STILL,
    TAKEN_OVER,
    Incident,
)

AT = 1_800_000_000.0

NOTE = "the gateway stops"


class Watch:
    """A gateway that hears and looks, and all that it told of incidents."""

    def __init__(self, *backends: str) -> None:
        """Begin with daemons of main that serve."""
        self.at = AT
        self.backends = backends or ("ec-1", "ec-2")
        self.services = Services()
        self.stories = Stories("life")
        self.told: dict[str, Incident] = {}
        self.versions: list[Incident] = []
        self.opened: dict[str, int] = {}
        self.alerting: set[str] = set()
        """Alerts that are open."""
        self.see()

    def hear(self, name: str, backend: str = "ec-1", after: float = 1.0, **fields: Any) -> None:
        """Take in an event."""
        self.at += after
        event = Event(name, "main", backend, fields)
        self.services = hear(self.services, event)
        self._take(incidents.step(self.stories, self.services.places(), self.at, event))

    def see(self, *views: BackendView, after: float = 1.0, error: str = "") -> None:
        """Look; all serve that are not named."""
        self.at += after
        seen = {name: BackendView(name) for name in self.backends} | {view.name: view for view in views}
        self.services = look(self.services, [WalletView("main", tuple(seen.values()), ledger_error=error)])
        self._take(incidents.step(self.stories, self.services.places(), self.at))

    def end(self) -> None:
        """Stop in order."""
        self._take(incidents.end(self.stories, self.at, NOTE))

    def _take(self, result: tuple[Stories, list[Incident]]) -> None:
        self.stories, changed = result
        self.versions += changed
        self.told |= {one.id: one for one in changed}

    def alert(self, name: str, kind: str, number: str, backend: str = "ec-1", **how: Any) -> None:
        """An alert of a daemon is opened or closed."""
        self.hear(f"alert.{name}", backend, alert=kind, incident=number, text="so it is", **how)

    def of(self, backend: str = "ec-1") -> list[Incident]:
        """The stories of one daemon, or of the wallet, in their order."""
        return [one for one in self.told.values() if one.backend == backend]

    def one(self, backend: str = "ec-1") -> Incident:
        """The only one."""
        (story,) = self.of(backend)
        return story


def texts(story: Incident) -> list[str]:
    """The lines of a story."""
    return [line.text for line in story.done]


def test_a_moment_out_of_service_is_a_story_though_nobody_was_told() -> None:
    """Ejected for three seconds: what it was, what was done, how long."""
    watch = Watch()
    watch.hear("backend.ejected", kind="wedged", reason="silent")
    watch.hear("primary.promoted", "ec-2", 0.02, before="ec-1", reason="wedged")
    watch.hear("backend.warming", after=2.98)
    story = watch.one()
    assert (story.kind, story.severity, story.title) == (OUT, "warning", "ec-1 is out of service: silent")
    assert story.closed_at is not None
    assert story.closed_at - story.opened_at == pytest.approx(3.0)
    assert texts(story) == [
        "taken out of service, its calls go elsewhere: silent",
        "ec-2 was made primary in place of ec-1: wedged",
        "back in service, with a small share at first",
    ]
    assert watch.of("") == []


def test_a_wallet_that_nobody_serves_is_a_story_of_its_own() -> None:
    """With what was done for each of its daemons."""
    watch = Watch("ec-1")
    watch.hear("backend.ejected", kind="dead", reason="refused")
    watch.hear("restart.begun", cause="dead", reason="refused")
    watch.hear("backend.restarting")
    watch.hear("backend.warming")
    story = watch.one("")
    assert (story.kind, story.severity, story.closed_at) == (ALL_DOWN, "critical", watch.at)
    assert texts(story)[:2] == [
        "ec-1: taken out of service, its calls go elsewhere: refused",
        "ec-1: restart begun (dead): refused",
    ]


def test_what_comes_back_soon_is_the_same_story() -> None:
    """And counted; what comes later is another one."""
    watch = Watch()
    watch.hear("backend.ejected", kind="wedged")
    watch.hear("backend.warming")
    watch.hear("backend.ejected", kind="wedged", after=SETTLE - 1.0)
    assert (watch.one().times, watch.one().closed_at) == (2, None)
    watch.hear("backend.warming")
    watch.hear("backend.ejected", kind="wedged", after=SETTLE + 1.0)
    assert [one.times for one in watch.of()] == [2, 1]


def test_a_restart_on_purpose_is_no_fault_until_it_fails() -> None:
    """Then it is one, and says since when."""
    watch = Watch()
    watch.hear("order.given", verb="restart", who="kim", reason="new disk")
    watch.hear("restart.begun", cause="order", reason="by order")
    watch.hear("backend.draining")
    opened = watch.at
    assert (watch.one().kind, watch.one().severity) == (PLANNED, "info")
    watch.hear("backend.restarting")
    watch.hear("backend.ejected", kind="dead", reason="refused")
    watch.hear("restart.failed", step="start", reason="no such container")
    story = watch.one()
    assert (story.kind, story.severity, story.opened_at) == (OUT, "warning", opened)
    assert "the restart failed (at: start): no such container" in texts(story)


def test_what_ends_after_its_story_stands_in_it_all_the_same() -> None:
    """A restart is done once its daemon is aligned; after a while nobody waits for that."""
    watch = Watch()
    watch.hear("backend.ejected", kind="dead")
    watch.hear("restart.begun", cause="dead")
    watch.hear("backend.warming")
    watch.hear("restart.done", after=60.0, took=61.0)
    assert texts(watch.one())[-1] == "restarted, which took 61.0 s"
    before = watch.one()
    watch.see(after=LINGERS)
    watch.hear("restart.done", took=1.0)
    assert watch.one() == before


def test_a_story_that_is_over_takes_no_credit_for_a_later_one() -> None:
    """Its ledger was locked; what is ordered and done two minutes later was done for something else."""
    watch = Watch()
    watch.see(error="database is locked")
    watch.see(after=20.0)
    before = watch.one("")
    watch.hear("order.given", after=120.0, verb="switch freeze", who="open", order="door-1")
    watch.hear("order.done", verb="switch freeze", answer="it is frozen", order="door-1")
    watch.hear("backend.ejected", kind="wedged", reason="silent")
    watch.hear("primary.promoted", "ec-2", before="ec-1", reason="wedged")
    watch.hear("restart.begun", cause="wedged")
    watch.hear("backend.warming")
    watch.hear("restart.done", took=2.0)
    watch.hear("backend.ready")
    assert watch.one("") == before
    assert texts(before) == []
    assert texts(watch.one())[-2:] == ["restarted, which took 2.0 s", "in full service"]


def test_a_restart_that_is_begun_after_a_story_ends_for_another_one() -> None:
    """The first, which was begun in it, was never told to have ended."""
    watch = Watch("ec-1")
    watch.hear("backend.ejected", kind="dead")
    watch.hear("restart.begun", cause="dead")
    watch.hear("backend.warming")
    before = texts(watch.one(""))
    watch.hear("restart.begun", cause="order", after=SETTLE + 1.0)
    watch.hear("restart.done", took=2.0)
    watch.hear("restart.done", took=3.0)
    assert texts(watch.one("")) == before


def test_an_order_that_was_given_meanwhile_is_answered_in_its_story() -> None:
    """By its number, and after it as well; another one of the same kind is another one's."""
    watch = Watch()
    watch.hear("backend.ejected", kind="dead")
    watch.hear("order.given", verb="restart", who="kim", order="door-1")
    watch.hear("backend.warming")
    watch.hear("order.done", verb="restart", answer="too late", order="door-2")
    watch.hear("order.done", verb="restart", answer="it runs", order="door-1")
    assert texts(watch.one())[1:] == [
        "restart ordered by kim", "back in service, with a small share at first", "restart: it runs",
    ]  # fmt: skip


def test_alerts_that_come_and_go_in_a_story_are_bounded() -> None:
    """The newest of them lead there."""
    watch = Watch()
    watch.hear("backend.ejected", kind="dead")
    for number in range(MOST_ALERTS + 20):
        watch.alert("opened", "stuck", f"a-{number}")
        watch.alert("closed", "stuck", f"a-{number}", seconds=1.0)
    assert watch.one().alerts == tuple(f"a-{number}" for number in range(20, MOST_ALERTS + 20))


def test_an_alert_about_a_daemon_that_is_out_joins_its_story() -> None:
    """It makes it as severe, and its id leads there; the daemon's return ends both."""
    watch = Watch()
    watch.hear("backend.ejected", kind="dead")
    watch.alert("opened", "failed", "a-1")
    watch.hear("backend.warming")
    back = watch.at
    watch.alert("closed", "failed", "a-1", seconds=3.0, after=SETTLE)
    story = watch.one()
    assert (story.severity, story.alerts, story.closed_at) == ("critical", ("a-1",), back)
    assert "alert: so it is" in texts(story)


def test_an_alert_that_came_before_the_ejection_is_the_same_story() -> None:
    """It has the alert's id, and began when that began to hold."""
    watch = Watch()
    watch.alert("opened", "failures", "a-1", seconds=5.0)
    began = watch.at - 5.0
    watch.hear("backend.ejected", kind="wedged")
    watch.alert("opened", "stuck", "a-2", seconds=10.0)
    watch.alert("closed", "failures", "a-1", seconds=9.0)
    assert watch.one().closed_at is None
    watch.hear("backend.warming")
    story = watch.one()
    assert (story.id, story.opened_at, story.closed_at, story.alerts) == ("a-1", began, watch.at, ("a-1", "a-2"))


def test_an_alert_that_is_about_something_else_is_a_story_of_its_own() -> None:
    """It lasted until it last held, and was closed after a time of quiet."""
    watch = Watch()
    watch.alert("opened", "memory", "a-1", seconds=10.0)
    watch.alert("closed", "memory", "a-1", after=95.0, seconds=75.0)
    watch.alert("closed", "memory", "a-1", seconds=80.0)
    story = watch.one()
    assert (story.kind, story.severity) == ("memory", "warning")
    assert story.closed_at is not None
    assert story.closed_at - story.opened_at == 75.0


def test_alerts_of_a_daemon_that_serves_end_by_themselves() -> None:
    """Two of them are one story, which ends with the last."""
    watch = Watch()
    watch.alert("opened", "failures", "a-1")
    watch.alert("opened", "adrift", "a-2")
    watch.alert("closed", "failures", "a-1", seconds=5.0, after=40.0)
    assert watch.one().closed_at is None
    watch.alert("closed", "adrift", "a-2", seconds=30.0)
    assert watch.one().closed_at == watch.one().opened_at + 30.0


def test_an_alert_of_a_story_that_is_just_over_joins_it() -> None:
    """It was late, and opens nothing anew."""
    watch = Watch()
    watch.hear("backend.ejected", kind="dead")
    watch.hear("backend.warming")
    closed_at = watch.at
    watch.alert("opened", "stuck", "a-1")
    assert (watch.one().closed_at, watch.one().alerts) == (closed_at, ("a-1",))


@pytest.mark.parametrize("fields", [{"alert": "memory"}, {"incident": "a-1"}, {"alert": "tea", "incident": "a-1"}])
def test_an_alert_that_says_too_little_is_no_story(fields: dict[str, Any]) -> None:
    """As one of another version would be; news are none either, for there is nothing to close."""
    watch = Watch()
    watch.hear("alert.opened", **fields)
    watch.hear("alert.told", alert="restarted", incident="a-2")
    assert watch.told == {}


@pytest.mark.parametrize(
    ("name", "is_it"),
    [("alert.closed", True), ("restart.begun", True), ("probe.answered", False), ("restart.step", False)],
)
def test_most_events_are_of_no_interest(name: str, *, is_it: bool) -> None:
    """Nobody looks at a story for them."""
    assert incidents.is_of_interest(Event(name, "main", "ec-1")) is is_it


def test_a_severity_is_known_by_the_kind() -> None:
    """And a duration that is none is nothing."""
    watch = Watch()
    watch.alert("opened", "wrong_seed", "a-1", severity="tea", seconds="long")
    assert (watch.one().severity, watch.one().opened_at) == ("critical", watch.at)


def test_what_is_watched_no_more_is_closed_with_a_note() -> None:
    """A daemon that a reload took away, with its alerts; alerts of the wallet itself go on."""
    watch = Watch()
    watch.hear("backend.ejected", kind="dead")
    watch.alert("opened", "memory", "a-1")
    watch.alert("opened", "pool_low", "a-2", "")
    watch.backends = ("ec-2",)
    watch.see()
    assert [one.closed_at for one in watch.of()] == [watch.at, watch.at]
    assert all("not watched here any more" in texts(one)[-1] for one in watch.of())
    assert watch.one("").closed_at is None


def test_a_wallet_whose_ledger_cannot_be_written_is_a_story() -> None:
    """Though every daemon serves; what daemons do is no line of it, a promotion is."""
    watch = Watch()
    watch.see(error="disk full")
    watch.see()
    story = watch.one("")
    assert (story.title, story.closed_at) == ("main cannot be used: disk full", watch.at)


def test_orders_and_promotions_are_told_to_whom_they_concern() -> None:
    """Lines of one daemon stand neither in the stories of another nor in alerts that are about no daemon."""
    watch = Watch()
    watch.alert("opened", "pool_low", "a-1", "")
    watch.hear("backend.ejected", "ec-2", kind="dead", reason="refused")
    watch.hear("backend.reloaded", "ec-1")
    watch.hear("order.done", "", verb="adopt", answer="done")
    watch.hear("call.outcome_unknown", "ec-2")
    assert texts(watch.one("")) == ["adopt: done"]
    assert len(watch.one("ec-2").done) == 1


def test_every_daemon_of_a_wallet_may_be_out_on_purpose() -> None:
    """One drained by order is the whole wallet, where there is but one."""
    watch = Watch("ec-1")
    watch.hear("backend.drained")
    story = watch.one("")
    assert (story.kind, story.title) == (PLANNED, "every daemon of main is out of service on purpose: ec-1: drained")


def test_a_story_has_a_bounded_number_of_lines() -> None:
    """The first few stay, and the newest."""
    watch = Watch()
    watch.hear("backend.ejected", kind="dead", reason="x" * 1000)
    for number in range(2 * MOST_LINES):
        watch.hear("restart.begun", cause="dead", reason=str(number))
    lines = texts(watch.one())
    assert len(lines) == MOST_LINES
    assert len(lines[0]) == LONGEST
    assert lines[FIRST_LINES - 1].endswith(f": {FIRST_LINES - 2}")
    assert lines[-1].endswith(f": {2 * MOST_LINES - 1}")


@pytest.mark.parametrize(("former", "count"), [("gw-1", 1), ("gw-2", 0), ("", 0)])
def test_a_wallet_that_was_another_gateways_is_told(former: str, count: int) -> None:
    """Not where nobody had it before, or this gateway itself."""
    watch = Watch()
    watch.hear("lease.gained", "", gateway="gw-2", former=former, term=7)
    assert [one.title for one in watch.of("")] == ["gw-2 took the wallet main over from gw-1"] * count
    assert all((one.kind, one.closed_at) == (TAKEN_OVER, watch.at) for one in watch.of(""))


def test_a_process_that_stood_still_says_so() -> None:
    """Again and again is one story; a while later it is another one."""
    stories = Stories("life")
    for begin in (AT, AT + 20.0, AT + 40.0 + SETTLE):
        stories, (story,) = incidents.stand_still(stories, begin, begin + 10.0)
        if begin == AT + 20.0:
            assert (story.kind, story.times, story.closed_at) == (STOOD_STILL, 2, AT + 30.0)
            assert texts(story) == ["it went on after 10.0 s"] * 2
    assert (story.opened_at, story.times) == (AT + 40.0 + SETTLE, 1)


def test_the_lines_of_a_wallet_do_not_go_to_the_gateway_itself() -> None:
    """A process that stood still is of no wallet."""
    stories, _ = incidents.stand_still(Stories("life"), AT, AT + 10.0)
    event = Event("order.done", "", "", {"verb": "tea", "answer": "done"})
    _, changed = incidents.step(stories, {}, AT + 11.0, event)
    assert changed == []


STEPS: list[tuple[str, dict[str, Any]]] = [
    ("backend.ejected", {"kind": "wedged", "reason": "silent"}), ("backend.ejected", {"kind": "dead"}),
    ("backend.warming", {}), ("backend.ready", {}), ("backend.failed", {}), ("backend.starting", {}),
    ("backend.draining", {}), ("backend.restarting", {}), ("backend.drained", {}), ("backend.undrained", {}),
    ("restart.begun", {"cause": "dead"}), ("restart.begun", {"cause": "order"}), ("restart.failed", {"step": "start"}),
    ("restart.done", {"took": 1.0}), ("primary.promoted", {"before": "ec-2"}), ("order.given", {"verb": "restart"}),
    ("alert.opened", {"alert": "failures", "incident": "a-1"}), ("alert.closed", {"incident": "a-1", "seconds": 5.0}),
    ("alert.opened", {"alert": "memory", "incident": "a-2"}), ("alert.closed", {"incident": "a-2"}), ("look", {}),
    ("look without ec-1", {}), ("look", {"is_out": True}),
]  # fmt: skip


def play(watch: Watch, steps: Iterable[tuple[int, int, float]]) -> None:
    """Take in steps: which, of which daemon, and after how many seconds."""
    for number, which, after in steps:
        name, fields = STEPS[number]
        backend = ("ec-1", "ec-2")[which]
        match name:
            case "look":
                view = BackendView(backend, is_serving=not fields, kind=health.Kind.DEAD)
                watch.see(*([view] if fields else []), after=after)
            case "alert.opened" | "alert.closed":
                # each that opens has an id of its own, and opens once until it closes
                is_new, key = name == "alert.opened", f"{fields['incident']}-{backend}"
                if is_new == (key in watch.alerting):
                    continue
                watch.alerting ^= {key}
                watch.opened[key] = watch.opened.get(key, 0) + is_new
                watch.hear(name, backend, after, **{**fields, "incident": f"{key}-{watch.opened[key]}"})
            case "look without ec-1":
                watch.backends = ("ec-2",)
                watch.see(after=after)
                watch.backends = ("ec-1", "ec-2")
            case _:
                watch.hear(name, backend, after, **fields)


SEQUENCES = st.lists(
    st.tuples(st.integers(0, len(STEPS) - 1), st.integers(0, 1), st.sampled_from([0.0, 0.5, 3.0, 31.0, 400.0])),
    max_size=25,
)


@given(SEQUENCES)
def test_whoever_is_out_has_an_open_story_at_every_moment(steps: list[tuple[int, int, float]]) -> None:
    """However it came there; and what was told last of each story is how it stands: it is all that a restart leaves."""
    watch = Watch()
    for step in steps:
        play(watch, [step])
        for place, service in watch.services.places().items():
            story = watch.stories.stories.get((incidents.SERVICE, *place))
            is_open = story is not None and OUT in story.parts and story.closed_at is None
            assert is_open == service.is_out
        for one in watch.stories.stories.values():
            assert watch.told[one.id] == one
        assert {one.id for one in watch.told.values() if one.closed_at is None} == {
            one.id for one in watch.stories.open
        }


@given(SEQUENCES)
def test_nothing_stays_open_and_no_story_changes_what_it_was(steps: list[tuple[int, int, float]]) -> None:
    """A sequence may be broken off at any step: then all is closed, never before it was opened."""
    watch = Watch()
    play(watch, steps)
    watch.end()
    assert watch.stories.open == []
    for one in watch.told.values():
        assert one.closed_at is not None
        assert one.closed_at >= one.opened_at
        assert len(one.done) <= MOST_LINES
        assert not one.parts
    beginnings = {(one.id, one.wallet, one.backend, one.opened_at) for one in watch.versions}
    assert len(beginnings) == len(watch.told)


@given(st.floats(0.001, 100_000.0))
def test_no_fault_is_too_short_or_too_long(seconds: float) -> None:
    """A story lasts as long as its daemon was out."""
    watch = Watch()
    watch.hear("backend.ejected", kind="dead")
    watch.hear("backend.ready", after=seconds)
    story = watch.one()
    assert story.closed_at is not None
    assert story.closed_at - story.opened_at == pytest.approx(seconds, abs=1e-6)
