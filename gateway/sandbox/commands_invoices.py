"""Methods that give addresses away: createnewaddress and the invoices; and the labels beside them.

The rule: invoices are saved at once, with whatever else was not yet saved; createnewaddress and labels are not.
"""

# ruff: noqa: FBT001, FBT002 - the parameters, their order and their defaults are those of the real daemon.

import time
from typing import Any

from gateway.sandbox import addresses
from gateway.sandbox.node import Node
from gateway.sandbox.wallet import Wallet, plain_text, satoshis


class InvoiceCommands:
    """Addresses and invoices."""

    _node: Node

    def createnewaddress(self) -> str:
        """The next receiving address; a kill before the next save forgets that it was given away."""
        return self._node.wallet.create_address()

    def addrequest(
        self,
        amount: object,
        memo: str = "",
        expiration: object = None,
        force: bool = False,
        payment_url: str | None = None,
        index_url: str | None = None,
        token_request: object = None,
        category_id: object = None,
    ) -> object:
        """Make an invoice on the first unused address; false where there is none and force is not given."""
        del payment_url, index_url
        wallet = self._node.wallet
        unused = wallet.unused()
        if not unused and not force:
            return False
        address = unused[0] if unused else wallet.create_address()
        now = int(time.time())
        wallet.notes.requests[address] = {
            "time": now,
            "amount": satoshis(amount),
            "exp": int(str(expiration)) if expiration else None,
            "address": address,
            "memo": memo,
            "id": wallet.request_id(address, now),
            "tokenreq": token_request,
            "category_id": category_id,
        }
        wallet.notes.labels[address] = memo
        self._node.save()
        return _told(wallet, address)

    def getrequest(self, key: str) -> dict[str, Any]:
        """The invoice of an address, with its state."""
        address = addresses.parse(key).text
        if address not in self._node.wallet.notes.requests:
            raise BaseException("Request not found")  # noqa: TRY002 - callers see the name of the error
        return _told(self._node.wallet, address)

    def listrequests(self, pending: bool = False, expired: bool = False, paid: bool = False) -> list[Any]:
        """The invoices in the order of their addresses, all or those of one state."""
        wallet = self._node.wallet
        known = [_told(wallet, one) for one in wallet.addresses() if one in wallet.notes.requests]
        wanted = "Pending" if pending else "Expired" if expired else "Paid" if paid else None
        return [one for one in known if wanted in {None, one["status"]}]

    def rmrequest(self, address: str) -> bool:
        """Forget an invoice; its address, if never paid, is the next one to be given away."""
        found = self._node.wallet.notes.requests.pop(addresses.parse(address).text, None)
        if found is None:
            return False
        self._node.save()
        return True

    def clearrequests(self) -> None:
        """Forget all invoices."""
        self._node.wallet.notes.requests.clear()
        self._node.save()

    def setlabel(self, key: str, label: str | None) -> None:
        """Name an address or a transaction, or take its name away; not saved."""
        labels = self._node.wallet.notes.labels
        if label:
            labels[key] = label
        else:
            labels.pop(key, None)


def _told(wallet: Wallet, address: str) -> dict[str, Any]:
    """An invoice as it is answered."""
    asked = wallet.notes.requests[address]
    status, txids = wallet.request_status(address, time.time())
    amount = plain_text(asked["amount"]).rstrip(".")
    return {
        **asked,
        "URI": f"{address}?amount={amount}",
        "status": status,
        "tx_hashes": txids,
        "amount (BCH)": amount,
    }
