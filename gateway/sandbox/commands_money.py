"""Methods that move coins or hold them back: payto, broadcast and the frozen ones.

The rule: payto sends nothing and reserves nothing; only broadcast reaches the chain, and only the chain says no.
"""

# ruff: noqa: FBT001, FBT002 - the parameters, their order and their defaults are those of the real daemon.

import re
from typing import Any

from gateway.sandbox import addresses
from gateway.sandbox.link import NoAnswerError
from gateway.sandbox.node import Node
from gateway.sandbox.spending import Wish, assemble
from gateway.sandbox.wallet import satoshis

_OUTPOINT = re.compile(r"[0-9a-f]{64}:\d+")


class InvalidPassword(Exception):  # noqa: N818 - callers know the real daemon's error by this name
    """The wallet's password is another one."""


class MoneyCommands:
    """Payments."""

    _node: Node

    def payto(
        self,
        destination: str,
        amount: object,
        fee: object = None,
        feerate: object = None,
        from_addr: str | None = None,
        change_addr: str | None = None,
        nocheck: bool = False,
        unsigned: bool = False,
        password: object = None,
        locktime: object = None,
        op_return: str | None = None,
        op_return_raw: str | None = None,
        addtransaction: bool = False,
    ) -> dict[str, Any]:
        """Put a payment together; amount ``!`` means all there is."""
        del nocheck
        script = f"6a{_pushed(op_return.encode())}" if op_return else f"6a{op_return_raw}" if op_return_raw else None
        wish = _wish([(destination, amount)], script, fee, feerate, from_addr, change_addr, locktime, unsigned)
        return self._pay(wish, password, addtransaction)

    def paytomany(
        self,
        outputs: list[tuple[str, object]],
        fee: object = None,
        feerate: object = None,
        from_addr: str | None = None,
        change_addr: str | None = None,
        nocheck: bool = False,
        unsigned: bool = False,
        password: object = None,
        locktime: object = None,
        addtransaction: bool = False,
    ) -> dict[str, Any]:
        """Put one payment to several addresses together."""
        del nocheck
        wish = _wish(outputs, None, fee, feerate, from_addr, change_addr, locktime, unsigned)
        return self._pay(wish, password, addtransaction)

    def broadcast(self, tx: Any) -> tuple[bool, str]:
        """Send a transaction to the chain; a refusal is a result, not an error."""
        text = tx["hex"] if isinstance(tx, dict) else tx
        if not text and text in {None, ""}:
            return False, "error: object of type 'NoneType' has no len()"
        if not isinstance(text, str):
            raise BaseException("cannot initialize transaction", text)  # noqa: TRY002 - callers see the name
        try:
            answer = self._node.link.ask(cmd="broadcast", tx=text)
        except NoAnswerError:
            return False, "error: Server did not answer"
        if "error" in answer:
            return False, f"error: {answer['error']}"
        return True, answer["txid"]

    def freeze(self, address: str) -> bool:
        """Do not spend from an address; true also where it was frozen, false for a foreign one."""
        return self._freeze(address, frozen=True)

    def unfreeze(self, address: str) -> bool:
        """Spend from an address again."""
        return self._freeze(address, frozen=False)

    def freeze_utxo(self, coin: str) -> bool:
        """Do not spend a coin (``txid:index``), known or not."""
        held = self._frozen_coins(coin)
        if coin not in held:
            held.append(coin)
        return True

    def unfreeze_utxo(self, coin: str) -> bool:
        """Spend a coin again."""
        held = self._frozen_coins(coin)
        if coin in held:
            held.remove(coin)
        return True

    def _pay(self, wish: Wish, password: object, addtransaction: object) -> dict[str, Any]:
        wallet = self._node.wallet
        if password is not None:
            # The wallet has no password, and the real one takes none for such a wallet.
            raise InvalidPassword("Incorrect password")
        tx = assemble(wallet, wish)
        if addtransaction and not wish.unsigned:
            wallet.add_local(tx)
        return {"hex": tx.hex, "complete": not wish.unsigned, "final": True}

    def _freeze(self, address: str, *, frozen: bool) -> bool:
        wallet = self._node.wallet
        own = addresses.parse(address).text
        if not wallet.owns(own):
            return False
        if frozen and own not in wallet.notes.frozen:
            wallet.notes.frozen.append(own)
        if not frozen and own in wallet.notes.frozen:
            wallet.notes.frozen.remove(own)
        return True

    def _frozen_coins(self, coin: str) -> list[str]:
        if not _OUTPOINT.fullmatch(coin):
            raise AssertionError("invalid outpoint")
        return self._node.wallet.notes.frozen_coins


def _wish(
    outputs: list[tuple[str, object]],
    script: str | None,
    fee: object,
    feerate: object,
    from_addr: str | None,
    change_addr: str | None,
    locktime: object,
    unsigned: bool,
) -> Wish:
    """The parameters of payto and paytomany, checked."""
    wished: list[tuple[str, int | None]] = [(script, 0)] if script else []
    for destination, amount in outputs:
        try:
            address = addresses.parse(destination)
        except addresses.AddressError:
            raise RuntimeWarning("Invalid Bitcoin address or alias", destination) from None
        if amount is None:
            raise AssertionError
        value = None if amount == "!" else satoshis(amount)
        if value is not None and value < 0:
            raise OverflowError("can't convert negative int to unsigned")
        wished.append((address.script, value))
    return Wish(
        tuple(wished),
        fee=None if fee is None else satoshis(fee),
        feerate=None if feerate is None else float(str(feerate)),
        from_address=from_addr,
        change_address=change_addr,
        unsigned=unsigned,
        locktime=None if locktime is None else int(str(locktime)),
    )


def _pushed(data: bytes) -> str:
    """A push of up to 75 bytes in a script."""
    if len(data) > 75:
        raise ValueError("too long for the sandbox: at most 75 bytes")
    return f"{len(data):02x}{data.hex()}"
