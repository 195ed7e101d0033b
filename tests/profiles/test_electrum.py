"""Electrum 4.3: its 102 commands and the three names beside them, as its own command list has them."""

import pytest

from gateway.base.effects import GRANTABLE, Effect
from gateway.profiles import REFUSED, load
from gateway.rules.methods import Refused, judge

ELECTRUM = load("electrum")

EFFECTS = {
    Effect.READ: (
        "ping version version_info commands help get_ssl_domain validateaddress verifymessage deserialize "
        "createmultisig convert_xkey convert_currency encrypt dumpprivkeys getservers getaddressbalance "
        "getaddresshistory getaddressunspent getmerkle gettransaction"
    ),
    Effect.WALLET_READ: (
        "getinfo getfeerate list_wallets is_synchronized getbalance ismine getpubkeys get_tx_status "
        "getminacceptablegap listunspent listaddresses onchain_history getmpk"
    ),
    Effect.LOCAL_READ: ("listcontacts searchcontacts getalias get_request list_requests get_invoice list_invoices"),
    Effect.WRITE: (
        "setlabel freeze unfreeze freeze_utxo unfreeze_utxo delete_request clear_requests delete_invoice clear_invoices"
    ),
    Effect.ALLOCATE: "createnewaddress getunusedaddress add_request",
    Effect.SIGN: "payto paytomany signtransaction signmessage",
    Effect.PUBLISH: "broadcast",
    Effect.SECRET: (
        "decrypt get getconfig getseed getmasterprivate getprivatekeys getprivatekeyforpath make_seed serialize "
        "signtransaction_with_privkey sweep importprivkey password create restore export_channel_backup"
    ),
    Effect.CONTROL: (
        "stop load_wallet close_wallet gui run_cmdline setconfig notify addtransaction removelocaltx bumpfee "
        "changegaplimit inject_fees lightning_history decode_invoice add_peer list_peers open_channel close_channel "
        "request_force_close lnpay nodeid list_channels dumpgraph enable_htlc_settle clear_ln_blacklist "
        "reset_liquidity_hints import_channel_backup get_channel_ctx get_watchtower_ctn rebalance_channels "
        "normal_swap reverse_swap"
    ),
}

PARAMS = {
    "add_request": "amount memo expiration force wallet",
    "broadcast": "tx",
    "clear_invoices": "wallet",
    "clear_requests": "wallet",
    "convert_currency": "from_amount from_ccy to_ccy",
    "convert_xkey": "xkey xtype",
    "createmultisig": "num pubkeys",
    "createnewaddress": "wallet",
    "delete_invoice": "invoice_id wallet",
    "delete_request": "request_id wallet",
    "deserialize": "tx",
    "encrypt": "pubkey message",
    "freeze": "address wallet",
    "freeze_utxo": "coin wallet",
    "get_invoice": "invoice_id wallet",
    "get_request": "request_id wallet",
    "get_tx_status": "txid wallet",
    "getaddressbalance": "address",
    "getaddresshistory": "address",
    "getaddressunspent": "address",
    "getalias": "key wallet",
    "getbalance": "wallet",
    "getfeerate": "fee_method fee_level",
    "getmerkle": "txid height",
    "getminacceptablegap": "wallet",
    "getmpk": "wallet",
    "getpubkeys": "address wallet",
    "gettransaction": "txid wallet",
    "getunusedaddress": "wallet",
    "is_synchronized": "wallet",
    "ismine": "address wallet",
    "list_invoices": "pending expired paid wallet",
    "list_requests": "pending expired paid wallet",
    "listaddresses": "receiving change labels frozen unused funded balance wallet",
    "listcontacts": "wallet",
    "listunspent": "wallet",
    "onchain_history": "year show_addresses show_fiat wallet from_height to_height",
    "payto": (
        "destination amount fee feerate from_addr from_coins change_addr nocheck unsigned rbf "
        "password locktime addtransaction wallet"
    ),
    "paytomany": (
        "outputs fee feerate from_addr from_coins change_addr nocheck unsigned rbf "
        "password locktime addtransaction wallet"
    ),
    "searchcontacts": "query wallet",
    "setlabel": "key label wallet",
    "signmessage": "address message password wallet",
    "signtransaction": "tx password wallet",
    "unfreeze": "address wallet",
    "unfreeze_utxo": "coin wallet",
    "validateaddress": "address",
    "verifymessage": "address signature message",
}

