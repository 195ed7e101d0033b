"""When a person is told: once, again ever more seldom, and once when it is over; whatever comes and goes."""

from collections.abc import Iterable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.base.care import Alerts
from gateway.rules.alerts import LEFT, REMEMBERED, Alert, Notice, Stage, Transition, close_all, step
from gateway.rules.kinds import ROWS, Condition, Key, Kind

PACE = Alerts()
SETTLE, REPEAT = PACE.settle, PACE.repeat


def condition(kind: Kind = Kind.FAILURES, backend: str = "ec-1", **changes: object) -> Condition:
    """A condition of main."""
    return Condition(kind, "main", backend, f"{kind} at {backend}", **changes)  # type: ignore[arg-type]  # of the right kinds


FAILURES = condition()
DOWN = condition(Kind.ALL_DOWN, "")
HALF = condition(Kind.BELOW_HALF, "")


class Watch:
    """Looks one after the other, and all that was told."""

    def __init__(self, pace: Alerts = PACE) -> None:
        """Begin at 1000.0 with nothing."""
        self.pace = pace
        self.now = 1000.0
        self.watched: set[str] | None = None
        self.alerts: Mapping[Key, Alert] = {}
        self.told: list[tuple[float, Notice]] = []

    def see(self, seconds: float, *holding: Condition) -> list[str]:
        """Look once a second for so long while these hold; return what was told meanwhile."""
        begin = len(self.told)
        for _ in range(int(seconds)):
            self.now += 1.0
            self.look(holding)
        return [str(notice.transition) for _, notice in self.told[begin:]]

    def look(self, holding: Iterable[Condition]) -> None:
        """Look now."""
        self.alerts, notices = step(self.alerts, holding, self.now, self.pace, self.watched)
        self.told += [(self.now, notice) for notice in notices]

    @property
    def last(self) -> Notice:
        """What was told last."""
        return self.told[-1][1]

    @property
    def times(self) -> list[float]:
        """When something was told, since the beginning."""
        return [at - 1000.0 for at, _ in self.told]


def test_it_opens_once_and_closes_once_with_its_duration() -> None:
    """Closed after it was quiet for a while, and it lasted until it last held."""
    watch = Watch()
    assert watch.see(60, FAILURES) == ["opened"]
    assert watch.last.seconds == 0.0
    assert watch.see(SETTLE, *()) == []
    assert watch.see(1) == ["closed"]
    assert watch.last == Notice(Transition.CLOSED, FAILURES, 1001.0, 60.0)
    assert watch.see(3600) == []
    assert watch.alerts == {}


def test_it_is_repeated_ever_more_seldom() -> None:
    """After 5, 10, 20, 40 ... minutes, and at last every four hours."""
    watch = Watch()
    assert set(watch.see(20 * 3600, FAILURES)[1:]) == {"repeated"}
    gaps = [round(later - earlier) for earlier, later in zip(watch.times, watch.times[1:], strict=False)]
    assert gaps == [300, 600, 1200, 2400, 4800, 9600, 14_400, 14_400, 14_400]
    assert watch.last.repeats == 9
    assert watch.last.seconds == sum(gaps)


def test_what_is_back_before_it_settled_is_the_same_alert() -> None:
    """A daemon that comes and goes every half minute is one opening and one closing."""
    watch = Watch()
    for _ in range(8):
        watch.see(10, FAILURES)
        watch.see(SETTLE - 1)
    watch.see(SETTLE)
    assert [str(notice.transition) for _, notice in watch.told] == ["opened", "closed"]
    assert watch.last.seconds == 7 * (SETTLE - 1 + 10) + 10


def test_one_that_flaps_more_slowly_settles_longer_each_time() -> None:
    """Ten minutes of one in, one out are a handful of messages and not twenty."""
    watch = Watch()
    for _ in range(60):
        watch.see(5, FAILURES)
        watch.see(SETTLE + 5)
    opened = [at for at, notice in watch.told if notice.transition is Transition.OPENED]
    # 30 s of quiet close it the first time, then 60 s would be needed, and it never is quiet for so long
    assert len(opened) == 2
    assert {str(notice.transition) for _, notice in watch.told[3:]} == {"repeated"}


