"""A wallet has lost the chain: not connected, height 0.

Rule: what is local is answered; the daemon itself tells that it lost it.
"""

from chaos.faults.switched import Switched


class LoseChain(Switched):
    """The sandbox's switch `lose_chain`."""

    name = "lose_chain"
    switch = "lose_chain"
    counts_as = "lose_chain"
