"""The path of a call, from policy to reply.  `dispatch.py` is the place to begin reading."""
