"""What the status page weighs: all that a browser without a cache fetches for a first visit, and what a change costs.

A gateway with a ledger stands in front of three sandbox daemons.  What a page names is followed as a browser does it:
styles, scripts, what scripts import, and the icon.

    first visit   bytes of all bodies, packed as browsers take them, and as they are
    change        bytes of the words alone, which an open page fetches anew when one of them changes
"""

import contextlib
import gzip
import http.client
import re
import sys
import time
from urllib.parse import urljoin

import common
from common import PASSWORD, PASSWORD_VARIABLE, USER, Gateway, Report

from gateway.sandbox.fleet import Fleet

MOST_BYTES = 150_000
"""Without a cache."""

NAMED = re.compile(rb'(?:src|href)="(/static/[^"]+)"|from "(\./[^"]+)"')


def fetch(port: int, path: str) -> tuple[int, bytes]:
    """Fetch something as browsers do; return how many bytes came and what they are, unpacked."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=common.PATIENCE)
    with contextlib.closing(connection):
        connection.request("GET", path, headers={"Accept-Encoding": "gzip", "Accept-Language": "ko"})
        answer = connection.getresponse()
        body = answer.read()
        is_packed = answer.headers.get("Content-Encoding") == "gzip"
        return len(body), gzip.decompress(body) if is_packed else body


def visit(port: int) -> dict[str, tuple[int, int]]:
    """Return the bytes, packed and unpacked, of everything that a first visit fetches."""
    found: dict[str, tuple[int, int]] = {}
    paths = ["/"]
    while paths:
        path = paths.pop()
        if path in found:
            continue
        packed, body = fetch(port, path)
        found[path] = (packed, len(body))
        paths += [urljoin(path, (one or other).decode()) for one, other in NAMED.findall(body)]
    return found


def measure(report: Report, rounds: int) -> None:
    """Weigh the page, then time it."""
    ours, _others = common.cores()
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(common.scratch())
        fleet = stack.enter_context(Fleet(3, folder / "fleet", user=USER, password=PASSWORD))
        more = {"username": USER, "password": f"${{{PASSWORD_VARIABLE}}}"}
        chosen = common.settings(
            [common.backend(n, fleet.url(n), **more) for n in range(len(fleet))],
            ledger={"path": str(folder / "ledger.db"), "may_be_lost": True},
        )
        gateway = stack.enter_context(Gateway(folder, chosen, cpu=ours))
        gateway.wait_ready()
        before = gateway.resident()
        found = visit(gateway.admin_port)
        after = gateway.resident()
        took, renewal = [], 0
        for _ in range(rounds):
            time.sleep(0.3)  # so that it is drawn anew
            began = time.monotonic()
            renewal, _ = fetch(gateway.admin_port, "/words")
            took.append(time.monotonic() - began)
        rows = [[path.rpartition("/")[2] or "/", packed, plain] for path, (packed, plain) in sorted(found.items())]
        packed, plain = (sum(sizes[place] for sizes in found.values()) for place in (0, 1))
        report.table("A first visit, bytes", ["", "packed", "as it is"], [*rows, ["all", packed, plain]])
        report.note(f"a change: {renewal} bytes, packed")
        report.note(
            f"drawing the page anew: {sorted(took)[rounds // 2] * 1000:.0f} ms; memory for it: {after - before:.1f} MiB"
        )
        report.require("first visit without a cache", packed / 1000, "<", MOST_BYTES / 1000, "kB")
        report.require("the same for who cannot unpack", plain / 1000, "<", MOST_BYTES / 1000, "kB")


def main() -> int:
    """Run it."""
    options = common.options_parser(__doc__).parse_args()
    report = Report("weight")
    return common.run(lambda: measure(report, 3 if options.quick else 11), report, options, limit=120)


if __name__ == "__main__":
    sys.exit(main())
