"""Since when a wallet is held here, and who is primary in whose place."""

import asyncio
from typing import Any

import pytest

from gateway.base.events import Event
from gateway.edge.admin_history import AdminHistory
from gateway.observe.history import History
from gateway.observe.moments import Moments
from tests.virtual_time import run_virtual

AT = 1_800_000_000.0
HELD: dict[str, Any] = {"lease": {"held": True, "holder": "gw-1"}, "primary": "ec-2", "backends": []}
ELSEWHERE: dict[str, Any] = {"lease": {"held": False, "holder": "gw-2"}}
PROMOTED = Event("primary.promoted", "main", "ec-2", {"before": "ec-1", "reason": "wedged, silent"})


def test_since_when_a_wallet_is_held_is_known_while_it_is() -> None:
    """Of the last holding; nothing is known of another gateway's, nor of one that began before anybody listened."""
    moments = Moments()
    assert moments.of("main", HELD)["lease"] == {"held": True, "holder": "gw-1", "since": None}
    moments.hear(Event("lease.gained", "main", "", {"term": 2}), AT + 0.04)
    found = moments.of("main", HELD)
    assert found["lease"] == found["holder"] == {"held": True, "holder": "gw-1", "since": AT}
    assert moments.of("shop", HELD)["lease"] == {"held": True, "holder": "gw-1", "since": None}
    # the lease may be over by the clock before anybody was told
    elsewhere = {"held": False, "holder": "gw-2", "since": None}
    assert moments.of("main", ELSEWHERE) == {"lease": elsewhere, "holder": elsewhere}
    moments.hear(Event("lease.lost", "main"), AT + 5.0)
    assert moments.of("main", HELD)["lease"] == {"held": True, "holder": "gw-1", "since": None}


def test_a_gateway_that_is_alone_has_no_lease() -> None:
    """And none is made up for it."""
    assert Moments().of("main", {"primary": "ec-1", "backends": []}) == {"promoted": None}


def test_who_is_primary_in_whose_place_is_known_until_that_one_is_back() -> None:
    """Or until it is so no more."""
    moments = Moments()
    moments.hear(PROMOTED, AT)
    told = {"backend": "ec-2", "before": "ec-1", "at": AT}
    assert moments.of("main", HELD)["promoted"] == told
    assert moments.of("main", {**HELD, "primary": "ec-3"})["promoted"] is None
    assert "promoted" not in moments.of("main", ELSEWHERE)
    moments.hear(Event("backend.ready", "main", "ec-3"), AT + 1.0)
    moments.hear(Event("backend.ready", "shop", "ec-1"), AT + 1.0)
    assert moments.of("main", HELD)["promoted"] == told
    moments.hear(Event("backend.ready", "main", "ec-1"), AT + 2.0)
    assert moments.of("main", HELD)["promoted"] is None


@pytest.mark.parametrize("name", ["lease.lost", "backend.ready"])
def test_what_is_over_was_not_necessarily_heard_of_before(name: str) -> None:
    """As by a gateway that has just started."""
    moments = Moments()
    moments.hear(Event(name, "main", "ec-1"), AT)
    assert moments.of("main", HELD)["promoted"] is None


def test_the_history_hears_of_them_and_the_operators_door_tells_them() -> None:
    """Whoever asks for the snapshot is told since when it is so."""

    async def scene() -> None:
        history = History(list, lambda _event: None, lambda: AT, asyncio.get_running_loop(), "gw-1", "aa")
        history.hear(Event("lease.gained", "main", "", {"gateway": "gw-1", "term": 2, "former": "gw-2"}))
        history.hear(PROMOTED)
        found = AdminHistory(history.past, lambda: AT).moments("main", HELD)
        assert found["lease"] == {"held": True, "holder": "gw-1", "since": AT}
        assert found["promoted"] == {"backend": "ec-2", "before": "ec-1", "at": AT}

    run_virtual(scene())
