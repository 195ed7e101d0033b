"""What a call may do: nothing unclassified passes, a rule holds by name and by position, digits stay digits."""

import gc
import json
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.base.effects import GRANTABLE, OPEN_BY_DEFAULT, Bound, Effect
from gateway.base.errors import INVALID_PARAMS, METHOD_REFUSED, Kind
from gateway.base.jsonrpc import MAX_NAMES
from gateway.profiles import REFUSED, Method, Profile, load
from gateway.rules.methods import MAX_EXPONENTS, MAX_PAIRS, RUNS_CODE, Granted, Refused, is_true, judge

T = TypeVar("T")

CASH = load("electron-cash")
PROFILES = [CASH, load("electrum")]
ROWS = [(profile, row) for profile in PROFILES for row in profile.methods.values()]
OPEN = [(profile, row) for profile, row in ROWS if row.effect not in REFUSED]

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
values: st.SearchStrategy[Any] = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=8
)
numbers = st.from_regex(r"\A-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][-+]?[0-9]{1,2})?\Z").map(str.encode)
grants = st.frozensets(st.sampled_from(sorted(GRANTABLE)))


def drawn(of: Sequence[T]) -> st.SearchStrategy[T]:
    """Draw one of many; Hypothesis would write all of them out."""
    return st.integers(0, len(of) - 1).map(lambda place: of[place])


def ask(
    method: str,
    params: bytes = b"",
    *,
    profile: Profile = CASH,
    effects: frozenset[Effect] = GRANTABLE,
    opened: frozenset[str] = frozenset(),
) -> Granted | Refused:
    """Judge a call of a client that may do everything that anybody may."""
    return judge(profile, method, params, effects=effects, opened=opened, client="shop", wallet="main")


def granted(method: str, params: bytes = b"", **more: Any) -> Granted:
    """Judge a call that is allowed."""
    verdict = ask(method, params, **more)
    assert isinstance(verdict, Granted), verdict
    return verdict


def refused(method: str, params: bytes = b"", **more: Any) -> tuple[Kind, str]:
    """Judge a call that is not."""
    verdict = ask(method, params, **more)
    assert isinstance(verdict, Refused), verdict
    assert verdict.failure.wallet == "main"
    assert not verdict.failure.safe_to_repeat
    return verdict.failure.kind, verdict.failure.message


def by_position(row: Method, name: str, value: bytes, others: bytes = b"null") -> bytes:
    """Write a list in which only the parameter `name` has a value."""
    return b"[%b]" % b", ".join([others] * row.params.index(name) + [value])


# -- who may call what --------------------------------------------------------------------------------------


@given(st.sampled_from(PROFILES), st.text(max_size=20), grants, st.frozensets(st.text(max_size=20), max_size=2))
def test_nothing_unclassified_is_ever_granted(
    profile: Profile, method: str, effects: frozenset[Effect], opened: frozenset[str]
) -> None:
    """Not by any effect, and not by opening it by name."""
    if method not in profile.methods:
        kind, says = refused(method, profile=profile, effects=effects, opened=opened | {method})
        assert kind is METHOD_REFUSED
        assert f"profile {profile.name}" in says
        assert "`profile:`" in says


@given(drawn(ROWS), st.frozensets(st.sampled_from(Effect)), st.booleans(), st.sampled_from([b"", b"[]", b"{}"]))
def test_no_settings_of_a_client_reach_secrets_or_control(
    of: tuple[Profile, Method],
    effects: frozenset[Effect],
    by_name: bool,  # noqa: FBT001 - Hypothesis fills it in
    params: bytes,
) -> None:
    """Even a client that was given those effects and the method's name is refused, and told why."""
    profile, row = of
    if row.effect in REFUSED:
        opened = frozenset({row.name} if by_name else ())
        kind, says = refused(row.name, params, profile=profile, effects=effects | REFUSED, opened=opened)
        assert kind is METHOD_REFUSED
        assert row.reason in says
        assert "refused to every client" in says


