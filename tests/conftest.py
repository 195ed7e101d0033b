"""How the tests are shared out where several run at once."""

from pathlib import Path

import pytest

ENGINE = "docker"
"""One Docker engine serves all who want one: two would fight for the same networks."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep tests together that share processes: those of a file, and all that use the engine.

    Runs after the same hook of the folders below, which say what is an integration test.

    Seeded runs and histories share nothing, so that whoever is free takes the next.
    """
    integration = Path(__file__).parent / "integration"
    for item in items:
        if item.get_closest_marker("integration") is None or item.get_closest_marker("checker") is not None:
            continue
        wants_engine = integration in item.path.parents and "engine" in getattr(item, "fixturenames", ())
        item.add_marker(pytest.mark.xdist_group(ENGINE if wants_engine else str(item.path)))
