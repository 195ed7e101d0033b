"""A shop that sells against the sandbox as a payment service would: nothing but HTTP to the gateway.

The rule: it knows of the gateway what a customer of it knows, a URL and a password, and of the coins nothing but that
they are invented.
"""
