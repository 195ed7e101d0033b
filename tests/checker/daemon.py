"""A sandbox daemon that the gateway starts: says when its life begins, and ends with the checker.

Rule: no daemon outlives the checker, and none begins once the run is over: it writes itself down before it looks
whether it is, and whoever ends the run says so before reading what is written.
    python -m tests.checker.daemon CHECKER FOLDER NUMBER OPTIONS...
CHECKER is the checker's pid; FOLDER is where lives are written down; OPTIONS are those of `gateway.sandbox.daemon`.
"""

import json
import os
import select
import signal
import sys
import threading
import time
from pathlib import Path

from gateway.sandbox.daemon import main as serve


def births(folder: Path, daemon: int) -> Path:
    """Return the file in which a daemon writes its beginnings down."""
    return folder / f"births-{daemon}"


def over(folder: Path) -> Path:
    """Return the file whose presence says that nothing begins any more."""
    return folder / "over"


def main() -> None:
    """Write down the beginning, then be a daemon."""
    checker, folder, number, *options = sys.argv[1:]
    _end_with(int(checker))
    file = os.open(births(Path(folder), int(number)), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(file, json.dumps({"pid": os.getpid(), "at": time.time()}).encode() + b"\n")
    os.close(file)
    if over(Path(folder)).exists():
        return
    serve(options)


def _end_with(pid: int) -> None:
    """End when another process has; it need not be the parent, which is a gateway that may be killed."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        sys.exit(1)

    def wait() -> None:
        select.select([handle], [], [])
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=wait, name="checker", daemon=True).start()


if __name__ == "__main__":
    main()
