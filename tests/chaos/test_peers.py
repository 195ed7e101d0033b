"""HAProxy and nginx are configured as well as we know how, from files that say why."""

import subprocess
from pathlib import Path

import pytest

from chaos import needs
from chaos.doors import DOORS
from chaos.peers import addresses, haproxy_text, nginx_text
from chaos.templates import PEERS, fill

WALLETS = ["127.0.0.1:7001", "127.0.0.1:7002", "127.0.0.1:7003"]


def test_a_line_for_each_wallet_stands_once_for_each() -> None:
    """The first one is where addresses come from, the others are spares."""
    lines = [line.strip() for line in haproxy_text(80, WALLETS, "u:p").splitlines()]
    assert [line for line in lines if line.startswith("server ")] == [
        f"server ec-{n + 1} {one}" for n, one in enumerate(WALLETS)
    ]
    assert "use-server ec-1 if !is_read" in lines
    lines = [line.strip() for line in nginx_text(80, WALLETS, Path("/f")).splitlines()]
    assert "server 127.0.0.1:7001 max_fails=1 fail_timeout=30s;" in lines
    assert "server 127.0.0.1:7002 max_fails=1 fail_timeout=30s backup;" in lines


def test_haproxys_check_is_a_call_with_the_daemons_own_login() -> None:
    """A port that accepts proves nothing of a daemon."""
    text = haproxy_text(80, WALLETS, "user:sandbox")
    assert 'hdr Authorization "Basic dXNlcjpzYW5kYm94"' in text
    assert "getinfo" in text


@pytest.mark.parametrize("name", sorted(one.name for one in PEERS.iterdir()))
def test_a_name_that_nobody_gives_is_an_error(name: str) -> None:
    """A peer configured by half would be a fine comparison for us."""
    with pytest.raises(KeyError):
        fill(name, {}, [{}])


def test_reasons_are_left_as_they_are_written() -> None:
    """What follows an @ in a comment is no name."""
    head = fill("haproxy-speed.cfg", {"port": 1, "reuse": "", "name": "", "address": "", "limit": ""}, [])
    assert head.startswith("# HAProxy for the comparison of speed")
    assert "a line with @each stands once" in head


def test_a_wallet_is_found_by_its_url_without_a_login() -> None:
    """As a fault may have put it elsewhere."""
    assert addresses(["http://u:p@127.0.0.1:7001", "http://wallet.test"]) == ["127.0.0.1:7001", "wallet.test:80"]


def test_both_are_doors() -> None:
    """Beside our own."""
    assert {"gateway", "haproxy", "nginx"} <= set(DOORS)
    assert set(needs.DOORS) <= set(DOORS)


@pytest.mark.integration
@pytest.mark.parametrize("name", ["haproxy", "nginx"])
def test_the_programs_themselves_take_their_configuration(name: str, tmp_path: Path) -> None:
    """Without a warning."""
    program = needs.found(name)
    if program is None:
        pytest.skip(f"{name} is not installed")
    file = tmp_path / "conf"
    file.write_text(haproxy_text(1, WALLETS, "u:p") if name == "haproxy" else nginx_text(1, WALLETS, tmp_path))
    asked = ["-c", "-f", str(file)] if name == "haproxy" else ["-t", "-q", "-e", "stderr", "-c", str(file)]
    told = subprocess.run([program, *asked], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    assert "WARN" not in told.stderr.upper()
