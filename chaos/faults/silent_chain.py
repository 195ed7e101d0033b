"""The chain server of a wallet says nothing more: whoever asks the daemon for the server wedges it for its patience.

Rule: the daemon believes to be connected, and shows nothing new; what is local is answered.
"""

from chaos.faults.switched import Switched


class SilentChain(Switched):
    """The sandbox's switch `silent_chain`."""

    name = "silent_chain"
    switch = "silent_chain"
    counts_as = "silent_chain"
