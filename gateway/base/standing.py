"""How a backend and a ledger stand, in words for people: the same in a terminal and on the page.

Rule: nothing but words, and nothing is loaded for them, for a container's health check goes through here.
"""

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
