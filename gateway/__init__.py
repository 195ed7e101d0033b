"""A high-availability JSON-RPC gateway in front of Electron Cash wallet daemons.

Start reading at `flow/dispatch.py`: one call from policy to reply.
"""

__version__ = "0.1.0"
