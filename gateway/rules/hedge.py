"""When a read that takes unusually long is asked of a second backend as well.

Rule: only reads whose answer any of several backends gives, only after the wallet's own usual time for that
method, only into a free slot, and only from a budget, so that hedging never doubles the load of a sick fleet.
"""

from gateway.base.effects import Effect


def is_hedgeable(effect: Effect) -> bool:
    """Whether a second backend could answer it: reads that do not depend on the primary's own file."""
    return effect in (Effect.READ, Effect.WALLET_READ)


def delay(usual: float | None, floor: float, factor: float) -> float:
    """Return after how many seconds from dispatch a hedge is due.

    Args:
        usual: the recent latency quantile of this method in this wallet, None while unknown.
        floor: never sooner than this; below some 20 ms a hedge costs more than it saves.
        factor: how many times the usual time is unusual.
    """
    if usual is None:
        return floor
    return max(floor, usual * factor)