@given(drawn(OPEN), grants, st.booleans())
def test_a_method_is_granted_by_its_effect_or_by_its_name(
    of: tuple[Profile, Method],
    effects: frozenset[Effect],
    by_name: bool,  # noqa: FBT001 - Hypothesis fills it in
) -> None:
    """And by nothing else; the refusal names the key to change."""
    profile, row = of
    opened = frozenset({row.name} if by_name else ())
    may = by_name or (row.effect in effects and not row.by_name)
    if may:
        verdict = granted(row.name, profile=profile, effects=effects, opened=opened)
        assert (verdict.method, verdict.effect, verdict.bound, verdict.params) == (row, row.effect, row.bound, b"")
    else:
        kind, says = refused(row.name, profile=profile, effects=effects, opened=opened)
        assert kind is METHOD_REFUSED
        assert "`methods:`" in says
        assert "client shop" in says or "of that client" in says
        assert row.by_name or f"add {row.effect} to `effects:`" in says


def test_other_parameters_change_nothing_of_what_is_granted() -> None:
    """A payment goes on with a transaction in place of what the client wrote."""
    first = granted("broadcast", b'["00"]')
    second = first.given(b'["ff"]')
    assert (second.method, second.effect, second.bound) == (first.method, first.effect, first.bound)
    assert (first.params, second.params) == (b'["00"]', b'["ff"]')


def test_the_master_public_key_is_opened_by_name_only() -> None:
    """It shows every address that there will ever be."""
    assert refused("getmpk")[0] is METHOD_REFUSED
    assert granted("getmpk", opened=frozenset({"getmpk"})).effect is Effect.WALLET_READ


def test_the_detour_over_the_command_line_is_closed() -> None:
    """run_cmdline would reach any method, getseed among them."""
    seed = b'[{"cmd": "getseed", "electron_cash_path": "x"}]'
    for profile in PROFILES:
        for method in ("run_cmdline", "daemon", "gui"):
            if method in profile.methods:
                assert refused(method, seed, profile=profile, opened=frozenset({method}))[0] is METHOD_REFUSED


# -- parameters that may not be true ------------------------------------------------------------------------


@given(drawn([(p, r, name) for p, r in OPEN for name in r.forbidden]), values)
def test_a_forbidden_parameter_is_told_by_name_and_by_position_alike(
    of: tuple[Profile, Method, str], value: object
) -> None:
    """Both ways give the same verdict, and what is false for Python passes."""
    profile, row, name = of
    raw = json.dumps(value).encode()
    opened = frozenset({row.name})
    verdicts = [ask(row.name, b'{"%b": %b}' % (name.encode(), raw), profile=profile, opened=opened)]
    if name in row.params:
        verdicts.append(ask(row.name, by_position(row, name, raw, b'""'), profile=profile, opened=opened))
    for verdict in verdicts:
        if value:
            assert isinstance(verdict, Refused)
            assert verdict.failure.kind is METHOD_REFUSED
        elif not isinstance(value, list | dict):
            assert isinstance(verdict, Granted) or "[address, amount]" in verdict.failure.message


@pytest.mark.parametrize(("method", "place"), [("payto", 13), ("paytomany", 10)])
@pytest.mark.parametrize("value", [b"true", b"1", b'"false"', b'"0"', b"[]", b"{}", b"[0]", b"-1", b"0.1", b"1e-9"])
def test_addtransaction_is_refused_at_its_place_and_by_its_name(method: str, place: int, value: bytes) -> None:
    """It is the 13th of payto and the 10th of paytomany; any value but Python's false ones counts as true."""
    first = {"payto": [b'"bchreg:q"', b'"1"'], "paytomany": [b'[["bchreg:q", "1"]]', b"null"]}[method]
    listed = [*first, *[b"null"] * (place - 3), value]
    assert len(listed) == place
    for params in (
        b"[%b]" % b", ".join(listed),
        b'{"addtransaction": %b}' % value,
        b'{"addtransactio\\u006e": %b}' % value,
    ):
        kind, says = refused(method, params)
        assert kind is METHOD_REFUSED
        assert says == (
            f"method_refused: addtransaction of {method} books the payment in the wallet file of one daemon alone; "
            "it is refused to every client, leave it out"
        )
    earlier = [*first, *[b"null"] * (place - 4), value]
    assert isinstance(ask(method, b"[%b]" % b", ".join(earlier)), Granted)


@pytest.mark.parametrize("value", [b"false", b"null", b"0", b'""', b"-0", b"0.0", b"-0.0e5", b"1e-400", b"0e99"])
def test_what_python_takes_for_no_is_no(value: bytes) -> None:
    """A client that spells its defaults out is served."""
    assert not is_true(value)
    assert not json.loads(value)
    assert granted("payto", b'{"destination": "x", "amount": "1", "addtransaction": %b}' % value)


