"""Clients ask as fast as they are answered.

Rule: all of them have one name, and the others have another.
"""

from chaos.crowds import Crowded


class Flood(Crowded):
    """Sixty-four, by its usual measure; the value is how many."""

    name = manner = "flood"
    usual = 64
