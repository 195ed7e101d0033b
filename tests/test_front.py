"""The project's HAProxy before gateways of one machine, as the bench runs it (`bench/front.py`)."""

import runpy
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
ON_LOOPBACK: Any = runpy.run_path(str(ROOT / "bench" / "front.py"))["on_loopback"]
SHIPPED = (ROOT / "config" / "haproxy" / "haproxy.cfg").read_text(encoding="utf-8")
GATEWAYS = {"gw-1": (7001, 7002), "gw-2": (7003, 7004)}


def test_only_addresses_differ_from_what_is_shipped(tmp_path: Path) -> None:
    """Every check and time-out is the one that operators run; HAProxy takes the file, where it is installed."""
    made = ON_LOOPBACK(SHIPPED, 7000, 7005, GATEWAYS)
    left = [line for line in SHIPPED.splitlines() if line not in made.splitlines()]
    servers = [f"    server {name} {name}:7777" for name in GATEWAYS] * 2
    resolvers = SHIPPED[SHIPPED.index("resolvers engine\n") : SHIPPED.index("\nfrontend calls")].splitlines()
    (default,) = (line for line in SHIPPED.splitlines() if line.strip().startswith("default-server"))
    assert sorted(left) == sorted([*servers, *resolvers, default, "    bind :7777", "    bind 127.0.0.1:8404"])
    assert "    default-server check port 7780 inter 500ms fastinter 250ms downinter 500ms fall 3 rise 2 " in made
    assert made.count("server gw-2 127.0.0.1:7003 port 7004\n") == 2
    program = shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    if program is not None:
        file = tmp_path / "haproxy.cfg"
        file.write_text(made, encoding="utf-8")
        checked = subprocess.run([program, "-c", "-f", file], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize(
    "old", ["resolvers engine\n", " resolvers engine resolve", "bind :7777", "server gw-2 gw-2:7777"]
)
def test_a_file_that_has_changed_is_refused(old: str) -> None:
    """Rather than something else being measured in silence."""
    with pytest.raises(ValueError, match=r"config/haproxy/haproxy\.cfg"):
        ON_LOOPBACK(SHIPPED.replace(old, "something"), 7000, 7005, GATEWAYS)
