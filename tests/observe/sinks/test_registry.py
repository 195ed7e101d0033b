"""The registry: kinds by name, those of other packages too, and nothing imported before its time."""

import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.observe import sinks
from gateway.observe.sinks import SINKS, build, check
from gateway.observe.sinks.webhook import Webhook
from tests.fakes_alerts import FakeSink, sink


@pytest.fixture
def points(monkeypatch: pytest.MonkeyPatch) -> list[EntryPoint]:
    """Entry points that installed packages would have."""
    found: list[EntryPoint] = []
    monkeypatch.setattr(sinks, "entry_points", lambda group: EntryPoints(found).select(group=group))
    return found


def test_a_kind_that_nobody_knows_is_told_with_those_there_are() -> None:
    """At check, not at three in the morning."""
    assert check(sink(kind="pigeon")) == [("kind", "is not a kind of sink, got pigeon", "take one of apprise, webhook")]


@pytest.mark.parametrize("kind", SINKS)
def test_each_kind_refuses_keys_that_it_does_not_know(kind: str) -> None:
    """A typing error is found at check."""
    found = check(sink(kind=kind, ulr="https://alerts.example.net/hook"))
    assert ("ulr", "is not a key that is known here") in [one[:2] for one in found]


async def test_a_webhook_is_built() -> None:
    """From its settings."""
    made = build(sink())
    assert repr(made) == "<Webhook alerts.example.net>"
    assert isinstance(made, Webhook)


def test_a_package_brings_a_kind(points: list[EntryPoint], monkeypatch: pytest.MonkeyPatch) -> None:
    """By the entry point; it cannot take the place of ours."""
    made = FakeSink()
    module: Any = SimpleNamespace(check=lambda _sink: [("kind", "is asleep", "wake it")], build=lambda _sink: made)
    monkeypatch.setitem(sys.modules, "pigeon_package", module)
    points += [EntryPoint(kind, "pigeon_package", sinks.GROUP) for kind in ("pigeon", "webhook")]
    assert check(sink(kind="pigeon")) == [("kind", "is asleep", "wake it")]
    assert build(sink(kind="pigeon")) is made
    assert check(sink()) == []


def test_a_package_that_cannot_be_imported_is_told(points: list[EntryPoint]) -> None:
    """Its name is on the line, its traceback is not."""
    points.append(EntryPoint("pigeon", "no_such_package_anywhere", sinks.GROUP))
    [(key, message, _)] = check(sink(kind="pigeon"))
    assert (key, message) == ("kind", "the sink pigeon cannot be loaded (ModuleNotFoundError)")


@pytest.mark.long
def test_nothing_is_imported_of_a_sink_that_nobody_named() -> None:
    """A gateway without sinks pays for none of them."""
    program = (
        "import sys, gateway.app\n"
        "print(sorted(name for name in sys.modules if name in ('apprise', 'aiohttp_retry') or 'sinks.' in name))"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
