"""The socket guard: a program of its own between the gateway and the Docker socket.

Rule: whoever reaches it can restart containers that carry our label and look at their state, and nothing else; not
one byte of a request is passed on, each is understood and asked anew.
"""
