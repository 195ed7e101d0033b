"""One daemon's state between calls: its wallet, its line to the chain, its switches.

The rule: the wallet file is written only where the real daemon writes it (stop, close_wallet, invoices, and a
moment after the wallet came in step with its server); all else lives in memory and is lost with the process.
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

SYNC_DELAY = 0.07
"""Seconds between something new in the wallet and its being in step with the server again, and saved.

Measured: a kill 0.05 s after createnewaddress lost the address, one after 0.1 s did not."""

Order = tuple[str, float]


class Node:
    """What the commands work on."""

    def __init__(self, seed: str, directory: Path, link: ChainLink, *, sync_delay: float = SYNC_DELAY) -> None:
        self.seed = seed
        self.file = WalletFile(directory)
        self.link = link
        self.loaded = False
        """Whether the wallet is among those that list_wallets and getinfo show."""
        self.current: Wallet | None = None
        """The wallet that commands use; after close_wallet it is still there, cut off from file and chain."""
        self.running = True
        self.orders: SimpleQueue[Order] = SimpleQueue()
        """Switches thrown by the control port, obeyed at once or, while a call runs, before the next one."""
        self.turn = threading.Lock()
        """Held by whoever works on all this: the call that runs, or a switch while none does."""
        self.thawed = threading.Event()
        self.thawed.set()
        self._sync_delay = sync_delay
        self._sync_due: float | None = None
        """When the wallet will be in step with its server, if it is not now; in monotonic time."""
        self._was_synchronized = False
        self._known_addresses = 0
        self._history: list[tuple[str, int]] = []
        self._slow = 0.0
        self._leak = 0
        self._leaked = bytearray()

    @property
    def wallet(self) -> Wallet:
        """The wallet for a command that needs one; raises the same bare error as the real daemon without one."""
        if self.current is None:
            text = "Wallet not loaded. Use 'electron-cash daemon load_wallet'"
            raise BaseException(text)  # noqa: TRY002 - callers see the name of the error
        return self.current

    @property
    def synchronized(self) -> bool:
        """Whether the wallet was in step with its server once, and nothing was made since that it has not heard of."""
        return self._was_synchronized and (self._sync_due is None or self.link.online)

    def obey_if_idle(self) -> None:
        """Obey the switches now, from the thread that threw them, unless a call runs."""
        if self.turn.acquire(blocking=False):
            try:
                self._obey()
            finally:
                self.turn.release()

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
        self._catch_up()

    def after_call(self) -> None:
        """Notice what a call has made: new addresses have to be told to the server before they are saved."""
        if self.loaded and self.current is not None and self.current.count != self._known_addresses:
            self._expect_sync(self.current)

    def between_calls(self) -> None:
        """What goes on while nobody calls; a daemon without connection does not try for a new one here."""
        if not self.running:
            # the caller of `stop` has its answer already
            if self.loaded:
                self.save()
            return
        if self.link.connected:
            with self.turn:
                self._catch_up()

    def patience(self, most: float) -> float:
        """How long to wait for a call before something else is due, in seconds."""
        if self._sync_due is None or not self.link.online:
            return most
        return min(most, max(0.0, self._sync_due - time.monotonic()))

    def load(self) -> None:
        """Load the wallet from its file; a wallet that is loaded already stays as it is."""
        if not self.loaded:
            self.link.look()
            self.current = Wallet(self.seed, self.file.read(), self.link.view)
            self.loaded = True
            self._known_addresses = self.current.count
            self._history = []
            self._sync_due = None
            # The real one needs a moment for it; here a wallet is in step once it is loaded, if it has a server.
            self._was_synchronized = self.link.online
            if self.link.online:
                self.current.synchronize()
                self._known_addresses = self.current.count
                self._history = self.current.history()
                self.save()

    def save(self) -> None:
        """Write the wallet file, also for a wallet that was closed: nothing tells its commands that it was."""
        if self.current is not None:
            self.file.write(self.current.notes)

    def close(self) -> bool:
        """Save and close the wallet; commands go on using it as it was. Says whether it was loaded."""
        if not self.loaded or self.current is None:
            return False
        self.save()
        self.current.see(copy.deepcopy(self.link.view))
        self.loaded = False
        self._sync_due = None
        return True

    def stop(self) -> None:
        """End after the call that runs; the only end that saves the wallet, once the call is answered."""
        self.running = False

    def _catch_up(self) -> None:
        """Take in what the chain said, and finish what is due."""
        changed = self.link.look()
        wallet = self.current
        if not self.loaded or wallet is None:
            return
        if self.link.online:
            self._was_synchronized = True
        if changed or not wallet.sees(self.link.view):
            wallet.see(self.link.view)
            if self.link.online:
                wallet.synchronize()
            before, self._history = self._history, wallet.history()
            if self._history != before or wallet.count != self._known_addresses:
                self._expect_sync(wallet)
        if self._sync_due is not None and self.link.online and time.monotonic() >= self._sync_due:
            self._sync_due = None
            self.save()
            # An address made by hand may have a history that widens the horizon.
            wallet.synchronize()
            if wallet.count != self._known_addresses:
                self._expect_sync(wallet)

    def _expect_sync(self, wallet: Wallet) -> None:
        self._known_addresses = wallet.count
        self._sync_due = time.monotonic() + self._sync_delay

    def _obey(self) -> None:
        while True:
            try:
                name, value = self.orders.get_nowait()
            except Empty:
                return
            self._throw(name, value)

    def _throw(self, name: str, value: float) -> None:
        # What the chain said before the switch was thrown is known, also if nobody has called since.
        self._catch_up()
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
                self.link.fall_silent()
            case "wrong_balance":
                if self.current is not None:
                    self.current.miss_newest()
            case "unload":
                self.loaded, self.current = False, None
            case "heal":
                self._slow, self._leak = 0.0, 0
                self._leaked = bytearray()
                if self.current is not None:
                    self.current.missed.clear()
                self.link.heal()
