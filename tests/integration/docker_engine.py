"""A private Docker engine for the tests, and an image of a sandbox wallet in it.

A test module asks for it by `pytest_plugins = ("tests.integration.docker_engine",)` and the fixture `engine`.
"""

import os
from collections.abc import Iterator
from typing import NoReturn

import pytest

from tests.integration import docker_wallet
from tests.integration.docker_rootfs import tarball
from tests.integration.private_engine import IMAGE, WAY_OUT, Engine, OccupiedError, bare_engine, lacking

WALLET_IMAGE = "ecgw-sandbox-wallet:test"


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """The engine of this session, with the base image in it."""
    lack = lacking("mmdebstrap")
    if lack:
        _give_up(f"{lack}; the way out: {WAY_OUT}")
    try:
        with bare_engine() as one:
            one.run("import", "-c", "ENV LANG=C.UTF-8", "-c", 'CMD ["python3"]', str(tarball()), IMAGE)
            yield one
    except OccupiedError as error:
        _give_up(str(error))


@pytest.fixture(scope="session")
def wallet_image(engine: Engine) -> str:
    """The name of an image that runs one sandbox wallet daemon; what it takes is told by docker_wallet."""
    engine.run("build", "--quiet", "--tag", WALLET_IMAGE, "-", given=docker_wallet.context(engine.image))
    return WALLET_IMAGE


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let no test pay for the start of the engine, which builds an image on a fresh machine."""
    for item in items:
        if "engine" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(120, func_only=True), append=False)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say aloud what was left out, because a skipped test is one letter among many."""
    skipped = terminalreporter.stats.get("skipped", [])
    if any("no Docker engine can be started" in str(report.longrepr) for report in skipped):
        terminalreporter.section("NOT TESTED AGAINST A REAL DOCKER ENGINE", sep="*", red=True)
        terminalreporter.line(f"The way out: {WAY_OUT}")


def _give_up(reason: str) -> NoReturn:
    told = f"no Docker engine can be started here: {reason}"
    if os.environ.get("ECGW_REQUIRE_REAL") == "1":
        pytest.fail(told)
    pytest.skip(told)


__all__ = ["Engine", "engine", "wallet_image"]
