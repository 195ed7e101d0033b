"""HAProxy and nginx beside the gateway: one thread each, the same core, the same backends, no logs.

Rule: each is configured as its own handbook would for these backends; where one is not installed, `None`
is returned and the bench says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import common
from common import Process

HAPROXY = """
global
    nbthread 1
    maxconn 8192
defaults
    mode http
    timeout connect 5s
    timeout client 75s
    timeout server 40s
    timeout queue 9s
    {options}
frontend door
    bind 127.0.0.1:{port}
    default_backend wallets
backend wallets
    balance leastconn
{servers}
"""

NGINX = """
daemon off;
master_process off;
worker_processes 1;
error_log {folder}/error.log crit;
pid {folder}/nginx.pid;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream wallets {{
{servers}
        {keep}
    }}
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location / {{
            proxy_pass http://wallets;
            {proxy}
        }}
    }}
}}
"""


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
    options = "option http-server-close" if serial else "option http-keep-alive\n    http-reuse always"
    limit = " maxconn 1" if serial else ""
    servers = "\n".join(f"    server ec-{n + 1} 127.0.0.1:{where}{limit}" for n, where in enumerate(backends))
    file = folder / f"haproxy-{style}.cfg"
    file.write_text(HAPROXY.format(options=options, port=port, servers=servers), encoding="utf-8")
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
    text = NGINX.format(
        folder=own,
        port=port,
        servers="\n".join(f"        server 127.0.0.1:{where};" for where in backends),
        keep="keepalive 64;" if keeps else "",
        proxy='proxy_http_version 1.1; proxy_set_header Connection "";' if keeps else "",
    )
    file.write_text(text, encoding="utf-8")
    command = [program, "-e", str(own / "error.log"), "-c", str(file), "-p", str(own)]
    return _start("nginx", command, own, port, cpu)


def _start(name: str, command: Sequence[str], folder: Path, port: int, cpu: int | None) -> Peer:
    process = Process(name, command, cpu=cpu, output=folder / f"{name}.out", errors=folder / f"{name}.err")
    try:
        common.wait_for_port(port, process)
    except BaseException:
        process.end()
        raise
    return Peer(process, port)
