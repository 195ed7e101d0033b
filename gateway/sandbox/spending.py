"""How a payment is put together: which coins, what fee, where the change goes.

The rule: a payment follows from the wallet's coins and the height alone; the same call on two daemons in the same
state gives the same bytes, and nothing is reserved or sent.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.sandbox import addresses
from gateway.sandbox.transactions import Input, Output, Transaction
from gateway.sandbox.wallet import Coin, Wallet

FEE_PER_KB = 1000
"""Satoshis for 1,000 bytes, as getinfo and getfeerate tell it."""

DUST = 546
"""A rest below this goes to the fee: no server takes so small an output."""

MAX_FEERATE = 50
"""Satoshis a byte; a payment that costs more is refused."""

# Sizes of what a payment holds, in bytes; an output has its script besides.
_FRAME, _INPUT, _OUTPUT, _KEY_HASH_SCRIPT = 10, 141, 9, 25


class NotEnoughFunds(Exception):  # noqa: N818 - callers know the real daemon's error by this name
    """The coins that may be spent do not suffice."""


class ExcessiveFee(Exception):  # noqa: N818 - the same
    """More than MAX_FEERATE."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a caller of payto asked for."""

    outputs: tuple[tuple[str, int | None], ...]
    """Scripts and satoshis; None as satoshis means all there is, for one output at most."""
    fee: int | None = None
    """Satoshis; estimated from the size where it is None."""
    feerate: float | None = None
    """Satoshis a byte; FEE_PER_KB where it is None."""
    from_address: str | None = None
    change_address: str | None = None
    unsigned: bool = False
    locktime: int | None = None


def assemble(wallet: Wallet, wish: Wish) -> Transaction:
    """The transaction that fulfils a wish, in the order of BIP 69; raises NotEnoughFunds or ExcessiveFee."""
    if not wish.outputs:
        raise ValueError("min() arg is an empty sequence")
    coins = _spendable(wallet, wish.from_address)
    if sum(1 for _, value in wish.outputs if value is None) > 1:
        raise BaseException("More than one output set to spend max")  # noqa: TRY002 - callers see the name
    if any(value is None for _, value in wish.outputs):
        chosen, outputs = coins, _spend_all(coins, wish)
    else:
        chosen, outputs = _spend_some(wallet, coins, wish)
    fee = sum(coin.output.value for coin in chosen) - sum(made.value for made in outputs)
    if fee > MAX_FEERATE * _size(len(chosen), [made.script for made in outputs]):
        raise ExcessiveFee
    chosen.sort(key=lambda coin: (coin.outpoint.txid, coin.outpoint.index))
    outputs.sort(key=lambda made: (made.value, made.script))
    inputs = tuple(Input(coin.outpoint) for coin in chosen)
    locktime = wallet.view.height if wish.locktime is None else wish.locktime
    unsigned = Transaction(inputs, tuple(outputs), locktime)
    return unsigned if wish.unsigned else sign(wallet, unsigned, chosen)


def sign(wallet: Wallet, tx: Transaction, coins: Sequence[Coin]) -> Transaction:
    """Fill in what stands for signatures: 65 bytes of digest and the public key of each coin."""
    inputs = []
    for spent, coin in zip(tx.inputs, coins, strict=True):
        key = wallet.public_key(coin.address)
        digest = hashlib.sha512(f"{wallet.seed}/{tx.hex}/{spent.spent.text}".encode()).digest() + b"\x41"
        inputs.append(Input(spent.spent, f"41{digest.hex()}21{key}"))
    return Transaction(tuple(inputs), tx.outputs, tx.locktime, tx.version)


def _spendable(wallet: Wallet, from_address: str | None) -> list[Coin]:
    """Coins that are not frozen, confirmed ones first and oldest first, so that all daemons choose alike."""
    only = None if from_address is None else addresses.parse(from_address).text
    coins = [coin for coin in wallet.coins() if not wallet.is_frozen(coin) and (only is None or coin.address == only)]
    return sorted(coins, key=lambda coin: (coin.height == 0, coin.height, coin.outpoint.text))


def _spend_all(coins: list[Coin], wish: Wish) -> list[Output]:
    fixed = sum(value for _, value in wish.outputs if value is not None)
    rest = sum(coin.output.value for coin in coins) - fixed - _fee(wish, len(coins), change=False)
    if rest <= 0:
        raise NotEnoughFunds
    return [Output(rest if value is None else value, script) for script, value in wish.outputs]


def _spend_some(wallet: Wallet, coins: list[Coin], wish: Wish) -> tuple[list[Coin], list[Output]]:
    wanted = sum(value for _, value in wish.outputs if value is not None)
    chosen: list[Coin] = []
    for coin in coins:
        chosen.append(coin)
        rest = sum(one.output.value for one in chosen) - wanted
        if rest >= _fee(wish, len(chosen), change=False):
            break
    else:
        raise NotEnoughFunds
    rest -= _fee(wish, len(chosen), change=True)
    outputs = [Output(value, script) for script, value in wish.outputs if value is not None]
    if rest >= DUST:
        change = wish.change_address or wallet.change_address()
        outputs.append(Output(rest, addresses.parse(change).script))
    return chosen, outputs


def _fee(wish: Wish, inputs: int, *, change: bool) -> int:
    if wish.fee is not None:
        return wish.fee
    size = _size(inputs, [script for script, _ in wish.outputs])
    if change:
        size += _OUTPUT + _KEY_HASH_SCRIPT
    return math.ceil(size * (FEE_PER_KB / 1000 if wish.feerate is None else wish.feerate))


def _size(inputs: int, scripts: Sequence[str]) -> int:
    """How many bytes a signed payment will have, about."""
    return _FRAME + inputs * _INPUT + sum(_OUTPUT + len(script) // 2 for script in scripts)
