"""Fleets for the tests of the sandbox."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from gateway.sandbox.fleet import Fleet

MakeFleet = Callable[..., Fleet]


@pytest.fixture
def make_fleet(tmp_path: Path) -> Iterator[MakeFleet]:
    """Start fleets that end with the test: ``make_fleet(2)``."""
    with ExitStack() as stack:

        def make(n: int, **options: Any) -> Fleet:
            return stack.enter_context(Fleet(n, tmp_path, **options))

        yield make
