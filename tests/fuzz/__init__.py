"""Hypothesis against whatever reads bytes of others: both parsers and both doors.

Rule: nothing here trusts what it tests: requests, answers and JSON are read a second time by strict readers of our own
(`reading.py`, `jsontexts.py`), in memory and in virtual time, so that a case costs a millisecond and a hang nothing.
"""
