"""How a backend and a ledger stand, in words for people: the same in a terminal and on the page.

Rule: nothing but words, and nothing is loaded for them, for a container's health check goes through here.
"""

import re

PHASES = {
    "READY": "in service",
    "STARTING": "starting, calls wait for it",
    "WARMING": "back, with a small share",
    "EJECTED": "out of service",
    "DRAINING": "finishing its calls",
    "RESTARTING": "being restarted",
    "FAILED": "restarted too often",
}
"""What the gateway does with a backend."""

KINDS = {
    "ok": "well",
    "starting": "not ready yet",
    "busy": "works on a call",
    "wedged": "does not answer",
    "adrift": "answers, but not to be trusted",
    "dead": "nobody listens there",
}
"""What is the matter with it."""

LEDGERS = {
    "new": "meets this wallet for the first time",
    "unadopted": "not adopted, hands out nothing; see `ec-gateway ledger adopt`",
    "doubted": "older than the wallet, binds no payment to a key; see `ec-gateway ledger adopt`",
    "closed": "closed, nothing is given out and nothing is signed",
}
"""How the ledger stands towards a wallet, where it is not the usual way."""


def placed(text: str, wallet: str, backend: str) -> str:
    """Return a sentence that says of which wallet it is, for where there are several: each may have an `ec-1`."""
    if backend:
        is_first = text.startswith((f"{backend} ", f"{backend}:"))
        return f"{wallet} / {text}" if is_first else f"{wallet} / {backend}: {text}"
    is_named = not wallet or re.search(rf"(?<![\w.-]){re.escape(wallet)}(?![\w.-])", text)
    return text if is_named else f"{wallet}: {text}"
