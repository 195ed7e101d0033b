"""Hypothesis without its own clock: how long an example takes on a busy machine proves nothing."""

from hypothesis import settings

settings.register_profile("no_clock", deadline=None)
settings.load_profile("no_clock")
