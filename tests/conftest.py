"""How the tests are shared out where several run at once (`--dist loadfile`), and how much they tidy up meanwhile."""

import gc
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

ROOT = Path(__file__).parent.parent

if settings().deadline is not None:
    # a machine that is busy for a fifth of a second is no fault of an example; where CI is set, Hypothesis knows that
    settings.register_profile("patient", deadline=None)
    settings.load_profile("patient")

ENGINE = "docker_engine"
"""One Docker engine serves all who want one: two would fight for the same networks."""


YOUNG, OLDER, OLDEST = 20_000, 20, 50
"""When the collector looks again; its own 700, 10, 10 cost a fifth of the time of the quick tests."""


def pytest_collection_finish() -> None:
    """Leave alone what lives to the end anyway: thousands of tests and all that they import."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, OLDER, OLDEST)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Find what a gateway that was killed in the middle left behind in the test that did it, which knows of it.

    Found later, in a test that knows of no such thing, it would be that one's failure.
    """
    if any(item.get_closest_marker(name) for name in ("simulation", "long")) or any(
        "never awaited" in str(mark.args) for mark in item.iter_markers("filterwarnings")
    ):
        gc.collect()


class ByProcesses(LoadFileScheduling):  # type: ignore[misc]  # xdist ships no types
    """Keeps tests together that share processes: those of a file, and all that use the engine.

    Seeded runs share nothing, so that whoever is free takes the next.
    """

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        if path.startswith("tests/checker/"):
            return nodeid
        return ENGINE if _wants_engine(path) else path


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByProcesses | None:
    """Share files out in their order: what takes long comes early."""
    if config.getvalue("dist") != "loadfile":
        return None
    config.option.loadscopereorder = False
    return ByProcesses(config, log)


@cache
def _wants_engine(path: str) -> bool:
    return f"tests.integration.{ENGINE}" in (ROOT / path).read_text(encoding="utf-8")
