"""Events are facts: nobody changes one that has happened."""

import dataclasses

import pytest

from gateway.base.events import Event


def test_an_event_cannot_be_changed() -> None:
    """Several sinks get the same one."""
    event = Event("backend.ejected", "main", "ec-1")
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.name = "backend.healed"  # type: ignore[misc]  # that it cannot be done is the test


def test_events_share_no_fields() -> None:
    """What one holds does not appear in the next."""
    Event("a").fields["x"] = 1
    assert Event("b").fields == {}
    assert Event("b").level == "info"
