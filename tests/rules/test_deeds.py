"""Restarts and orders: each has one row from its beginning, and one end."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.base.events import Event
from gateway.rules.deeds import (
    BROKEN_OFF,
    BY_COMMAND,
    BY_RULE,
    BY_SCHEDULE,
    DONE,
    FAILED,
    HOUR,
    MOST_OPEN,
    OPEN,
    REFUSALS,
    REFUSED,
    Deed,
    Deeds,
    Order,
    Restart,
    end,
    hear,
)

AT = 1_800_000_000.0


class Watch:
    """Events one after the other, and the last version of every row."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.at = AT
        self.deeds = Deeds("life")
        self.rows: dict[str, Deed] = {}

    def hear(self, name: str, backend: str = "ec-1", **fields: object) -> None:
        """Take in an event, a second after the last."""
        self.at += 1.0
        self.deeds, changed = hear(self.deeds, Event(name, "main", backend, fields), self.at)
        self.rows |= {one.id: one for one in changed}

    def end(self) -> None:
        """Stop."""
        self.deeds, changed = end(self.deeds, self.at, "the gateway stops")
        self.rows |= {one.id: one for one in changed}

    def restarts(self) -> list[Restart]:
        """In their order."""
        return [one for one in self.rows.values() if isinstance(one, Restart)]

    def orders(self) -> list[Order]:
        """In their order."""
        return [one for one in self.rows.values() if isinstance(one, Order)]


def test_a_restart_says_why_by_whom_how_long_and_how_it_ended() -> None:
    """From when it was begun until it was done, and what is missing though it was."""
    watch = Watch()
    watch.hear("restart.begun", cause="wedged", reason="silent")
    assert watch.restarts()[0].outcome == OPEN
    watch.hear("restart.done", took=1.0, synced=True, aligned=False)
    (one,) = watch.restarts()
    assert (one.cause, one.reason, one.by, one.outcome) == ("wedged", "silent", BY_RULE, DONE)
    assert (one.began_at, one.ended_at, one.detail) == (AT + 1.0, AT + 2.0, "not yet with all addresses")


def test_a_restart_that_failed_says_where() -> None:
    """The step and the reason."""
    watch = Watch()
    watch.hear("restart.begun", cause="dead")
    watch.hear("restart.failed", step="start", reason="no such container")
    (one,) = watch.restarts()
    assert (one.outcome, one.step, one.detail) == (FAILED, "start", "no such container")


@pytest.mark.parametrize("cause", ["cron", "age", "memory"])
def test_a_restart_by_schedule_is_told_as_that(cause: str) -> None:
    """Somebody has configured it."""
    watch = Watch()
    watch.hear("restart.begun", cause=cause)
    assert watch.restarts()[0].by == BY_SCHEDULE


def test_a_restart_that_was_ordered_names_who_gave_the_order() -> None:
    """The person, or from where he came; each order counts for one."""
    watch = Watch()
    watch.hear("order.given", verb="restart", who="kim", by="session", peer="10.0.0.9:4", reason="new disk")
    watch.hear("restart.begun", cause="order")
    watch.hear("restart.done")
    watch.hear("order.given", verb="restart", peer="10.0.0.9:4")
    watch.hear("restart.begun", cause="order")
    watch.hear("restart.done")
    watch.hear("restart.begun", cause="order")
    assert [one.by for one in watch.restarts()] == ["kim", "10.0.0.9:4", "an operator"]


def test_a_restart_that_is_begun_again_has_lost_the_first() -> None:
    """A reload may take a backend away in the middle, and nobody tells the end."""
    watch = Watch()
    watch.hear("restart.begun", cause="dead")
    watch.hear("restart.begun", cause="dead")
    assert [one.outcome for one in watch.restarts()] == [BROKEN_OFF, OPEN]


def test_an_end_without_a_beginning_is_nothing() -> None:
    """It was begun before this gateway listened."""
    watch = Watch()
    watch.hear("restart.done")
    assert watch.rows == {}


def test_an_order_says_who_when_what_and_the_answer() -> None:
    """Of the same daemon and the same verb."""
    watch = Watch()
    watch.hear("order.given", verb="drain", who="kim", by="session", peer="10.0.0.9:4", reason="new disk")
    watch.hear("order.given", "ec-2", verb="drain", who="lee", by="token")
    watch.hear("order.done", verb="drain", answer="it gets no more calls")
    watch.hear("order.failed", "ec-2", verb="drain", answer="it is the last")
    one, two = watch.orders()
    assert (one.who, one.by, one.peer, one.verb, one.reason) == ("kim", "session", "10.0.0.9:4", "drain", "new disk")
    assert (one.outcome, one.answer, one.at, one.done_at) == (DONE, "it gets no more calls", AT + 1.0, AT + 3.0)
    assert (two.backend, two.outcome, two.answer) == ("ec-2", FAILED, "it is the last")


def test_two_orders_of_one_kind_keep_their_answers_apart() -> None:
    """Each repeats its number; one that nobody has given takes no other one's row."""
    watch = Watch()
    watch.hear("order.given", "", verb="resolve", outcome="call-7", executed=True, reason="paid", order="door-1")
    watch.hear("order.given", "", verb="resolve", outcome="call-8", executed=False, order="door-2")
    watch.hear("order.failed", "", verb="resolve", answer="call 8 is resolved", order="door-2")
    watch.hear("order.done", "", verb="resolve", answer="call 7 is closed", order="door-1")
    watch.hear("order.done", "", verb="resolve", answer="call 9 is closed", order="door-3")
    assert [(one.reason, one.answer) for one in watch.orders()] == [
        ("call-7 executed=yes: paid", "call 7 is closed"), ("call-8 executed=no", "call 8 is resolved"),
        ("", "call 9 is closed"),
    ]  # fmt: skip
    assert watch.deeds.orders == {}