@given(values)
def test_true_for_python_is_true_for_us(value: object) -> None:
    """Whatever Python takes for true is; empty lists and objects are refused with the rest."""
    for separators in ((",", ":"), (" , ", " : ")):
        assert is_true(json.dumps(value, separators=separators).encode()) == (
            bool(value) or isinstance(value, list | dict)
        )


def test_a_private_key_beside_a_transaction_is_refused_for_what_it_is() -> None:
    """Each forbidden parameter has its own reason."""
    assert "sends a private key" in refused("signtransaction", b'["00", "L1"]')[1]


def test_another_wallet_file_is_refused_in_every_method_of_electrum() -> None:
    """`wallet` and `wallet_path` choose one; they are refused by name, and at the place of `wallet`."""
    for row in PROFILES[1].methods.values():
        if row.effect in REFUSED:
            continue
        for name in ("wallet", "wallet_path"):
            kind, says = refused(
                row.name, b'{"%b": "/tmp/w"}' % name.encode(), profile=PROFILES[1], opened=frozenset({row.name})
            )
            assert kind is METHOD_REFUSED
            assert "chooses a wallet file" in says


@given(drawn(OPEN), st.integers(1, 3))
def test_more_parameters_than_there_are_cannot_pass_a_rule(of: tuple[Profile, Method], more: int) -> None:
    """Where places matter, a list that is too long is not guessed at."""
    profile, row = of
    params = json.dumps([None] * (len(row.params) + more)).encode()
    verdict = ask(row.name, params, profile=profile, opened=frozenset({row.name}))
    if row.has_rules:
        assert isinstance(verdict, Refused)
        assert f"at most {len(row.params)} parameters" in verdict.failure.message
    else:
        assert isinstance(verdict, Granted)


# -- parameter objects --------------------------------------------------------------------------------------


def hidden(name: str, hide: list[bool]) -> bytes:
    """Write a name with some of its letters escaped."""
    return "".join(f"\\u{ord(one):04x}" if yes else one for one, yes in zip(name, hide, strict=True)).encode()


@given(
    st.sampled_from(["address", "addtransaction", "__jsonclass__"]),
    st.data(),
    st.sampled_from([b"{%b}", b"[{%b}]", b'{"a": [1, {%b}]}', b'[[["x", {"y": {%b}}]]]']),
)
def test_a_name_written_twice_is_refused_however_deep_and_escaped(name: str, data: st.DataObject, frame: bytes) -> None:
    """Nobody knows which of the two the daemon would take."""
    escaped = [data.draw(st.lists(st.booleans(), min_size=len(name), max_size=len(name))) for _ in range(2)]
    pairs = b", ".join(b'"%b": %d' % (hidden(name, hide), place) for place, hide in enumerate(escaped))
    kind, says = refused("validateaddress", frame % pairs)
    assert kind in (INVALID_PARAMS, METHOD_REFUSED)
    assert f"{name} is written twice" in says or RUNS_CODE in says


@given(
    drawn(OPEN),
    st.lists(st.booleans(), min_size=len(RUNS_CODE), max_size=len(RUNS_CODE)),
    st.sampled_from([b"[%b]", b'{"address": %b}', b'[[1, {"x": %b}]]', b"%b"]),
)
def test_an_object_that_the_daemon_would_turn_into_python_is_never_passed_on(
    of: tuple[Profile, Method], hide: list[bool], frame: bytes
) -> None:
    """jsonrpclib-pelix would start a program before it looks at the method; see the next test."""
    profile, row = of
    bomb = b'{"%b": ["subprocess.Popen", [["sh", "-c", "electron-cash getseed"]]]}' % hidden(RUNS_CODE, hide)
    kind, says = refused(row.name, frame % bomb, profile=profile, opened=frozenset({row.name}))
    assert kind is METHOD_REFUSED
    assert RUNS_CODE in says


