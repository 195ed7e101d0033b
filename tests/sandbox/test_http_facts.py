"""The sandbox daemon against the recorded answers of a real one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.sandbox.fleet import Fleet
from tests.sandbox import http_cases

pytestmark = pytest.mark.integration

FACTS: dict[str, dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("http_facts.yaml").read_text())


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[http_cases.Ask]:
    """One daemon with a fresh wallet for all cases; none of them changes it."""
    with Fleet(1, tmp_path_factory.mktemp("fleet"), user=http_cases.USER, password="pw") as fleet:
        yield http_cases.find_own(fleet.port(0), "pw")


def test_every_case_has_its_fact() -> None:
    """A case without a recorded answer would compare nothing."""
    assert list(http_cases.CASES) == list(FACTS)


@pytest.mark.parametrize("name", http_cases.CASES)
def test_the_sandbox_answers_as_the_real_daemon(ask: http_cases.Ask, name: str) -> None:
    """Status line, headers, their order, body and the end of the connection are those of the recording."""
    assert http_cases.normalise(*http_cases.CASES[name](ask), ask.own) == FACTS[name]