def test_a_number_that_is_there_already_drives_nobody_out() -> None:
    """As after a ledger that was put back: both have their row, and the end of the gateway ends both."""
    watch = Watch()
    watch.hear("order.given", "", verb="promote", order="ledger-1")
    watch.hear("order.given", "", verb="reinit", order="ledger-1")
    assert len(watch.deeds.orders) == 2
    watch.end()
    assert [one.outcome for one in watch.orders()] == [BROKEN_OFF, BROKEN_OFF]


@pytest.mark.parametrize(
    ("fields", "about"),
    [
        ({"outcome": "call-7", "executed": False}, "call-7 executed=no"),
        ({"outcome": f"key-{'ab' * 32}-shop", "executed": False}, "key-abababababab-shop executed=no"),
        ({"outcome": f"broadcast-{'cd' * 32}"}, "broadcast-cdcdcdcdcdcd"),
        ({"outcome": "key-of-mrs-kim-4711", "executed": True}, "an outcome that is none executed=yes"),
        ({"outcome": "order-4711"}, "an outcome that is none"), ({}, ""),
    ],
)  # fmt: skip
def test_the_row_of_an_order_says_what_it_is_about(fields: dict[str, Any], about: str) -> None:
    """An outcome by its id, which holds no key of a client in the clear and no whole hash."""
    watch = Watch()
    watch.hear("order.given", verb="resolve", **fields)
    assert watch.orders()[0].reason == about


def test_a_switch_says_in_its_verb_that_it_was_taken_back_and_nobody_gave_a_reason() -> None:
    """Whether it is on is no reason; the answer finds its row also where it has no number."""
    watch = Watch()
    for on in (True, False):
        watch.hear("order.given", verb="switch freeze", who="kim", reason="", on=on)
        watch.hear("order.done", verb="switch freeze", answer=f"on: {on}", on=on)
    assert [(one.verb, one.reason, one.answer) for one in watch.orders()] == [
        ("switch freeze", "", "on: True"), ("switch freeze off", "", "on: False"),
    ]  # fmt: skip


def test_an_order_that_nobody_told_of_before_is_known_by_its_answer() -> None:
    """It was left in the ledger."""
    watch = Watch()
    watch.hear("order.done", "", verb="promote", argument="ec-2", answer="ec-2 is primary")
    (one,) = watch.orders()
    assert (one.by, one.verb, one.reason, one.outcome) == (BY_COMMAND, "promote", "ec-2", DONE)


def test_an_order_that_was_refused_is_in_the_trail() -> None:
    """With the reason."""
    watch = Watch()
    watch.hear("order.refused", "", peer="10.0.0.9:4", why="wrong token")
    (one,) = watch.orders()
    assert (one.outcome, one.answer, one.peer) == (REFUSED, "wrong token", "10.0.0.9:4")


def test_whoever_guesses_tokens_drives_nothing_out_of_the_trail() -> None:
    """A few refusals in an hour have rows of their own; the last one counts the rest, and the next hour begins anew."""
    watch = Watch()
    for _ in range(REFUSALS + 30):
        watch.hear("order.refused", "", peer="10.0.0.9:4", why="wrong token")
    assert len(watch.orders()) == REFUSALS
    assert watch.orders()[-1].answer == "wrong token; and 30 more within an hour"
    watch.at += HOUR
    watch.hear("order.refused", "", peer="10.0.0.9:4", why="wrong token")
    assert (len(watch.orders()), watch.orders()[-1].answer) == (REFUSALS + 1, "wrong token")


def test_orders_under_way_are_bounded() -> None:
    """Each that is forgotten has its row all the same."""
    watch = Watch()
    for number in range(MOST_OPEN + 5):
        watch.hear("order.given", f"ec-{number}", verb="drain")
    assert len(watch.deeds.orders) == MOST_OPEN
    assert len(watch.orders()) == MOST_OPEN + 5


def test_other_events_are_of_no_interest() -> None:
    """Most are."""
    watch = Watch()
    watch.hear("backend.ready")
    assert watch.deeds == Deeds("life")


NAMES = st.sampled_from(["restart.begun", "restart.done", "restart.failed", "order.given", "order.done",
                         "order.failed", "order.refused"])  # fmt: skip


@given(st.lists(st.tuples(NAMES, st.sampled_from(["ec-1", "ec-2"]))))
def test_whatever_was_begun_ends_once_wherever_it_is_broken_off(events: list[tuple[str, str]]) -> None:
    """Every beginning has a row of its own; after the end of the gateway none is open."""
    watch = Watch()
    for name, backend in events:
        watch.hear(name, backend, verb="restart", cause="order")
    begun = sum(name == "restart.begun" for name, _ in events)
    given_ones = sum(name == "order.given" for name, _ in events)
    assert len(watch.restarts()) == begun
    assert len(watch.orders()) >= given_ones
    watch.end()
    assert all(one.outcome != OPEN for one in watch.rows.values())
    assert all(one.ended_at is not None for one in watch.restarts())
    assert all(one.done_at is not None for one in watch.orders())
