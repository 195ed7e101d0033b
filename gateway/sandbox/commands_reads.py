"""Methods that only look: the state of the daemon, balances, history, addresses, transactions.

The rule: nothing here changes the wallet; what is not in the wallet is asked of the chain, and the caller
waits for it with everybody else.
"""

# ruff: noqa: FBT001, FBT002 - the parameters, their order and their defaults are those of the real daemon.

from datetime import UTC, datetime
from typing import Any

from gateway.sandbox import addresses
from gateway.sandbox.ledger import block_time
from gateway.sandbox.link import NoAnswerError
from gateway.sandbox.node import VERSION, Node
from gateway.sandbox.spending import FEE_PER_KB
from gateway.sandbox.transactions import Input, Transaction
from gateway.sandbox.wallet import coins_text, plain_text, storage_key

KEY_BYTES = 33


class ServerError(Exception):
    """What the chain answered instead of a result."""


class timeout(Exception):  # noqa: N801, N818 - callers know the real daemon's error by this name
    """The chain did not answer."""


class ReadCommands:
    """Reads."""

    def __init__(self, node: Node) -> None:
        self._node = node

    # The daemon

    def getinfo(self) -> dict[str, Any]:
        """The state of daemon, chain and wallets, without a round trip."""
        node = self._node
        path = str(node.file.path)
        return {
            "path": str(node.file.folder),
            "server": node.link.host,
            "blockchain_height": node.link.view.height,
            "server_height": node.link.server_height,
            "spv_nodes": int(node.link.connected),
            "connected": node.link.connected,
            "auto_connect": False,
            "version": VERSION,
            "default_wallet": path,
            "wallets": {path: node.synchronized} if node.loaded else {},
            "fee_per_kb": FEE_PER_KB,
        }

    def list_wallets(self) -> list[dict[str, Any]]:
        """The open wallets."""
        if not self._node.loaded:
            return []
        return [{"path": str(self._node.file.path), "synchronized": self._node.synchronized}]

    def is_synchronized(self) -> bool:
        """Whether the wallet once was in step with its server; it stays true when the server is gone."""
        # Without a wallet it is an error, not false.
        return self._node.wallet is not None and self._node.synchronized

    def getfeerate(self) -> int:
        """Satoshis for 1,000 bytes."""
        return FEE_PER_KB

    def getservers(self) -> dict[str, Any]:
        """The one chain there is."""
        link = self._node.link
        return {link.host: {"pruning": "-", "t": str(link.port), "version": "SANDBOX"}}

    # The wallet

    def getbalance(self) -> dict[str, str]:
        """The balance in coins; what is zero is left out, but for the confirmed part."""
        balance = self._node.wallet.balance()
        told = {"confirmed": coins_text(balance.confirmed)}
        if balance.unconfirmed:
            told["unconfirmed"] = coins_text(balance.unconfirmed)
        return told

    def history(
        self,
        year: int = 0,
        show_addresses: bool = False,
        show_fiat: bool = False,
        use_net: bool = False,
        timeout: float = 30.0,
    ) -> list[dict[str, Any]]:
        """The wallet's transactions, newest first."""
        del show_fiat, use_net, timeout
        wallet = self._node.wallet
        lines = []
        found = wallet.transactions()
        # What came before a plain receipt has no balance: the real one does not know what a receipt added.
        total: int | None = sum(effect for _, effect in found)
        for txid, effect in reversed(found):
            height = wallet.view.heights[txid]
            moment = datetime.fromtimestamp(block_time(height), UTC)
            tx = wallet.view.transactions[txid]
            sources = [wallet.view.output(one.spent) for one in tx.inputs]
            spent = sum(source.value for source in sources if source)
            receipt = not wallet.spends_own(txid)
            line = {
                "txid": txid,
                "height": height,
                "confirmations": wallet.view.height - height + 1 if height else 0,
                "timestamp": block_time(height) if height else 0,
                "date": f"{moment:%Y-%m-%d %H:%M}" if height else "unconfirmed",
                "label": wallet.label_of(txid),
                "value": "--" if receipt else ("+" if effect >= 0 else "") + plain_text(effect),
                "fee": "--" if receipt else plain_text(spent - sum(made.value for made in tx.outputs)),
                "balance": "--" if total is None else plain_text(total),
            }
            total = None if receipt or total is None else total - effect
            if show_addresses:
                line["input_addresses"] = [source.address for source in sources if source]
                line["output_addresses"] = [made.address for made in tx.outputs]
            if not year or (height and moment.year == int(year)):
                lines.append(line)
        return lines

    def listunspent(self) -> list[dict[str, Any]]:
        """The wallet's coins, frozen ones too."""
        wallet = self._node.wallet
        return [
            {
                "address": coin.address,
                "value": coins_text(coin.output.value),
                "prevout_n": coin.outpoint.index,
                "prevout_hash": coin.outpoint.txid,
                "height": coin.height,
                "coinbase": False,
                "is_frozen_coin": coin.outpoint.text in wallet.notes.frozen_coins,
                "slp_token": None,
                "token_data": None,
            }
            for coin in wallet.coins()
        ]

    def listaddresses(
        self,
        receiving: bool = False,
        change: bool = False,
        labels: bool = False,
        frozen: bool = False,
        unused: bool = False,
        funded: bool = False,
        balance: bool = False,
    ) -> list[Any]:
        """The wallet's addresses; with labels or balance as lists of address, balance and label."""
        wallet = self._node.wallet
        found: list[Any] = []
        held = {coin.address for coin in wallet.coins()} if unused or funded else set()
        some = [] if receiving and change else wallet.receiving if receiving else wallet.change
        for address in some if receiving or change else wallet.addresses():
            # Used means used up: an address that still holds coins is listed among the unused ones, there as here.
            used = unused and bool(wallet.history_of(address)) and address not in held
            left_out = (frozen and address not in wallet.notes.frozen) or used or (funded and address not in held)
            if left_out:
                continue
            item: list[Any] = [address]
            if balance:
                both = wallet.balance(address)
                item.append(plain_text(both.confirmed + both.unconfirmed))
            if labels:
                item.append(repr(wallet.notes.labels.get(storage_key(address), "")))
            found.append(item if labels or balance else address)
        return found

    def getunusedaddress(self) -> str:
        """The first address without history and invoice: the one that the next addrequest takes."""
        unused = self._node.wallet.unused()
        if not unused:
            raise AttributeError("'NoneType' object has no attribute 'to_ui_string'")
        return unused[0]

    def ismine(self, address: str) -> bool:
        """Whether the wallet watches the address."""
        return self._node.wallet.owns(addresses.parse(address).text)

    def getpubkeys(self, address: str) -> list[str]:
        """What stands in for the public key of an own address."""
        return [self._node.wallet.public_key(addresses.parse(address).text)]

    def listcontacts(self) -> list[Any]:
        """The sandbox knows nobody."""
        return []

    def searchcontacts(self, query: str) -> list[Any]:
        """The sandbox knows nobody."""
        del query
        return []

    # Without a wallet

    def validateaddress(self, address: str) -> bool:
        """Whether the text is an address of this network."""
        try:
            addresses.parse(address)
        except addresses.AddressError:
            return False
        return True

    def addressconvert(self, address: str) -> dict[str, str]:
        """Both forms of an address."""
        parsed = addresses.parse(address)
        return {"cashaddr": parsed.text, "legacy": parsed.legacy}

    def deserialize(self, tx: Any) -> dict[str, Any]:
        """What a transaction in hexadecimal, or in the answer of payto, says."""
        text = tx["hex"] if isinstance(tx, dict) else tx
        if not isinstance(text, str):
            raise BaseException("cannot initialize transaction", text)  # noqa: TRY002 - callers see the name
        return describe(Transaction.parse(text))

    # At the chain, if the wallet does not have it

    def gettransaction(self, txid: str) -> dict[str, Any]:
        """The bytes of a transaction, the wallet's own without asking."""
        wallet = self._node.current
        if wallet is not None and txid in {one for one, _ in wallet.transactions()}:
            return {"hex": wallet.view.transactions[txid].hex, "complete": True, "final": True}
        answer = self._ask(cmd="transaction", txid=txid)
        return {"hex": answer["hex"], "complete": True, "final": True}

    def getaddressbalance(self, address: str, include_tokens: bool = False, tokens_only: bool = False) -> Any:
        """The balance of any address, from the chain."""
        del include_tokens, tokens_only
        unspent = self._unspent(address)
        sums = {known: sum(one["value"] for one in unspent if bool(one["height"]) is known) for known in (True, False)}
        return {"confirmed": coins_text(sums[True]), "unconfirmed": coins_text(sums[False])}

    def getaddressunspent(self, address: str, include_tokens: bool = False, tokens_only: bool = False) -> Any:
        """The coins of any address, from the chain; values in satoshis."""
        del include_tokens, tokens_only
        return self._unspent(address)

    def getaddresshistory(self, address: str) -> list[dict[str, Any]]:
        """The transactions of any address, from the chain."""
        script = addresses.parse(address).script
        found: list[dict[str, Any]] = self._ask(cmd="script", script=script)["history"]
        return found

    def _unspent(self, address: str) -> list[dict[str, Any]]:
        script = addresses.parse(address).script
        found: list[dict[str, Any]] = self._ask(cmd="script", script=script)["unspent"]
        return found

    def _ask(self, **question: object) -> dict[str, Any]:
        try:
            answer = self._node.link.ask(**question)
        except NoAnswerError:
            raise timeout("Server did not answer") from None
        if "error" in answer:
            raise ServerError({"code": 1, "message": answer["error"]})
        return answer


