"""Compose projects on the tests' engine, and the gateway's images that they run: this tree's, and the one before it.

The rule: a project is brought up and taken away as a user would, with nothing of the user's own.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.docker_wallet import tar

if TYPE_CHECKING:
    # only then: pytest wants to be the first to import a plugin
    from tests.integration.docker_engine import Engine

ROOT = Path(__file__).parents[2]

IMAGE, BEFORE = "ec-gateway:test", "ec-gateway:before"

KNOWS_CLUSTERS = "gateway/cluster.py"
"""A version without this file cannot be one of several gateways."""

STAND_IN = f"""FROM {IMAGE}
USER 0
RUN sed -i 's/^__version__ = .*/__version__ = "0.0.0"/' /opt/ec-gateway/lib/python3*/site-packages/gateway/__init__.py
USER 10001:10001
"""


@dataclass
class Project:
    """One compose file as a project of its own.

    Args:
        files: the first is the project's, the others change it for a test.
        environment: what it is told by variables.
    """

    engine: "Engine"
    name: str
    files: Sequence[Path]
    environment: dict[str, str] = field(default_factory=dict)

    def compose(self, *words: str, check: bool = True, given: str = "", **variables: str) -> str:
        """Run Compose and return what it said on standard output; fails where it fails.

        Args:
            given: what it reads on standard input.
        """
        files = [word for path in self.files for word in ("--file", str(path))]
        own = {"ECGW_IMAGE": IMAGE, "DOCKER_SOCKET": self.engine.socket, **self.environment, **variables}
        done = subprocess.run(
            [program(), "--project-name", self.name, "--project-directory", str(ROOT), *files, *words],
            env={**self.engine.environment, **own},
            input=given,
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )
        if check and done.returncode != 0:
            logs = self.compose("logs", "--no-color", "--tail", "40", check=False) if words[0] == "up" else ""
            pytest.fail(f"compose {' '.join(words)}: {done.stdout}{done.stderr}{logs}")
        return done.stdout

    @contextmanager
    def up(self) -> Iterator["Project"]:
        """Start all of it, wait until it is healthy, and take all of it away."""
        try:
            self.compose("up", "--wait", "--wait-timeout", "110", "--no-build")
            yield self
        finally:
            self.compose("down", "--volumes", "--timeout", "0", "--remove-orphans", check=False)

    def container(self, service: str) -> str:
        """The name of a service's container."""
        return f"{self.name}-{service}-1"

    def inspect(self, service: str) -> dict[str, Any]:
        """What the engine knows of it."""
        (found,) = json.loads(self.engine.run("inspect", self.container(service)))
        assert isinstance(found, dict)
        return found

    def run(self, service: str, *command: str, check: bool = True) -> str:
        """Run a command in a service's container and return what it said."""
        return self.engine.run("exec", self.container(service), *command, check=check, timeout=60)


@cache
def program() -> str:
    """Return where Compose 2 is, fetched where it is not here."""
    fetched = subprocess.run(
        [ROOT / "scripts/compose.sh", "--path"],
        env={**os.environ, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    assert fetched.returncode == 0, fetched.stderr
    return fetched.stdout.strip()


def build(engine: "Engine") -> str:
    """Make the image that the Dockerfile makes and return its name."""
    engine.run("build", "--quiet", "--tag", IMAGE, str(ROOT))
    return IMAGE


def build_before(engine: "Engine") -> str:
    """Make the image of the version before, named BEFORE, and return which that is.

    It is the last tag, or else the newest commit with another gateway than this tree's.  Where that knows nothing of
    several gateways, or there is no history, it is this tree once more, with another number.
    """
    version = _git("describe", "--tags", "--abbrev=0", "HEAD~1").decode().strip() or _commit_before()
    if version and _git("ls-tree", "--name-only", version, KNOWS_CLUSTERS):
        # rights as in a working tree, so that layers are found again
        source = _git("-c", "tar.umask=0022", "archive", "--format=tar", version)
        engine.run("build", "--quiet", "--tag", BEFORE, "-", given=source)
        return version
    engine.run("build", "--quiet", "--tag", BEFORE, "-", given=tar({"Dockerfile": STAND_IN.encode()}))
    return "a stand-in of this tree"


def _commit_before() -> str:
    """Return the newest commit whose gateway is another one; "" where there is none."""
    if _git("status", "--porcelain", "--", "gateway"):
        return "HEAD"
    last = _git("rev-list", "--max-count=1", "HEAD", "--", "gateway").decode().strip()
    return f"{last}~1" if last else ""


def _git(*words: str) -> bytes:
    """Return what Git says, nothing where it fails or is not there."""
    try:
        return subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return b""
