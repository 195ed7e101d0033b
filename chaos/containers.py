"""A run whose wallets live in containers of a Docker engine of its own, which the gateway starts and ends.

Rule: the engine is the tests' own: nothing of the machine's is touched, and nothing is left.  The containers have no
image to speak of: they see the folders of this machine that a wallet needs, its network and its processes, so that the
checker knows a wallet by the same process ids as ever.
"""

import io
import os
import shlex
import sys
import tarfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.checker.launched import ROOT
from tests.integration.private_engine import Engine, bare_engine

if TYPE_CHECKING:
    from chaos.stage import Stage

KEEP = "engine"

IMAGE = "ecgw-chaos-bare"

MEMORY = "192m"
"""What a wallet may take, four times what it does take."""

FOLDERS = ("/usr", "/etc", ROOT, sys.prefix, sys.base_prefix)
"""Of this machine, to look at: with a Python in them that has what a wallet imports."""

LINKS = ("bin", "lib", "lib64", "sbin")
"""What is in /usr on any merged system."""

CGROUPS = Path("/sys/fs/cgroup")


class Contained:
    """A fault of a wallet's container."""

    name = ""
    lane = "wallet"
    needs = frozenset({"docker"})
    also_peers = False

    async def prepare(self, stage: "Stage") -> None:
        """Start the engine and make the containers, one for each wallet; nothing happens when they are there."""
        if KEEP in stage.keep:
            return
        around = ExitStack()
        stage.keep[KEEP] = around
        engine = await stage.by_hand(around.enter_context, bare_engine())
        await stage.by_hand(_make, engine, stage.folder, stage.launchers)
        stage.keep["containers"] = engine

    async def tidy(self, stage: "Stage") -> None:
        """End engine and containers, the paused ones too: what stands still is deaf to the end of the run."""
        around: ExitStack | None = stage.keep.pop(KEEP, None)
        if around is not None:
            for one in stage.wallets:
                if one.is_alive:
                    one.mark()
            await stage.by_hand(around.close)

    async def order(self, stage: "Stage", target: int, verb: str) -> None:
        """Give an order about a wallet's container; one that comes too late does nothing."""
        engine: Engine = stage.keep["containers"]
        await stage.wallets[target].by_hand(lambda: engine.run(verb, _name(target), check=False, timeout=20.0))


def is_paused(pid: int) -> bool:
    """Whether the kernel keeps a process from running by its group (the freezer of either version)."""
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if controllers == "freezer":
            return _says(CGROUPS / "freezer" / group[1:] / "freezer.state", "FROZEN")
        if not controllers and _says(CGROUPS / group[1:] / "cgroup.freeze", "1"):
            return True
    return False


def _says(file: Path, word: str) -> bool:
    try:
        return file.read_text(encoding="utf-8").strip() == word
    except OSError:
        return False


def _name(wallet: int) -> str:
    return f"ecgw-chaos-wallet-{wallet}"


def _make(engine: Engine, folder: Path, launchers: Sequence[dict[str, Any]]) -> None:
    engine.run("import", "-", IMAGE, given=_roots())
    for wallet, launcher in enumerate(launchers):
        words = [*_options(folder, launcher["env"]), "--name", _name(wallet), IMAGE]
        engine.run("create", *words, "sh", "-c", _command(launcher))
        launcher.clear()
        launcher |= {"kind": "docker", "container": _name(wallet), "host": f"unix://{engine.socket}"}


def _command(launcher: Mapping[str, Any]) -> str:
    return f"exec {shlex.join(launcher['command'])} >> {shlex.quote(launcher['output'])} 2>&1"


def _options(folder: Path, environment: Mapping[str, str]) -> list[str]:
    places = [f"{place}:{place}:ro" for place in dict.fromkeys(str(Path(one)) for one in FOLDERS)]
    words = ["--pid=host", "--network=host", f"--memory={MEMORY}", f"--memory-swap={MEMORY}", f"--workdir={ROOT}"]
    for place in [*places, f"{folder}:{folder}"]:
        words += ["--volume", place]
    for name, value in {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environment}.items():
        words += ["--env", f"{name}={value}"]
    return words


def _roots() -> bytes:
    """Return an image of nothing but the names of folders, for those of the machine to be seen at."""
    found = io.BytesIO()
    with tarfile.open(fileobj=found, mode="w") as tar:
        for name in ("proc", "sys", "dev", "tmp"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(folder)
        for name in LINKS:
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, f"usr/{name}"
            tar.addfile(link)
    return found.getvalue()
