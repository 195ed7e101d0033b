"""Clients ask for much, and read a byte now and then.

Rule: what they do not read has to be kept by somebody, and that may not be the door for ever.
"""

from chaos.crowds import Crowded


class SlowReader(Crowded):
    """Twenty of them, by its usual measure; the value is how many."""

    name = manner = "slow_reader"
    usual = 20
