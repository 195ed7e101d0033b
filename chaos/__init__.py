"""Breaks everything on purpose, against real processes, and says what held.

Rule: a run is told from the outside, by the checker's judge; what is started is ended, whatever happens to the run.
"""