def test_the_library_of_the_daemon_does_run_code_for_such_a_parameter() -> None:
    """Why the rule is there: a read of an address builds any class; should a later library not, the rule may go."""
    from jsonrpclib.SimpleJSONRPCServer import SimpleJSONRPCDispatcher  # noqa: PLC0415 - only this test needs it

    daemon = SimpleJSONRPCDispatcher()
    daemon.register_function(lambda address: type(address).__name__, "validateaddress")
    params = b'[{"__jsonclass__": ["decimal.Decimal", ["1.5"]]}]'
    answer = daemon._marshaled_dispatch(
        b'{"jsonrpc": "2.0", "id": 1, "method": "validateaddress", "params": %b}' % params
    )
    assert json.loads(answer)["result"] == "Decimal"
    assert refused("validateaddress", params)[0] is METHOD_REFUSED


def test_many_names_do_not_cost_their_square() -> None:
    """A hundred thousand different ones are looked at once, and no more; before, sixteen thousand took four seconds."""
    names = b",".join(b'"a%d":1' % place for place in range(MAX_NAMES))
    assert granted("validateaddress", b"{%b}" % names).params == b"{%b}" % names
    kind, says = refused("validateaddress", b'{%b,"b":1}' % names)
    assert kind is INVALID_PARAMS
    assert "more than 100000 names" in says


@given(st.booleans())
def test_looking_into_objects_leaves_the_collector_as_it_was(
    enabled: bool,  # noqa: FBT001 - Hypothesis fills it in
) -> None:
    """It is stopped for a moment, also when the parameters are no JSON."""
    before = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        granted("validateaddress", b'[{"a": 1}]')
        refused("validateaddress", b"[{")
        assert gc.isenabled() == enabled
    finally:
        (gc.enable if before else gc.disable)()


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("payto", b"[1"),
        ("payto", b'{"a": '),
        ("payto", b'{"a": NaN}'),
        ("validateaddress", b'[{"a": 1]'),
        ("validateaddress", b'[{"a": "\xff"}]'),
        ("validateaddress", b"[{" + b'"a":[' * 100_000),
        ("payto", b"[" * 100_000),
        ("paytomany", b"[%b]" % (b"[" * 100_000 + b"]" * 100_000)),
    ],
)
def test_parameters_that_are_no_json_are_refused_and_raise_nothing(method: str, params: bytes) -> None:
    """The door lets none of them in; this room does not rely on it."""
    assert refused(method, params)[0] in (INVALID_PARAMS, METHOD_REFUSED)


# -- numbers that a daemon cannot read ----------------------------------------------------------------------

FRAMES = [b"[%b]", b'{"address": %b}', b'[[1, {"x": [%b ]}]]', b'["\\"", %b, "1"]', b'[ "\\\\", -1.5 ,%b\n]']


def is_read(number: bytes) -> bool:
    """Whether the daemon's reader takes it for a number: the slow and obvious way."""
    try:
        return not math.isinf(json.loads(number))
    except OverflowError:
        return True  # an integer that is too long for a float is one all the same
    except ValueError:
        return False


digits = st.builds(
    lambda first, rest, more: first + rest * more,
    st.sampled_from("123456789"), st.sampled_from("0123456789"),
    st.sampled_from([0, 1, 199, 307, 308, 4298, 4299, 4300]),
)  # fmt: skip
edges = st.builds(
    lambda sign, whole, fraction, exponent: (sign + whole + fraction + exponent).encode(),
    st.sampled_from(["", "-"]),
    digits | st.just("0"),
    st.just("") | digits.map(".{}".format),
    st.just("")
    | st.builds(
        "{}{}{}{}".format, st.sampled_from("eE"), st.sampled_from(["", "+", "-"]), st.sampled_from(["", "000"]),
        st.integers(0, 400) | st.integers(300, 310) | digits,
    ),
)  # fmt: skip


@given(edges | numbers, st.sampled_from(FRAMES))
def test_a_number_passes_exactly_if_the_daemon_can_read_it(number: bytes, frame: bytes) -> None:
    """An answer to a call that it cannot read has no id, and infinity is no JSON to answer with."""
    params = frame % number
    if is_read(number):
        assert granted("validateaddress", params).params == params
    else:
        kind, says = refused("validateaddress", params)
        assert kind is INVALID_PARAMS
        assert "send it as text" in says


