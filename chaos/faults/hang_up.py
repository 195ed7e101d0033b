"""Clients reset their connections in the middle of requests and before answers.

Rule: none of them asks for anything but reads.
"""

from chaos.crowds import Crowded


class HangUp(Crowded):
    """Thirty at a time, by its usual measure; the value is how many."""

    name = manner = "hang_up"
    usual = 30
