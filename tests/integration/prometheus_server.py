"""A real Prometheus of the tests' own: own folder, own port, loopback alone, and always ended."""

import json
import os
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.gateway_process import wait_until

WAY_OUT = "apt-get install -y --no-install-recommends prometheus"

EVERY = "1s"
"""Between two scrapes, and between two looks at the rules."""

RATE_INTERVAL = "5s"
"""What Grafana makes of $__rate_interval for that: four scrapes at least."""


class Prometheus:
    """One that scrapes.

    Args:
        targets: host:port by the name under which each is shown.
        rules: files with rules.
        folder: what `data` in it holds already is in the answers as well.
    """

    def __init__(self, folder: Path, port: int, targets: Mapping[str, str], rules: Sequence[Path]) -> None:
        """Start it; `wait_ready` waits for it."""
        folder.mkdir(parents=True, exist_ok=True)
        config = {
            "global": {"scrape_interval": EVERY, "scrape_timeout": EVERY, "evaluation_interval": EVERY},
            "rule_files": [str(path) for path in rules],
            "scrape_configs": [
                {
                    "job_name": "ec-gateway",
                    "static_configs": [
                        {"targets": [address], "labels": {"instance": name}} for name, address in targets.items()
                    ],
                }
            ],
        }
        file = folder / "prometheus.yml"
        file.write_text(yaml.safe_dump(config), encoding="utf-8")
        self.url = f"http://127.0.0.1:{port}"
        self.log = folder / "log"
        program = shutil.which("prometheus")
        assert program is not None
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [program, f"--config.file={file}", f"--storage.tsdb.path={folder / 'data'}",
                 f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    def wait_ready(self, count: int) -> None:
        """Wait until it has scraped so many targets."""

        def all_are_up() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            try:
                found = self.ask("targets")["activeTargets"]
            except OSError:
                return False
            return [one["health"] for one in found] == ["up"] * count

        wait_until(all_are_up, "it has scraped all")

    def ask(self, path: str, **words: object) -> Any:
        """Ask its API; what it does not understand is an error."""
        query = urllib.parse.urlencode(words)
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=10) as answer:  # noqa: S310 - ours
            found = json.load(answer)
        assert found["status"] == "success", found
        assert not found.get("warnings"), found
        return found["data"]

    def over(self, expression: str, start: float, end: float) -> list[Any]:
        """What an expression was over a time: its series, each with its samples."""
        found = self.ask("query_range", query=expression, start=start, end=end, step=1)["result"]
        assert isinstance(found, list)
        return found

    def end(self) -> None:
        """End it; nothing of it is wanted any more."""
        self.process.kill()
        self.process.wait()


@contextmanager
def running(folder: Path, port: int, targets: Mapping[str, str], rules: Sequence[Path]) -> Iterator[Prometheus]:
    """Start one; where it is not installed, say so, or fail where real components are wanted."""
    require()
    one = Prometheus(folder, port, targets, rules)
    try:
        one.wait_ready(len(targets))
        yield one
    finally:
        one.end()


def require() -> None:
    """Skip, or fail where real components are wanted, when there is none."""
    if shutil.which("prometheus") is None:
        assert os.environ.get("ECGW_REQUIRE_REAL") != "1", WAY_OUT
        pytest.skip(f"Prometheus is not installed; the way out: {WAY_OUT}")
