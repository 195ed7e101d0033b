"""The secrets of a run, and whether any of them stands where somebody may read it (invariant 8).

Rule: every secret is random, so that what looks like it is it; whatever is in the folder of a run is searched but for
the files that are there to hold secrets.  A violation names the file and whose the secret is, never the secret.
"""

import base64
import contextlib
import secrets
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.checker.verdict import Violation

HOLDERS = frozenset({"gateway.yaml", "token", "haproxy.cfg"})
"""Files of a run that hold secrets because that is what they are for; others may not."""

KEYS = "*.key"
"""Files that are a secret as a whole."""

LOOKS = {"metrics.txt": "/metrics", "status.json": "/api/v1/status", "page.html": "/"}
"""What is fetched from the operators' door at the end of a run, and the file that it goes into."""

PATIENCE = 30.0
"""Seconds in which a gateway answers its operator, and a Python starts to ask it."""

BLOCK = 1 << 20

ASK = """
import sys, urllib.request
token = sys.stdin.read()
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
for file, url in zip(sys.argv[1::2], sys.argv[2::2]):
    told = opener.open(urllib.request.Request(url, headers={"Authorization": "Bearer " + token}), timeout=10).read()
    open(file, "wb").write(told)
"""
"""What asks, in a process of its own, for it may have to be in another network; the token is in no command line."""


class Secrets:
    """The passwords, keys and tokens of one run; each is made when it is asked for first, and stays."""

    def __init__(self) -> None:
        self._made: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"<Secrets {', '.join(sorted(self._made))}>"

    def of(self, whose: str) -> str:
        """Return the secret of somebody, such as "client shop"."""
        # of signs that no quoting changes, and so long that no part of base64 in which it stands is there by chance
        return self._made.setdefault(whose, secrets.token_hex(12))

    def client(self, name: str) -> str:
        """Return the user name and the password of a client, `NAME:PASSWORD`."""
        return f"{name}:{self.of(f'client {name}')}"

    def know(self, whose: str, text: str) -> None:
        """Take a secret that somebody else has made."""
        self._made[whose] = text

    def all(self, folder: Path) -> dict[str, bytes]:
        """Return all of a run, those in its key files among them, by whose they are."""
        found = {whose: text.encode() for whose, text in self._made.items()}
        return found | {f"file {path.name}": path.read_bytes() for path in folder.rglob(KEYS) if path.stat().st_size}


def leaks(folder: Path, known: Secrets, wanted: Sequence[Path] = ()) -> Iterator[Violation]:
    """8: no secret is in a log, a metric, an error, the ledger or the status page.

    Args:
        wanted: files that have to be there, so that one that nobody could search is told.
    """
    forms = {whose: _forms(secret) for whose, secret in known.all(folder).items()}
    for path in _readable(folder):
        for whose, at in _seen(path, forms):
            yield Violation("8", f"{path.relative_to(folder)} has the secret of {whose}, at byte {at}")
    for path in wanted:
        if not path.exists() or not path.stat().st_size:
            yield Violation("8", f"{path.relative_to(folder)} could not be searched: it was not to be had")


def look(port: int, token: str, folder: Path, inside: Sequence[str] = ()) -> list[Path]:
    """Write down what the operators' door of a gateway tells; return the files, of which some lack if it does not.

    Args:
        inside: what the gateway's own command has before it, for its door may be in another network.
    """
    files = {folder / name: f"http://127.0.0.1:{port}{path}" for name, path in LOOKS.items()}
    words = [str(one) for pair in files.items() for one in pair]
    with contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(
            [*inside, sys.executable, "-c", ASK, *words], input=token.encode(), capture_output=True, timeout=PATIENCE,
            check=False,
        )  # fmt: skip
    return list(files)


def _readable(folder: Path) -> list[Path]:
    """Return the files that must hold no secret; a daemon's own wallet is its own."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink() and path.name not in HOLDERS and not path.match(KEYS)
    )


def _forms(secret: bytes) -> list[bytes]:
    """Return a secret in every form in which it is told from others: as it is, in hex, and amid base64."""
    found = [secret, secret.hex().encode()]
    for before in range(3):
        # of what stands around it depend its first and last signs, which are left out
        text = base64.b64encode(bytes(before) + secret)
        whole = text[-(-before * 8 // 6) : (before + len(secret)) * 8 // 6]
        found += [whole, whole.translate(bytes.maketrans(b"+/", b"-_"))]
    return list(dict.fromkeys(found))


def _seen(path: Path, forms: dict[str, list[bytes]]) -> Iterator[tuple[str, int]]:
    """Yield whose secrets stand in a file, and where first; a large file is read piece by piece."""
    waiting = dict(forms)
    keep = max((len(form) for some in forms.values() for form in some), default=1) - 1
    before, at = b"", 0
    with path.open("rb") as file:
        while waiting and (piece := file.read(BLOCK)):
            data = before + piece
            for whose, some in list(waiting.items()):
                places = [place for form in some if (place := data.find(form)) >= 0]
                if places:
                    del waiting[whose]
                    yield whose, at + min(places)
            before = data[len(data) - min(keep, len(data)) :]
            at += len(data) - len(before)
