"""Decisions: pure functions; `now` and `chance` are arguments.  Nothing here keeps state or touches the world."""
