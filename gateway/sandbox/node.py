"""One daemon's state between calls: its wallet, its line to the chain, its switches.

The rule: the wallet file is written only where the real daemon writes it (stop, close_wallet, invoices); all
else lives in memory and is lost with the process.
"""

import copy
import threading
import time
from pathlib import Path
from queue import Empty, SimpleQueue

from gateway.sandbox.link import ChainLink
from gateway.sandbox.storage import WalletFile
from gateway.sandbox.wallet import Wallet

VERSION = "4.4.5-SANDBOX"
MEBIBYTE = 1024 * 1024
MAX_LEAK = 1024 * MEBIBYTE
"""The leak stops here, so that a forgotten switch does not take the machine with it."""

Order = tuple[str, float]


class Node:
    """What the commands work on."""

    def __init__(self, seed: str, directory: Path, link: ChainLink) -> None:
        self.seed = seed
        self.file = WalletFile(directory)
        self.link = link
        self.loaded = False
        """Whether the wallet is among those that list_wallets and getinfo show."""
        self.current: Wallet | None = None
        """The wallet that commands use; after close_wallet it is still there, cut off from file and chain."""
        self.synchronized = False
        self.running = True
        self.wrong_balance = False
        self.orders: SimpleQueue[Order] = SimpleQueue()
        """Switches thrown by the control port, obeyed before the next call."""
        self.thawed = threading.Event()
        self.thawed.set()
        self._slow = 0.0
        self._leak = 0
        self._leaked = bytearray()

    @property
    def wallet(self) -> Wallet:
        """The wallet for a command that needs one; raises the same bare error as the real daemon without one."""
        if self.current is None:
            raise BaseException("Wallet not loaded")  # noqa: TRY002 - callers see the name of the error
        return self.current

    def before_call(self) -> None:
        """What happens before each call: switches, frozen or slow moments, news from the chain."""
        self._obey()
        self.thawed.wait()
        self._obey()
        if self._leak and len(self._leaked) < MAX_LEAK:
            # Written, not only reserved, so that it counts as resident.
            self._leaked += b"\x01" * self._leak
        if self._slow:
            time.sleep(self._slow)
        changed = self.link.look()
        if self.link.connected:
            self.synchronized = True
        if self.loaded and self.current is not None:
            rebuilt = self.current.view is not self.link.view
            self.current.view = self.link.view
            if changed or rebuilt:
                self.current.synchronize()

    def load(self) -> None:
        """Load the wallet from its file; a wallet that is loaded already stays as it is."""
        if not self.loaded:
            self.link.look()
            self.current = Wallet(self.seed, self.file.read(), self.link.view)
            self.loaded = True
            self.wrong_balance = False

    def save(self) -> None:
        """Write the wallet file, if the wallet is loaded; what a closed wallet was told is never saved."""
        if self.loaded and self.current is not None:
            self.file.write(self.current.notes)

    def close(self) -> bool:
        """Save and close the wallet; commands go on using it as it was. Says whether it was loaded."""
        if not self.loaded or self.current is None:
            return False
        self.save()
        self.current.view = copy.deepcopy(self.current.view)
        self.loaded = False
        return True

    def _obey(self) -> None:
        while True:
            try:
                name, value = self.orders.get_nowait()
            except Empty:
                return
            self._throw(name, value)

    def _throw(self, name: str, value: float) -> None:
        match name:
            case "leak":
                self._leak = int(value * MEBIBYTE)
            case "slow":
                self._slow = value
            case "behind":
                self.link.stay_behind(int(value))
            case "lose_chain":
                self.link.lost = True
            case "silent_chain":
                self.link.silent = True
            case "wrong_balance":
                self.wrong_balance = True
            case "unload":
                self.loaded, self.current = False, None
            case "heal":
                self._slow, self._leak, self.wrong_balance = 0.0, 0, False
                self._leaked = bytearray()
                self.link.heal()