def describe(tx: Transaction) -> dict[str, Any]:
    """A transaction in words; values in satoshis."""
    return {
        "version": tx.version,
        "inputs": [_describe_input(one) for one in tx.inputs],
        "outputs": [
            {
                "value": made.value,
                "type": 0 if made.address else 2,
                "address": made.address or f"SCRIPT {made.script}",
                "scriptPubKey": made.script,
                "token_data": None,
                "prevout_n": index,
            }
            for index, made in enumerate(tx.outputs)
        ],
        "lockTime": tx.locktime,
    }


def _describe_input(one: Input) -> dict[str, Any]:
    """A spent coin in words; an unsigned one tells nothing of its owner."""
    told: dict[str, Any] = {
        "prevout_hash": one.spent.txid,
        "prevout_n": one.spent.index,
        "sequence": 0xFFFFFFFE,
        "type": "p2pkh",
        "scriptSig": one.unlock,
    }
    if one.unlock:
        key = one.unlock[-2 * KEY_BYTES :]
        owner = addresses.of_key(bytes.fromhex(key))
        signature = one.unlock[2 : -2 * KEY_BYTES - 2]
        told |= {
            "address": owner.text,
            "num_sig": 1,
            "pubkeys": [key],
            "signatures": [signature],
            "x_pubkeys": [key],
        }
    return told
