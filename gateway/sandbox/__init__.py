"""A wallet daemon of our own, as serial and as fragile as the real one, for the demo, the tests and the bench.

It stands apart from the gateway: it imports nothing of it, and no real coins can ever be in it.
"""