def test_settling_has_a_bound_and_is_forgotten() -> None:
    """At most the time of a repeat; an alert that comes up after a long peace settles as the first did."""
    watch = Watch()
    settles = []
    for _ in range(7):
        watch.see(2, FAILURES)
        settles.append(watch.alerts[FAILURES.key].settle)
        watch.see(settles[-1] + 2)
    assert settles == [30.0, 60.0, 120.0, 240.0, 300.0, 300.0, 300.0]
    watch.see(REMEMBERED * REPEAT)
    watch.see(2, FAILURES)
    assert watch.alerts[FAILURES.key].settle == SETTLE


def test_a_settling_longer_than_a_repeat_stays_as_it_is_wanted() -> None:
    """Nobody settles shorter than the configuration says."""
    watch = Watch(Alerts(settle=600.0, repeat=60.0))
    watch.see(2, FAILURES)
    watch.see(602)
    watch.see(2, FAILURES)
    assert watch.alerts[FAILURES.key].settle == 600.0


def test_what_holds_too_shortly_is_not_told() -> None:
    """Nobody is woken by something that is over before he has found his shoes."""
    watch = Watch()
    delay = ROWS[Kind.BELOW_HALF].delay
    assert watch.see(delay, HALF) == []
    assert watch.see(1) == []
    assert watch.alerts == {}
    assert watch.see(delay, HALF) == []
    assert watch.see(1, HALF) == ["opened"]
    assert watch.last.seconds == delay


def test_what_the_wallet_s_alert_says_already_is_not_told_again() -> None:
    """All down is below half as well; that is told when it is what is left."""
    watch = Watch()
    assert watch.see(60, DOWN, HALF) == ["opened"]
    assert watch.last.condition is DOWN
    # as long as the other one is not over, it stands for both
    assert watch.see(SETTLE, HALF) == []
    assert watch.see(2, HALF) == ["closed", "opened"]


def test_what_is_open_when_it_gets_worse_stays_open_and_is_not_repeated() -> None:
    """Below half, then all down, then below half again: each closes once, when it is over."""
    watch = Watch()
    assert watch.see(60, HALF) == ["opened"]
    assert watch.see(REPEAT, DOWN, HALF) == ["opened"]
    assert watch.see(REPEAT, DOWN, HALF) == ["repeated"]
    assert watch.last.condition is DOWN
    assert watch.see(SETTLE + 5) == ["closed", "closed"]


def test_a_quiet_condition_keeps_an_alert_open_and_opens_none() -> None:
    """A restart on purpose is no news; one that follows an outage does not end it."""
    quiet = condition(Kind.ALL_DOWN, "", is_quiet=True)
    watch = Watch()
    assert watch.see(120, quiet) == []
    assert watch.see(60) == []
    assert watch.see(60, DOWN) == ["opened"]
    assert watch.see(120, quiet) == []
    assert watch.see(SETTLE + 5) == ["closed"]


def test_two_of_a_kind_are_two_alerts() -> None:
    """Each backend has its own."""
    watch = Watch()
    assert watch.see(5, FAILURES, condition(backend="ec-2")) == ["opened", "opened"]
    assert watch.see(SETTLE + 5, FAILURES) == ["closed"]
    assert watch.last.condition.backend == "ec-2"


def test_the_latest_words_are_told() -> None:
    """What was true an hour ago helps nobody."""
    watch = Watch()
    watch.see(REPEAT, condition(facts={"calls": 3}))
    assert watch.see(1, condition(facts={"calls": 9}, count=4)) == ["repeated"]
    assert (watch.last.condition.facts, watch.last.count) == ({"calls": 9}, 4)


# -- news -----------------------------------------------------------------------------------------------------


def news(count: int) -> Condition:
    """A daemon was restarted so often."""
    return condition(Kind.RESTARTED, count=count)


def test_news_are_told_once_and_have_nothing_to_close() -> None:
    """No repeat, no closing."""
    watch = Watch()
    assert watch.see(3600, news(1)) == ["told"]
    assert watch.see(3600) == []
    assert watch.alerts == {}


def test_news_that_come_often_are_counted_and_told_together() -> None:
    """Twenty restarts in an hour are a few messages that add up to twenty."""
    watch = Watch()
    for count in range(1, 21):
        watch.see(180, news(count))
    assert [str(notice.transition) for _, notice in watch.told] == ["told"] * 4
    assert [notice.count for _, notice in watch.told] == [1, 1, 4, 6]
    watch.see(REPEAT * 8, news(20))
    assert sum(notice.count for _, notice in watch.told) == 20


# -- the end of the gateway -----------------------------------------------------------------------------------


