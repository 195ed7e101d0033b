"""The image that the Dockerfile makes with ECGW_COMPILED=1, made and run.

It takes three minutes to make, so that it is made only where the compiled gateway is tried (`make testcompiled`).
"""

import json
import os
import time
from typing import TYPE_CHECKING

import pytest

from tests.integration import docker_compose

if TYPE_CHECKING:
    from tests.integration.private_engine import Engine

pytest_plugins = ("tests.integration.docker_engine",)

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        "ECGW_COMPILED" not in os.environ, reason="an image of the compiled gateway takes three minutes"
    ),
]

PATIENCE = 30.0

SETTINGS = (
    "clients: [{name: a, username: a, password: b}]\n"
    "wallets: {main: {backends: [{name: a, url: 'http://127.0.0.1:1'}]}}\n"
)


@pytest.fixture(scope="module")
def image(engine: "Engine") -> str:
    """Its name."""
    name = f"{docker_compose.IMAGE}-compiled"
    engine.run(
        "build", "--quiet", "--build-arg", "ECGW_COMPILED=1", "--tag", name, str(docker_compose.ROOT), timeout=900
    )
    return name


def test_it_holds_no_tools(engine: "Engine", image: str) -> None:
    """Neither a compiler nor what it was compiled with; nothing of the runtime has gone with them."""
    look = (
        "import importlib.util as u, shutil, gateway.flow.runner as r; "
        "print([n for n in ('pip', 'setuptools', 'mypy', 'mypyc', 'pathspec') if u.find_spec(n)], "
        "[n for n in ('gcc', 'cc', 'ld') if shutil.which(n)], r.__file__.endswith('.so'))"
    )
    assert engine.run("run", "--rm", "--network=none", "--entrypoint=python", image, "-c", look) == "[] [] True"


def test_it_serves_compiled(engine: "Engine", image: str) -> None:
    """Without rights and with a root that nobody can write to, as the other one; the log says which one it is."""
    script = f"cat > /tmp/x.yaml <<'X'\n{SETTINGS}X\nexec ec-gateway run -c /tmp/x.yaml"
    bare = ("--network=none", "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges")
    container = engine.run("run", "--detach", *bare, "--entrypoint=sh", image, "-c", script)
    try:
        end = time.monotonic() + PATIENCE
        while not (told := [line for line in _log(engine, container) if line.get("event") == "gateway.started"]):
            assert time.monotonic() < end, engine.run("logs", container)
            time.sleep(0.2)
        assert told[0]["compiled"] is True
    finally:
        engine.run("rm", "--force", container)


def _log(engine: "Engine", container: str) -> list[dict[str, object]]:
    lines = engine.run("logs", container).splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]
