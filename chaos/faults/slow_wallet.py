"""Each call of a wallet takes so many seconds longer, as on a machine that swaps.

Rule: the value is those seconds; the daemon goes on to be serial.
"""

from chaos.faults.switched import Switched


class Slow(Switched):
    """The sandbox's switch `slow`."""

    name = "slow"
    switch = "slow"
    counts_as = "slow"
    has_value = True
