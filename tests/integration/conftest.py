"""Wallet daemons and gateways that a module's tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.sandbox.fleet import Fleet
from tests.integration.gateway_process import Gateway, backends, settings_for

ELECTRUM_WAY_OUT = "apt-get install -y --no-install-recommends electrum"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say aloud what was left out, because a skipped test is one letter among many."""
    skipped = terminalreporter.stats.get("skipped", [])
    if any("test_electrum" in report.nodeid for report in skipped):
        terminalreporter.section("NOT TESTED AGAINST REAL DAEMONS", sep="*", red=True)
        terminalreporter.line(f"Electrum is not installed; the way out: {ELECTRUM_WAY_OUT}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here talks to real processes."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.integration)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a module's processes write."""
    return tmp_path_factory.mktemp("integration")


@pytest.fixture(scope="module")
def fleet(folder: Path) -> Iterator[Fleet]:
    """Three sandbox daemons on one seed, with some money in their wallet."""
    with Fleet(3, folder / "fleet") as three:
        address = three.rpc(0, "listaddresses")[0]
        for sats in (5_000_000, 7_000_000, 9_000_000):
            three.chain("fund", address=address, sats=sats)
        three.chain("mine", blocks=1)
        yield three


@pytest.fixture(scope="module")
def shared(fleet: Fleet, folder: Path) -> Iterator[Gateway]:
    """A gateway in front of the three."""
    with Gateway(folder / "gateway", settings_for(backends(fleet))) as one:
        yield one


@pytest.fixture
def gateway(shared: Gateway, fleet: Fleet) -> Iterator[Gateway]:
    """The same, with all of its backends well; a test that hurts one heals it, and this looks after it."""
    shared.wait_all_well()
    yield shared
    for index in range(len(fleet)):
        if not fleet.is_alive(index):
            fleet.start(index)
        else:
            fleet.thaw(index)
            fleet.control(index, "heal")