LIGHTNING = (
    "add_peer list_peers open_channel close_channel request_force_close lnpay nodeid list_channels dumpgraph "
    "enable_htlc_settle clear_ln_blacklist reset_liquidity_hints import_channel_backup export_channel_backup "
    "get_channel_ctx get_watchtower_ctn rebalance_channels normal_swap reverse_swap lightning_history decode_invoice"
)
KEYS = "getseed getmasterprivate getprivatekeys getprivatekeyforpath importprivkey sweep signtransaction_with_privkey"
OTHERS = "bumpfee addtransaction changegaplimit run_cmdline gui get getconfig setconfig notify stop load_wallet"


def test_every_command_is_classified() -> None:
    """None twice, none missing, none that it does not have."""
    expected = {name: effect for effect, names in EFFECTS.items() for name in names.split()}
    assert sum(len(names.split()) for names in EFFECTS.values()) == len(expected) == 102 + 3
    assert {name: row.effect for name, row in ELECTRUM.methods.items()} == expected


def test_parameters_have_the_daemons_names_in_its_order() -> None:
    """They differ from Electron Cash's: from_coins and rbf move the places of those behind them."""
    allowed = {name: row for name, row in ELECTRUM.methods.items() if row.effect not in REFUSED}
    assert {name: " ".join(row.params) for name, row in allowed.items()} == {
        name: PARAMS.get(name, "") for name in allowed
    }
    assert set(PARAMS) <= set(allowed)


@pytest.mark.parametrize("method", f"{LIGHTNING} {KEYS} {OTHERS}".split())
def test_what_several_daemons_cannot_share_is_refused_to_everybody(method: str) -> None:
    """Lightning, fees raised behind the gateway's back, keys and the daemon itself."""
    verdict = judge(
        ELECTRUM, method, b"[]", effects=GRANTABLE | REFUSED, opened=frozenset({method}), client="c", wallet="w"
    )
    assert isinstance(verdict, Refused)
    assert ELECTRUM.methods[method].reason in verdict.failure.message


def test_no_method_lets_a_client_choose_a_wallet_file() -> None:
    """Also those whose parameters do not name one, for the daemon takes it all the same."""
    for row in ELECTRUM.methods.values():
        if row.effect not in REFUSED:
            assert {"wallet", "wallet_path"} <= set(row.forbidden)


def test_addtransaction_is_forbidden_where_it_is_a_parameter() -> None:
    """Another place than in Electron Cash."""
    assert {name for name, row in ELECTRUM.methods.items() if "addtransaction" in row.forbidden} == {
        "payto",
        "paytomany",
    }
    assert ELECTRUM.methods["payto"].params.index("addtransaction") == 12
    assert ELECTRUM.methods["paytomany"].params.index("addtransaction") == 11


def test_coins_are_known_wherever_they_may_be_given() -> None:
    """As text they lose no digit."""
    assert {name: row.amounts for name, row in ELECTRUM.methods.items() if row.amounts} == {
        "add_request": ("amount",),
        "payto": ("amount", "fee", "feerate"),
        "paytomany": ("outputs.*.1", "fee", "feerate"),
    }


def test_it_takes_several_calls_and_is_up_with_a_wallet_loaded() -> None:
    """It speaks HTTP/1.1; run offline, there is no chain to be synced with."""
    assert (ELECTRUM.serial, ELECTRUM.keep_alive, ELECTRUM.chain) == (False, True, "offline")
    assert ELECTRUM.slots > 1
    assert (ELECTRUM.probe, ELECTRUM.probe_style) == ("list_wallets", "list_wallets")
    assert (ELECTRUM.list_addresses, ELECTRUM.list_params, ELECTRUM.allocate) == (
        "listaddresses", b"[true]", "createnewaddress",
    )  # fmt: skip