@given(edges | numbers, st.sampled_from(FRAMES), st.sampled_from([b'"%b"', b'"[%b, \\" "', b'"\\\\ ,%b"']))
def test_digits_inside_of_a_string_are_nobodys_number(number: bytes, frame: bytes, text: bytes) -> None:
    """Raw transactions are full of them, and so is the way out that the error shows."""
    params = frame % (text % number)
    assert granted("validateaddress", params).params == params


def test_a_number_that_is_too_large_is_refused_as_an_amount_too() -> None:
    """It would be sent as text; but nobody has so much."""
    assert refused("payto", b'["x", 1e999]')[0] is INVALID_PARAMS
    assert refused("payto", b'["x", %b]' % (b"9" * 4301))[0] is INVALID_PARAMS


def test_more_exponents_than_anybody_looks_through_are_refused() -> None:
    """Only where one of them may be too large."""
    many = b", 1e5" * MAX_EXPONENTS
    assert granted("validateaddress", b"[1%b]" % many)
    assert granted("validateaddress", b"[1%b, 1e300]" % many[6:])
    assert "more than 50000" in refused("validateaddress", b"[1%b, 1e300]" % many)[1]


# -- amounts ------------------------------------------------------------------------------------------------

SIMPLE = [("addrequest", "amount"), ("payto", "amount"), ("payto", "fee"), ("payto", "feerate"), ("paytomany", "fee")]


@given(st.sampled_from(SIMPLE), numbers)
def test_an_amount_reaches_the_daemon_as_the_digits_that_were_written(of: tuple[str, str], number: bytes) -> None:
    """By name and by position; 0.009 as a float would book 899,999 satoshi."""
    method, name = of
    row = CASH.methods[method]
    assert json.loads(granted(method, b'{"%b": %b}' % (name.encode(), number)).params) == {name: number.decode()}
    filler = b"[]" if method == "paytomany" else b'"x"'
    listed = json.loads(granted(method, by_position(row, name, number, filler)).params)
    assert listed[-1] == number.decode()
    assert Decimal(listed[-1]) == Decimal(number.decode())
    assert listed[:-1] == [json.loads(filler)] * (len(listed) - 1)


@pytest.mark.long
@given(st.lists(st.tuples(texts, numbers), max_size=5))
def test_each_amount_of_many_outputs_is_quoted(outputs: list[tuple[str, bytes]]) -> None:
    """The amount is the second of each pair; nothing else changes."""
    raw = b"[%b]" % b", ".join(b"[%b, %b]" % (json.dumps(to).encode(), amount) for to, amount in outputs)
    meant = [[to, amount.decode()] for to, amount in outputs]
    assert json.loads(granted("paytomany", b"[%b]" % raw).params) == [meant]
    assert json.loads(granted("paytomany", b'{"outputs": %b, "nocheck": true}' % raw).params) == {
        "outputs": meant, "nocheck": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("payto", b'["x",  "0.009"]'),
        ("payto", b'["x", "!"]'),
        ("payto", b'{ "destination":"x","amount" : null}'),
        ("paytomany", b'[[["x",  "1"], ["y"], ["z", null, 5], []]]'),
        ("paytomany", b'{"outputs":[ ]}'),
        ("validateaddress", b'[  "x" ]'),
        ("getbalance", b"[]"),
        ("history", b'{"year":  2026}'),
    ],
)
def test_what_needs_no_change_is_passed_on_byte_by_byte(method: str, params: bytes) -> None:
    """White space and all."""
    assert granted(method, params).params == params


@pytest.mark.parametrize("value", [b"true", b"false", b"[1]", b"{}"])
@pytest.mark.parametrize(
    ("method", "frame"), [("payto", b'["x", %b]'), ("addrequest", b'{"amount": %b}'), ("paytomany", b'[[["x", %b]]]')]
)
def test_what_is_no_amount_is_refused_in_words(method: str, frame: bytes, value: bytes) -> None:
    """The message shows how one is written."""
    kind, says = refused(method, frame % value)
    assert kind is INVALID_PARAMS
    assert 'an amount in coins, written like "0.009"' in says


@pytest.mark.parametrize("outputs", [b'"x"', b"5", b"{}", b"null", b'[["x", 1], 5]', b'["x"]'])
def test_outputs_that_are_no_list_of_pairs_are_refused(outputs: bytes) -> None:
    """They could hide amounts."""
    kind, says = refused("paytomany", b"[%b]" % outputs)
    assert kind is INVALID_PARAMS
    assert "list of [address, amount] pairs" in says


