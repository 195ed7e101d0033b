"""Sinks, one per file: metrics and logs.  A sink never fails the call that it reports."""
