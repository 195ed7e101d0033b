"""A wallet misses its newest receipt and claims to be in step, as real daemons do now and then.

Rule: a reload of the wallet cures it, which is the gateway's to find.
"""

from chaos.faults.switched import Switched


class WrongBalance(Switched):
    """The sandbox's switch `wrong_balance`."""

    name = "wrong_balance"
    switch = "wrong_balance"
    counts_as = "wrong_balance"
