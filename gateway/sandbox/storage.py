"""What a daemon writes to disk: the wallet file and the journal of executed calls.

The rule: the wallet file is replaced whole or not at all, and only when the wallet is saved; the journal has
each call before its caller has the answer.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

from gateway.sandbox.wallet import Notes


class WalletFile:
    """Notes on disk, in the place where the real daemon keeps its default wallet."""

    def __init__(self, directory: Path) -> None:
        self.folder = directory / "regtest"
        self.path = self.folder / "wallets" / "default_wallet"

    def read(self) -> Notes:
        """The notes as they were saved last, or fresh ones where there is no file."""
        if not self.path.exists():
            return Notes()
        return Notes(**json.loads(self.path.read_text(encoding="utf-8")))

    def write(self, notes: Notes) -> None:
        """Save the notes; after a kill at any moment the file holds either the old ones or the new ones."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_suffix(f".{os.getpid()}.new")
        with fresh.open("w", encoding="utf-8") as file:
            json.dump(notes.to_json(), file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path)


class Journal:
    """One JSON line for each executed call: what tests and the bench count as having truly happened."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def append(self, call_id: object, method: str, params: object, outcome: dict[str, Any]) -> None:
        """Write down a call that was executed; outcome is ``{"result": ...}`` or ``{"error": ...}``."""
        entry = {"time": time.time(), "id": call_id, "method": method, "params": params, **outcome}
        os.write(self._file, json.dumps(entry, default=repr).encode() + b"\n")
        os.fsync(self._file)


def read_journal(path: Path) -> list[dict[str, Any]]:
    """The calls in a journal, oldest first; a line that a kill cut short is left out."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]
