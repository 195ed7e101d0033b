"""What the checker's tests share."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Runs of real processes are integration tests too, so that the quick tests leave them out."""
    for item in items:
        if item.get_closest_marker("checker"):
            item.add_marker(pytest.mark.integration)
