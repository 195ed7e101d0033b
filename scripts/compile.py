"""Compile the path of a call to machine code: python scripts/compile.py [--is-current] DEST.

What comes out is a copy of the package in DEST in which the rooms that every call goes through are extension modules,
made by mypyc from the very same sources.  It is run by putting DEST first on the path:

    PYTHONPATH=DEST ec-gateway run -c gateway.yaml

A C compiler, Python's headers and mypy (requirements/dev.txt) are needed, and a minute or two.  Whoever does not want
that runs the sources: they are the same program, and take twice the time for a call (docs/performance.md).

`--is-current` compiles nothing: its exit code is 0 where DEST was made of these very sources, else 1.
"""

import argparse
import hashlib
import os
import shutil
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

ROOMS = (
    "base/effects base/heads base/jsonrpc base/trace",
    "profiles/__init__",
    "rules/hedge rules/methods rules/retry rules/selection",
    "fleet/averages fleet/backend fleet/breaker fleet/budget fleet/pool fleet/slots",
    "upstream/connection upstream/outcome upstream/plain upstream/target upstream/wire",
    "observe/attempts observe/metrics observe/rates",
    "flow/attempt flow/coalesce flow/dispatch flow/errand flow/identity flow/runner flow/seat",
    "edge/answer edge/auth edge/http_head edge/http_protocol edge/http_reader edge/http_server",
    "edge/rpc edge/rpc_refusals",
)
"""Where a call goes through, from its first byte to the last of its answer; all others stay as they are."""

MADE_OF = "made-of"
"""A file beside the package: the digest of what it was made of."""


def lacking() -> str:
    """Say what is missing to compile here, "" when nothing is."""
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        return f"no C compiler ({compiler}); on Debian: apt-get install -y --no-install-recommends gcc libc6-dev"
    if not (Path(sysconfig.get_paths()["include"]) / "Python.h").exists():
        return "no headers of this Python; on Debian: apt-get install -y --no-install-recommends python3-dev"
    try:
        import mypyc.build  # noqa: F401, PLC0415 - asked for, and not needed to say what is missing
    except ImportError:
        return "no mypy; it is among the packages of requirements/dev.txt"
    return ""


def digest() -> str:
    """Say of which sources, by which interpreter."""
    found = hashlib.sha256(sys.version.encode())
    for file in (Path(__file__), *sorted((ROOT / "gateway").rglob("*"))):
        if file.is_file() and "__pycache__" not in file.parts:
            found.update(f"{file.relative_to(ROOT)} ".encode() + file.read_bytes())
    return found.hexdigest()


def compile_into(place: Path) -> None:
    """Copy the package there and compile its rooms.  Raises SystemExit where that fails."""
    from mypyc.build import mypycify  # noqa: PLC0415 - only once it is known to be here
    from setuptools import setup  # type: ignore[import-untyped]  # noqa: PLC0415 - the same

    of = digest()
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(ROOT / "gateway", place / "gateway", ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    os.chdir(place)
    rooms = [f"gateway/{room}.py" for floor in ROOMS for room in floor.split()]
    made = mypycify(["--config-file", str(ROOT / "pyproject.toml"), *rooms], opt_level="3", debug_level="0")
    setup(name="ec-gateway-compiled", ext_modules=made, script_args=["--quiet", "build_ext", "--inplace"])
    shutil.rmtree("build")
    (place / MADE_OF).write_text(of, encoding="ascii")


def is_current(place: Path) -> bool:
    """Whether it was made there of these very sources."""
    try:
        return (place / MADE_OF).read_text(encoding="ascii") == digest()
    except OSError:
        return False


def main() -> int:
    """Do it, or say what it needs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--is-current", action="store_true", help="only ask whether it is made already")
    parser.add_argument("place", type=Path, metavar="DEST", help="a folder, whose content is replaced")
    options = parser.parse_args()
    place = options.place.resolve()
    if options.is_current:
        return 0 if is_current(place) else 1
    reason = lacking()
    if reason:
        sys.stderr.write(f"cannot compile: {reason}\n")
        return 1
    if not is_current(place):
        compile_into(place)
    return 0


if __name__ == "__main__":
    sys.exit(main())
