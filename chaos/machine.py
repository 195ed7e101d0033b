"""Where a report's runs were made: the machine and the versions, in words.

Rule: looks once, when the report is written, and says nothing that would tell whose machine it is.
"""

import json
import os
import platform
import re
import subprocess
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from chaos import needs

FILE = "machine.json"

VERSIONS = {"haproxy": ["-v"], "nginx": ["-v"], "toxiproxy-server": ["-version"]}
"""How a program is asked for its version."""

NUMBER = re.compile(r"\d+(?:\.\d+)+")


@dataclass(frozen=True)
class Machine:
    """One machine.

    Args:
        made: when the report was made, in words.
        load: how many processes wanted a core in the last five minutes; with more than cores, times mean little.
    """

    made: str
    cores: int
    load: float
    system: str
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def is_busy(self) -> bool:
        """Whether others were at work, so that times mean little."""
        return self.load > self.cores

    @property
    def words(self) -> str:
        """The whole of it in a line."""
        programs = ", ".join(f"{name} {number}" for name, number in self.versions.items())
        return f"{self.cores} cores, {self.system}, load {self.load:g}; {programs}"


def look() -> Machine:
    """Return this machine as it is now."""
    found = {"ec-gateway": _own(), "Python": platform.python_version()}
    for name, arguments in VERSIONS.items():
        program = needs.found(name)
        if program is not None:
            told = subprocess.run([program, *arguments], capture_output=True, text=True, check=False, timeout=10)
            number = NUMBER.search(told.stdout + told.stderr)
            found[name] = number[0] if number else "?"
    made = f"{datetime.now(UTC):%d %B %Y, %H:%M} UTC".removeprefix("0")
    system = f"{platform.system()} {platform.release().partition('-')[0]}"
    return Machine(made, os.cpu_count() or 1, round(os.getloadavg()[1], 1), system, found)


def save(machine: Machine, folder: Path) -> Path:
    """Write it down beside a report."""
    path = folder / FILE
    path.write_text(json.dumps(asdict(machine), indent=1), encoding="utf-8")
    return path


def load(folder: Path) -> Machine | None:
    """Return what a report was made on; None where nobody wrote it down."""
    path = folder / FILE
    return Machine(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None


def _own() -> str:
    try:
        return version("ec-gateway")
    except PackageNotFoundError:
        return "?"
