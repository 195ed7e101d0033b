"""Which daemons serve and why not: what events say exactly, and what a look sets right."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.base.events import Event
from gateway.rules import health
from gateway.rules.conditions import BackendView, WalletView
from gateway.rules.service import DRAINED, PLANNED, READ_ONLY, RESTARTING, STARTING, Service, Services, hear, look


def said(name: str, backend: str = "ec-1", **fields: object) -> Event:
    """An event of main."""
    return Event(name, "main", backend, fields)


def after(*events: Event, services: Services | None = None) -> Services:
    """How everything serves after events."""
    found = services or Services()
    for event in events:
        found = hear(found, event)
    return found


def of(services: Services, backend: str = "ec-1") -> Service:
    """One backend, or the wallet."""
    return services.places()["main", backend]


READY, OTHER = said("backend.ready"), said("backend.ready", "ec-2")
WEDGED = said("backend.ejected", kind="wedged", reason="silent")


def test_a_daemon_that_has_never_served_is_starting_and_nothing_is_wrong() -> None:
    """Everybody starts once; out is only who should serve."""
    services = after(said("backend.starting", reason="not heard of"))
    assert (of(services).word, of(services).is_out, of(services, "").is_out) == (STARTING, False, False)


@pytest.mark.parametrize(
    ("event", "word"),
    [
        (WEDGED, "wedged"),
        (said("backend.ejected"), "unknown"),
        (said("backend.failed"), "failed"),
        (said("backend.starting"), STARTING),
        (said("backend.draining"), RESTARTING),
        (said("backend.restarting"), RESTARTING),
        (said("backend.drained"), DRAINED),
    ],
)
def test_what_took_it_out_is_a_word(event: Event, word: str) -> None:
    """Of a short list; and it is back by the event that says so, unless it is drained."""
    services = after(READY, event)
    assert (of(services).word, of(services).is_out) == (word, True)
    back = hear(services, said("backend.undrained")) if word == DRAINED else hear(services, said("backend.warming"))
    assert of(back).is_serving


@pytest.mark.parametrize(("cause", "word"), [("order", PLANNED), ("cron", PLANNED), ("wedged", RESTARTING)])
def test_a_restart_that_somebody_meant_is_told_from_one_that_was_needed(cause: str, word: str) -> None:
    """Until it is over, well or not."""
    services = after(READY, said("restart.begun", cause=cause), said("backend.draining"), said("backend.restarting"))
    assert (of(services).word, of(services).is_planned) == (word, word == PLANNED)
    services = after(said("backend.warming"), services=services)
    assert (of(services).is_serving, of(services).is_planned) == (True, False)


def test_a_restart_that_was_meant_and_failed_is_meant_no_more() -> None:
    """What it does after that nobody wanted."""
    services = after(
        READY, said("restart.begun", cause="order"), said("backend.restarting"),
        said("backend.ejected", kind="dead", reason="refused"), said("restart.failed"),
    )  # fmt: skip
    assert (of(services).word, of(services).is_planned, of(services).reason) == ("dead", False, "refused")


def test_a_drained_daemon_stays_out_while_its_phase_goes_on() -> None:
    """And somebody has meant all of it."""
    services = after(READY, said("backend.drained"), WEDGED, said("restart.begun", cause="wedged"))
    assert (of(services).word, of(services).is_planned) == (DRAINED, True)
    services = after(said("backend.restarting"), said("backend.warming"), services=services)
    assert (of(services).word, of(services).is_planned) == (DRAINED, True)
    assert of(hear(services, said("backend.undrained"))).is_serving


def test_a_wallet_serves_while_one_of_its_daemons_does() -> None:
    """Its word is made of theirs, and its reason names them."""
    services = after(READY, OTHER, WEDGED)
    assert of(services, "").is_serving
    services = after(said("backend.ejected", "ec-2", kind="dead"), services=services)
    assert (of(services, "").word, of(services, "").reason) == ("dead+wedged", "ec-1: silent; ec-2: dead")
    assert of(services, "").is_out


def test_a_wallet_without_its_ledger_cannot_be_used() -> None:
    """Reads alone do not feed a shop; a look sees it, and sees when it is over."""
    services = look(after(READY), [WalletView("main", (BackendView("ec-1"),), ledger_error="disk full")])
    assert (of(services, "").word, of(services, "").reason, of(services).is_serving) == (READ_ONLY, "disk full", True)
    assert of(look(services, [WalletView("main", (BackendView("ec-1"),))]), "").is_serving


def test_what_was_not_told_is_seen() -> None:
    """A daemon of which no event came: in service, drained, sick, or in care."""
    views = [
        BackendView("ec-1"),
        BackendView("ec-2", is_serving=False, is_drained=True),
        BackendView("ec-3", is_serving=False, kind=health.Kind.WEDGED, reason="silent"),
        BackendView("ec-4", is_serving=False, is_in_care=True),
    ]
    services = look(
        after(*(said("backend.ready", f"ec-{n}") for n in (1, 2, 3, 4))), [WalletView("main", tuple(views))]
    )
    words = [of(services, view.name).word for view in views]
    assert words == ["", DRAINED, "wedged", RESTARTING]
    back = look(services, [WalletView("main", tuple(BackendView(one.name) for one in views))])
    assert all(of(back, view.name).is_serving for view in views)


def test_what_is_gone_is_forgotten_and_what_others_hold_is_not_seen() -> None:
    """A view without backends is of a wallet that another gateway has."""
    services = after(READY, OTHER)
    services = look(services, [WalletView("main", (BackendView("ec-2"),)), WalletView("other", has_no_holder=True)])
    assert list(services.places()) == [("main", ""), ("main", "ec-2")]


def test_nothing_new_is_the_same_object() -> None:
    """So that a look that shows nothing costs nothing further on."""
    services = look(Services(), [WalletView("main", (BackendView("ec-1"),))])
    assert look(services, [WalletView("main", (BackendView("ec-1"),))]) is services
    assert hear(services, said("backend.ready")) is services
    assert hear(services, said("call.outcome_unknown")) is services
    assert hear(services, Event("backend.drained", "main")) is services


def test_no_reason_holds_an_address() -> None:
    """Daemons put anything into their words."""
    services = after(READY, said("backend.ejected", kind="dead", reason="qz" + "4v" * 20))
    assert "4v4v" not in of(services).reason


EVENTS = [
    READY, OTHER, WEDGED, said("backend.ejected", "ec-2", kind="dead"), said("backend.warming"), said("backend.failed"),
    said("backend.draining"), said("backend.restarting"), said("restart.begun", cause="order"), said("restart.failed"),
    said("restart.begun", cause="dead"), said("backend.drained"), said("backend.undrained"), said("backend.starting"),
]  # fmt: skip


@given(events=st.lists(st.sampled_from(EVENTS)), is_serving=st.booleans(), is_drained=st.booleans())
def test_a_look_is_always_right(events: list[Event], *, is_serving: bool, is_drained: bool) -> None:
    """Whatever was heard before, what is seen counts; and the wallet serves exactly if one of its daemons does."""
    is_serving = is_serving and not is_drained
    view = BackendView("ec-1", is_serving=is_serving, is_drained=is_drained, kind=health.Kind.DEAD)
    services = look(after(*events), [WalletView("main", (view,))])
    found = of(services)
    assert (found.is_serving, found.is_drained, bool(found.word)) == (is_serving, is_drained, not is_serving)
    assert of(services, "").is_serving == is_serving
