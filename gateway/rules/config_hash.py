"""Whether two gateways have a wallet in the same configuration, told by one short text that a lease can hold.

Rule: what decides where a call goes and whether it may be sent again counts; words, passwords and order do not.
"""

import hashlib
import json
from collections.abc import Iterable
from urllib.parse import urlsplit, urlunsplit

from gateway.profiles import Method


def config_hash(backends: Iterable[tuple[str, str]], methods: Iterable[Method]) -> str:
    """Return what tells two configurations of a wallet apart: 64 hexadecimal digits.

    Args:
        backends: name and url of each; what a url says of user and password does not count, nor does the order.
        methods: of its profile; in what words one is refused does not count.
    """
    rows = [sorted((name, _bare(url)) for name, url in backends), sorted(map(_row, methods))]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def _row(method: Method) -> list[object]:
    """What of a method decides how it is answered, and whether it may be sent again."""
    return [
        method.name, method.effect, method.bound, method.params, method.amounts, sorted(method.forbidden),
        method.slow_if, method.by_name, method.role,
    ]  # fmt: skip


def _bare(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