def test_what_is_watched_here_no_more_is_closed_at_once() -> None:
    """There is nothing to wait for, whether it was open or quiet already; the message says why."""
    watch = Watch()
    watch.watched = {"main"}
    assert watch.see(10, DOWN, FAILURES) == ["opened", "opened"]
    assert watch.see(1, DOWN) == []
    watch.watched = set()
    assert watch.see(1) == ["closed", "closed"]
    assert LEFT in watch.last.condition.text
    assert watch.see(300) == []
    watch.watched = {"main"}
    assert watch.see(5, DOWN) == ["opened"]


def test_what_no_wallet_has_is_watched_while_there_is_any_and_what_is_of_the_gateway_for_ever() -> None:
    """A ledger that nobody needs here any more is over at once; gateways that disagree may do so again."""
    ledger, odd = Condition(Kind.READ_ONLY, "", "", "no room"), condition(Kind.GATEWAYS, "")
    watch = Watch()
    watch.watched = {"other"}
    assert watch.see(10, ledger, odd, news(1)) == ["opened", "told", "opened"]
    assert watch.see(2) == []
    watch.watched = set()
    assert watch.see(2) == ["closed"]
    assert watch.last.condition.kind is Kind.READ_ONLY
    assert watch.see(SETTLE) == ["closed"]


def test_what_nobody_was_told_of_is_forgotten_where_it_is_watched_no_more() -> None:
    """Nothing was opened, and nothing is closed."""
    watch = Watch()
    watch.watched = set()
    assert watch.see(1, DOWN) == []
    assert watch.see(300) == []
    assert watch.alerts == {}


def test_a_gateway_that_stops_closes_what_it_has_opened() -> None:
    """Nobody else would; news and what nobody was told of are left alone."""
    watch = Watch()
    watch.see(60, FAILURES, news(1), DOWN)
    watch.see(1, FAILURES, news(1), condition(Kind.MEMORY))
    closings = close_all(watch.alerts, watch.now)
    assert [(one.transition, one.condition.kind, one.seconds) for one in closings] == [
        (Transition.CLOSED, Kind.FAILURES, 60.0),
        (Transition.CLOSED, Kind.ALL_DOWN, 60.0),
    ]
    assert closings[0].condition.text == "failures at ec-1 (this gateway stops, and looks no more)"


# -- whatever comes -------------------------------------------------------------------------------------------

ANY = st.sampled_from([FAILURES, DOWN, HALF, condition(Kind.MEMORY), condition(backend="ec-2"), news(1), news(2)])
HISTORIES = st.lists(st.tuples(st.integers(1, 400), st.lists(ANY, unique_by=lambda one: one.key)), max_size=12)


@pytest.mark.long
@given(HISTORIES)
def test_whatever_comes_and_goes_openings_and_closings_take_turns(history: list[tuple[int, list[Condition]]]) -> None:
    """For each alert: opened, repeated any number of times, closed, and so on; and all are closed in the end."""
    watch = Watch()
    for seconds, holding in [*history, (REPEAT + 2, [])]:
        watch.see(seconds, *holding)
    is_open: dict[Key, bool] = {}
    for _, notice in watch.told:
        key = notice.condition.key
        match notice.transition:
            case Transition.OPENED:
                assert not is_open.get(key)
                is_open[key] = True
            case Transition.REPEATED:
                assert is_open[key]
            case Transition.CLOSED:
                assert is_open[key]
                is_open[key] = False
            case Transition.TOLD:
                assert notice.condition.row.is_news
        assert notice.seconds >= 0.0
    assert not any(is_open.values())


@pytest.mark.long
@given(HISTORIES, st.sampled_from([FAILURES, DOWN]))
def test_no_history_floods(history: list[tuple[int, list[Condition]]], about: Condition) -> None:
    """Of one alert no more than its first settling allows at once, and then a message in a minute or two."""
    watch = Watch()
    for seconds, holding in history:
        watch.see(seconds, *holding)
    at = [at for at, notice in watch.told if notice.condition.key == about.key]
    assert all(later[0] - earlier >= SETTLE for earlier, later in zip(at, zip(at[2:]), strict=False))
    assert len(at) <= 6 + (watch.now - 1000.0) / 60


@pytest.mark.parametrize("stage", list(Stage))
def test_each_stage_is_a_word(stage: Stage) -> None:
    """For the status line."""
    assert stage.value == stage.name.lower()
