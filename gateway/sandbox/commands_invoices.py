"""Methods that give addresses away: createnewaddress and the invoices; and the labels beside them.

The rule: invoices are saved at once, with whatever else was not yet saved; createnewaddress and labels are not.
"""

# ruff: noqa: FBT001, FBT002 - the parameters, their order and their defaults are those of the real daemon.

import time
from typing import Any

from gateway.sandbox import addresses
from gateway.sandbox.node import Node
from gateway.sandbox.wallet import Wallet, plain_text, satoshis, storage_key


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
            "amount": None if amount is None else satoshis(amount),
            "exp": int(str(expiration)) if expiration else None,
            "address": address,
            "memo": memo,
            "id": wallet.request_id(address, now),
            "tokenreq": token_request,
            "category_id": category_id,
        }
        self._node.save()
        # After the save: a kill loses the label, not the memo.
        _label(wallet, storage_key(address), memo)
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
        wallet = self._node.wallet
        own = addresses.parse(address).text
        if own not in wallet.notes.requests:
            return False
        _forget(wallet, own)
        self._node.save()
        return True

    def clearrequests(self) -> None:
        """Forget all invoices."""
        wallet = self._node.wallet
        for address in list(wallet.notes.requests):
            _forget(wallet, address)
        self._node.save()

    def setlabel(self, key: str, label: str | None) -> None:
        """Name a transaction, or an address in its older form, or take the name away; not saved."""
        _label(self._node.wallet, key, label)


def _forget(wallet: Wallet, address: str) -> None:
    """Take an invoice away, and its memo where it labels an address that nobody has paid to."""
    memo = wallet.notes.requests.pop(address)["memo"]
    if not wallet.history_of(address) and memo == wallet.notes.labels.get(storage_key(address)):
        _label(wallet, storage_key(address), None)


def _label(wallet: Wallet, key: str, label: str | None) -> None:
    if label:
        wallet.notes.labels[key] = label.replace("\n", " ")
    else:
        wallet.notes.labels.pop(key, None)


def _told(wallet: Wallet, address: str) -> dict[str, Any]:
    """An invoice as it is answered."""
    asked = wallet.notes.requests[address]
    status, txids, confirmations = wallet.request_status(address, time.time())
    amount = "Unknown" if asked["amount"] is None else plain_text(asked["amount"])
    return {
        **asked,
        "URI": f"{address}?amount={amount}" if asked["amount"] else address,
        "status": status,
        "tx_hashes": txids,
        **({} if confirmations is None else {"confirmations": confirmations}),
        "amount (BCH)": amount,
    }
