"""HAProxy and nginx beside the gateway: one thread each, the same core, the same backends, no logs.

Rule: each is configured as its own handbook would for these backends (`peers/*-speed.*`; those tuned for wallets that
fail are for the chaos suite); where one is not installed, `None` is returned and the bench says so.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import common
from common import Process

sys.path.append(str(common.BENCH.parent))  # the chaos suite lies beside the bench, and is no package that is installed
from chaos.templates import fill

POOL = "keepalive 512; keepalive_requests 1000000000;"
"""Connections to backends that nginx keeps: more than clients press at most.  With 64 of them and 256 clients it opened
a new one for most calls, which cost it two thirds more CPU a call; by itself it would also end each after 1,000."""


@dataclass(frozen=True)
class Peer:
    """A running peer."""

    process: Process
    port: int


def haproxy(folder: Path, backends: Sequence[int], style: str, cpu: int | None) -> Peer | None:
    """Start HAProxy; with the style close each server gets one call at a time, over a new connection."""
    program = common.found("haproxy")
    if program is None:
        return None
    [port] = common.free_ports(1)
    serial = style == "close"
    values = {
        "port": port,
        "reuse": "option http-server-close" if serial else "option http-keep-alive\n    http-reuse always",
        "limit": " maxconn 1" if serial else "",
    }
    file = folder / f"haproxy-{style}.cfg"
    file.write_text(fill("haproxy-speed.cfg", values, _each(backends)), encoding="utf-8")
    return _start("haproxy", [program, "-q", "-db", "-f", str(file)], folder, port, cpu)


def nginx(folder: Path, backends: Sequence[int], style: str, cpu: int | None) -> Peer | None:
    """Start nginx; its free edition has no queue, so that with `close` it opens as many connections as it likes."""
    program = common.found("nginx")
    if program is None:
        return None
    [port] = common.free_ports(1)
    own = folder / f"nginx-{style}"
    own.mkdir()
    file = own / "nginx.conf"
    keeps = style == "keep-alive"
    values = {
        "folder": own,
        "port": port,
        "pool": POOL if keeps else "",
        "reuse": 'proxy_http_version 1.1; proxy_set_header Connection "";' if keeps else "",
    }
    file.write_text(fill("nginx-speed.conf", values, _each(backends)), encoding="utf-8")
    command = [program, "-e", str(own / "error.log"), "-c", str(file), "-p", str(own)]
    return _start("nginx", command, own, port, cpu)


def _each(backends: Sequence[int]) -> list[dict[str, str]]:
    return [{"name": f"ec-{n + 1}", "address": f"127.0.0.1:{port}"} for n, port in enumerate(backends)]


def _start(name: str, command: Sequence[str], folder: Path, port: int, cpu: int | None) -> Peer:
    process = Process(name, command, cpu=cpu, output=folder / f"{name}.out", errors=folder / f"{name}.err")
    try:
        common.wait_for_port(port, process)
    except BaseException:
        process.end()
        raise
    return Peer(process, port)
