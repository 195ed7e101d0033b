"""Clients send the head of a request byte by byte, and never its end.

Rule: each holds a connection for nothing.
"""

from chaos.crowds import Crowded


class Dribble(Crowded):
    """Two hundred, by its usual measure; the value is how many."""

    name = manner = "dribble"
    usual = 200
