"""Whether a backend that looks sick may be taken out: never the last one that answers.

Rule: serving badly beats not serving; a daemon that does not answer at all serves nobody and always goes.
"""

from gateway.rules.health import Kind


def may_eject(kind: Kind, others_serving: int, *, has_wallet: bool) -> bool:
    """Return whether a sick backend leaves service.

    Args:
        kind: the finding about it.
        others_serving: how many other backends of its wallet take calls now.
        has_wallet: whether it answers with a wallet loaded; one without can answer nothing about it, and
            with jsonrpclib-pelix 1.2 each such call would end the daemon.
    """
    if kind is not Kind.ADRIFT or not has_wallet:
        return True
    return others_serving > 0


def is_panic(serving: int, total: int) -> bool:
    """Return whether fewer than half of a wallet's backends serve, so that reads fail open to the least bad."""
    return serving * 2 < total