def test_a_number_among_amounts_that_are_text_is_found_at_every_place() -> None:
    """The first of two, and the last."""
    for outputs in (b'[["x", 1.0], ["y", "2"]]', b'[["x", "1.0"], ["y", 2]]'):
        sent = json.loads(granted("paytomany", b"[%b]" % outputs).params)
        assert sent == [[["x", "1.0"], ["y", "2"]]]


def test_more_outputs_than_a_transaction_holds_are_refused() -> None:
    """The way out is several payments."""
    pairs = b", ".join([b'["x", 1]'] * MAX_PAIRS)
    assert granted("paytomany", b"[[%b]]" % pairs)
    kind, says = refused("paytomany", b'[[%b, ["x", 1]]]' % pairs)
    assert kind is INVALID_PARAMS
    assert "more than 10000 pairs; make several payments of it" in says


def test_two_amounts_in_one_list_are_both_quoted() -> None:
    """A profile may name several places of the same list."""
    rows = {"pay": Method("pay", Effect.SIGN, Bound.SERVER, ("outputs",), ("outputs.*.1", "outputs.*.2"))}
    profile = replace(CASH, methods=rows)
    assert granted("pay", b'[[["x", 1, 2.0]]]', profile=profile).params == b'[[["x", "1", "2.0"]]]'


@pytest.mark.long
@given(drawn(OPEN), st.dictionaries(texts, values, max_size=4), st.data())
def test_what_is_granted_says_the_same_but_for_the_quoted_amounts(
    of: tuple[Profile, Method], extra: dict[str, object], data: st.DataObject
) -> None:
    """Whatever a client sends, the daemon gets these values under these names, or nothing."""
    profile, row = of
    wanted = {name: data.draw(values) for name in row.params if data.draw(st.booleans())} | extra
    params = data.draw(st.sampled_from([wanted, list(wanted.values())]))
    verdict = ask(row.name, json.dumps(params).encode(), profile=profile, opened=frozenset({row.name}))
    if isinstance(verdict, Refused):
        return
    names = list(params) if isinstance(params, dict) else [*row.params, *[""] * len(params)][: len(params)]
    sent, meant = json.loads(verdict.params), list(params.values()) if isinstance(params, dict) else params
    assert isinstance(sent, dict) == isinstance(params, dict)
    if isinstance(sent, dict):
        assert list(sent) == names
        sent = list(sent.values())
    assert [unquoted(row, *pair) for pair in zip(names, sent, strict=True)] == [
        unquoted(row, *pair) for pair in zip(names, meant, strict=True)
    ]


def unquoted(row: Method, name: str, value: Any) -> Any:
    """Read amounts as numbers, however they are written."""
    if name in row.amounts:
        return as_number(value)
    if f"{name}.*.1" in row.amounts and isinstance(value, list):
        return [[*one[:1], *map(as_number, one[1:2]), *one[2:]] for one in value]
    return value


def as_number(value: Any) -> Any:
    """Return a number for a text that is one."""
    is_number = isinstance(value, str) and re.fullmatch(r"-?[0-9.]+([eE][-+]?[0-9]+)?", value)
    return float(value) if is_number or (isinstance(value, int) and not isinstance(value, bool)) else value


# -- how long it may take -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "bound"),
    [
        (b"", Bound.HEAVY),
        (b"[]", Bound.HEAVY),
        (b"[0, false, false, false]", Bound.HEAVY),
        (b"[0, false, false, true]", Bound.SERVER),
        (b'{"use_net": true}', Bound.SERVER),
        (b'{"use_net": false}', Bound.HEAVY),
    ],
)
def test_a_history_that_asks_the_network_gets_the_time_for_it(params: bytes, bound: Bound) -> None:
    """With use_net it waits for the chain server like the others that do."""
    assert granted("history", params).bound is bound


def test_new_clients_can_do_the_main_job() -> None:
    """Balance, history, a new address and an invoice, without a word in the configuration."""
    for method in ("getbalance", "history", "createnewaddress", "addrequest", "gettransaction", "setlabel"):
        assert granted(method, effects=OPEN_BY_DEFAULT)
    for method in ("payto", "paytomany", "broadcast", "signmessage", "getmpk"):
        refused(method, effects=OPEN_BY_DEFAULT)
