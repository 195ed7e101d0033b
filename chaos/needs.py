"""What a fault needs from the machine, and whether it is there.

Rule: what is missing is said in a sentence with the way out; with ECGW_REQUIRE_REAL=1 it is a failure.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

from tests.integration.private_engine import WAY_OUT, lacking

REQUIRE = "ECGW_REQUIRE_REAL"
"""The variable that makes a missing part of the machine a failure."""


def is_required() -> bool:
    """Whether a scenario that cannot be made here counts as failed."""
    return os.environ.get(REQUIRE) == "1"


def missing(names: frozenset[str]) -> str:
    """Return why some needs are not met, "" if all are."""
    return "; ".join(filter(None, (NEEDS[name]() for name in sorted(names))))


@cache
def _toxiproxy() -> str:
    return _program("toxiproxy-server")


@cache
def _faketime() -> str:
    return _program("faketime")


@cache
def _docker() -> str:
    lack = lacking()
    return f"no Docker engine of one's own: {lack}; the way out: {WAY_OUT}" if lack else ""


@cache
def _netns() -> str:
    if not sys.platform.startswith("linux") or os.geteuid() != 0 or not (found("ip") and found("iptables")):
        return "no network namespaces: they need Linux, root, and Debian's iproute2 and iptables"
    tried = subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False)
    return "" if tried.returncode == 0 else "no network namespaces: this machine does not allow `unshare --net`"


@cache
def _mounts() -> str:
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        return "no mounts: they need Linux and root"
    tried = subprocess.run(
        ["unshare", "--mount", "mount", "-t", "tmpfs", "ecgw", "/mnt"], capture_output=True, check=False
    )
    return "" if tried.returncode == 0 else "no mounts: this machine does not allow them"


@cache
def _postgres() -> str:
    found = shutil.which("postgres") or sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    return "" if found else "no PostgreSQL server: scripts/real_components.sh installs it"


@cache
def _haproxy() -> str:
    return _program("haproxy")


@cache
def _nginx() -> str:
    return _program("nginx")


def found(name: str) -> str | None:
    """Return where a program is, also where only root would look; None where it is not."""
    return shutil.which(name) or shutil.which(name, path="/usr/local/sbin:/usr/sbin:/sbin")


def _program(name: str) -> str:
    return "" if found(name) else f"no {name}: scripts/real_components.sh installs it"


NEEDS: dict[str, Callable[[], str]] = {
    "toxiproxy": _toxiproxy,
    "faketime": _faketime,
    "docker": _docker,
    "netns": _netns,
    "mounts": _mounts,
    "postgres": _postgres,
    "haproxy": _haproxy,
    "nginx": _nginx,
}

DOORS: dict[str, frozenset[str]] = {"haproxy": frozenset({"haproxy"}), "nginx": frozenset({"nginx"})}
"""What a door needs beside Python."""
