"""Electron Cash: all 78 methods, each with the effect that the design gives it and the names of its parameters."""

import pytest

from gateway.base.effects import Bound, Effect
from gateway.profiles import REFUSED, load

CASH = load("electron-cash")

EFFECTS = {
    Effect.READ: (
        "ping version commands help addressconvert validateaddress verifymessage deserialize createmultisig encrypt "
        "dumpprivkeys getservers getaddressbalance getaddresshistory getaddressunspent getmerkle gettransaction"
    ),
    Effect.WALLET_READ: (
        "getinfo list_wallets is_synchronized getbalance listunspent history token_history listaddresses ismine "
        "getpubkeys getmpk getfeerate rpa_generate_paycode"
    ),
    Effect.LOCAL_READ: "listcontacts searchcontacts getalias getrequest listrequests",
    Effect.WRITE: "setlabel freeze unfreeze freeze_utxo unfreeze_utxo rmrequest clearrequests",
    Effect.ALLOCATE: "createnewaddress addrequest getunusedaddress",
    Effect.SIGN: "payto paytomany signtransaction signmessage consolidatecoins",
    Effect.PUBLISH: "broadcast",
    Effect.SECRET: (
        "getseed getmasterprivate getprivatekeys rpa_extract_private_keys_from_transaction get getconfig make_seed "
        "make_electrum_seed check_seed check_electrum_seed create restore password importprivkey sweep signrequest "
        "decrypt serialize rpa_generate_transaction_from_paycode"
    ),
    Effect.CONTROL: "stop load_wallet close_wallet daemon gui run_cmdline setconfig notify",
}

PARAMS = {
    "addressconvert": "address",
    "validateaddress": "address",
    "verifymessage": "address signature message",
    "deserialize": "tx",
    "createmultisig": "num pubkeys",
    "encrypt": "pubkey message",
    "getaddressbalance": "address include_tokens tokens_only",
    "getaddresshistory": "address",
    "getaddressunspent": "address include_tokens tokens_only",
    "getmerkle": "txid height",
    "gettransaction": "txid",
    "history": "year show_addresses show_fiat use_net timeout",
    "token_history": "year use_net timeout",
    "listaddresses": "receiving change labels frozen unused funded balance",
    "ismine": "address",
    "getpubkeys": "address",
    "listrequests": "pending expired paid",
    "getrequest": "key",
    "searchcontacts": "query",
    "getalias": "key",
    "payto": (
        "destination amount fee feerate from_addr change_addr nocheck unsigned password locktime op_return "
        "op_return_raw addtransaction"
    ),
    "paytomany": "outputs fee feerate from_addr change_addr nocheck unsigned password locktime addtransaction",
    "signtransaction": "tx privkey password schnorr",
    "signmessage": "address message password",
    "consolidatecoins": "address",
    "setlabel": "key label",
    "freeze": "address",
    "unfreeze": "address",
    "freeze_utxo": "coin",
    "unfreeze_utxo": "coin",
    "rmrequest": "address",
    "broadcast": "tx",
    "addrequest": "amount memo expiration force payment_url index_url token_request category_id",
}

WAITS_FOR_ITS_SERVER = (
    "getaddressbalance getaddresshistory getaddressunspent getmerkle gettransaction getalias broadcast"
)
SIGNS = "payto paytomany signtransaction signmessage consolidatecoins"
AS_LARGE_AS_THE_WALLET = "history token_history listunspent listaddresses listrequests"


def test_every_method_has_the_effect_that_the_design_gives_it() -> None:
    """78 of them, none twice, none missing."""
    expected = {name: effect for effect, names in EFFECTS.items() for name in names.split()}
    assert sum(len(names.split()) for names in EFFECTS.values()) == len(expected) == 78
    assert {name: row.effect for name, row in CASH.methods.items()} == expected


def test_parameters_have_the_daemons_names_in_its_order() -> None:
    """Rules about places depend on it; methods that are not listed take none."""
    allowed = {name: row for name, row in CASH.methods.items() if row.effect not in REFUSED}
    assert {name: " ".join(row.params) for name, row in allowed.items()} == {
        name: PARAMS.get(name, "") for name in allowed
    }
    assert set(PARAMS) <= set(allowed)


def test_bounds_follow_what_a_method_waits_for() -> None:
    """30 s inside the daemon need 35 of ours; what grows with the wallet gets five, and signing eight."""
    special = {
        **dict.fromkeys(WAITS_FOR_ITS_SERVER.split(), Bound.SERVER),
        **dict.fromkeys(AS_LARGE_AS_THE_WALLET.split(), Bound.HEAVY),
        **dict.fromkeys(SIGNS.split(), Bound.SIGN),
    }
    assert {name: row.bound for name, row in CASH.methods.items()} == {
        name: special.get(name, Bound.FAST) for name in CASH.methods
    }


@pytest.mark.parametrize(("method", "place"), [("payto", 13), ("paytomany", 10)])
def test_addtransaction_stands_where_the_daemon_has_it(method: str, place: int) -> None:
    """Measured at real daemons."""
    assert CASH.methods[method].params.index("addtransaction") == place - 1
    assert "addtransaction" in CASH.methods[method].forbidden


def test_coins_are_known_wherever_they_may_be_given() -> None:
    """The daemon truncates floats, so each such parameter goes as text."""
    assert {name: row.amounts for name, row in CASH.methods.items() if row.amounts} == {
        "addrequest": ("amount",),
        "payto": ("amount", "fee", "feerate"),
        "paytomany": ("outputs.*.1", "fee", "feerate"),
    }


def test_the_master_public_key_alone_is_opened_by_name_only() -> None:
    """Nothing else a client may have is that private."""
    assert [row.name for row in CASH.methods.values() if row.by_name] == ["getmpk"]


def test_whatever_is_refused_says_why() -> None:
    """A client's developer reads it."""
    assert all(row.reason for row in CASH.methods.values() if row.effect in REFUSED)


def test_the_daemon_is_treated_as_fragile_as_it_is() -> None:
    """One call at a time over a connection of its own; getinfo is the probe."""
    assert (CASH.serial, CASH.keep_alive, CASH.slots, CASH.chain) == (True, False, 1, "online")
    assert (CASH.probe, CASH.probe_style) == ("getinfo", "getinfo")
    assert (CASH.list_addresses, CASH.list_params, CASH.allocate) == ("listaddresses", b"[true]", "createnewaddress")
