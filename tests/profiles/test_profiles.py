"""Profiles are complete or not loaded: every mistake is told with its line, all in one run."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import profiles
from gateway.base.effects import Bound, Effect
from gateway.base.errors import ConfigError, Problem
from gateway.profiles import HERE, ROLES, Profile, load, names, parse, path_of

GOOD = """\
name: tiny
serial: true
keep_alive: false
slots: 1
chain: online
probe: {method: getinfo, style: getinfo}
addresses: {method: listaddresses, params: [true]}
allocate: newaddress
methods:
  getinfo: {effect: wallet_read, bound: fast, params: []}
  listaddresses: {effect: wallet_read, bound: heavy, params: [receiving]}
  newaddress: {effect: allocate, bound: fast, params: []}
  pay: {effect: sign, bound: server, params: [to, amt, add], amounts: [amt], forbid: {add: books it}, slow_if: [to]}
  getseed: {effect: secret, why: shows the seed}
"""


def problems(text: str) -> list[Problem]:
    """Read a text that has mistakes."""
    with pytest.raises(ConfigError) as caught:
        parse(text, "tiny.yaml")
    return caught.value.problems


def changed(old: str, new: str) -> list[Problem]:
    """Read the good text with one change."""
    assert old in GOOD
    return problems(GOOD.replace(old, new, 1))


def test_a_complete_text_is_a_profile() -> None:
    """Each column arrives where it belongs."""
    profile = parse(GOOD, "tiny.yaml")
    assert isinstance(profile, Profile)
    assert (profile.name, profile.serial, profile.keep_alive, profile.slots) == ("tiny", True, False, 1)
    assert (profile.probe, profile.list_addresses, profile.list_params) == ("getinfo", "listaddresses", b"[true]")
    pay = profile.methods["pay"]
    assert (pay.effect, pay.bound, pay.params) == (Effect.SIGN, Bound.SERVER, ("to", "amt", "add"))
    assert (pay.amounts, pay.forbidden, pay.slow_if, pay.by_name) == (("amt",), {"add": "books it"}, ("to",), False)
    assert pay.has_rules
    assert not profile.methods["getinfo"].has_rules
    assert profile.methods["getseed"].reason == "shows the seed"


def test_what_is_forbidden_everywhere_is_forbidden_in_every_row_that_can_be_called() -> None:
    """Beside what a row forbids itself."""
    profile = parse(GOOD + "forbid_everywhere: {wallet: chooses a file}\n", "tiny.yaml")
    assert profile.methods["getinfo"].forbidden == {"wallet": "chooses a file"}
    assert profile.methods["pay"].forbidden == {"wallet": "chooses a file", "add": "books it"}
    assert profile.methods["getseed"].forbidden == {}


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "says"),
    [
        ("name: tiny", "name: 5", 1, "name", "must be text"),
        ("serial: true", "serial: perhaps", 2, "serial", "must be true or false"),
        ("keep_alive: false", "keep_alive: 0", 3, "keep_alive", "must be true or false"),
        ("keep_alive: false", "keep_alive: true", 3, "keep_alive", "an idle connection takes a serial daemon away"),
        ("slots: 1", "slots: 0", 4, "slots", "must be at least 1"),
        ("slots: 1", "slots: 2", 4, "slots", "a serial daemon serves one call at a time"),
        ("slots: 1", "slots: true", 4, "slots", "must be a whole number"),
        ("slots: 1", "slots: !odd 1", 4, "slots", "must be a whole number"),
        ("slots: 1", "slots: 2001-99-99", 4, "slots", "must be a whole number"),
        ("chain: online", "chain: on", 5, "chain", "must be text"),
        ("chain: online", "chain: sideways", 5, "chain", "sideways is not known; take one of online, offline"),
        ("chain: online", "chain: ''", 5, "chain", "nothing is not known"),
        ("chain: online\n", "", 1, "chain", "is missing"),
        ("probe: {method: getinfo, style: getinfo}", "probe: getinfo", 6, "probe", "must be a mapping"),
        ("style: getinfo", "style: guess", 6, "probe.style", "guess is not known"),
        (", style: getinfo", "", 6, "probe.style", "is missing"),
        ("style: getinfo", "style: getinfo, wat: 1", 6, "probe.wat", "is not a key; take one of method, style"),
        ("probe: {method: getinfo", "probe: {method: gone", 6, "probe.method", "gone is not among the methods"),
        ("probe: {method: getinfo", "probe: {method: getseed", 6, "probe.method", "getseed has the effect secret"),
        ("params: [true]}", "params: yes}", 7, "addresses.params", "must be a list"),
        ("addresses: {method: listaddresses", "addresses: {method: pay", 7, "addresses.method", "has the effect sign"),
        ("allocate: newaddress", "allocate: getinfo", 8, "allocate", "name a method whose effect is allocate"),
        ("methods:\n", "wat: 1\nmethods:\n", 9, "wat", "is not a key of a profile"),
        ("methods:\n", "name: again\nmethods:\n", 9, "name", "is written twice"),
        ("methods:\n", "[a]: b\nmethods:\n", 9, "", "has a key that is no text"),
        ("effect: wallet_read, bound: fast", "effect: no, bound: fast", 10, "methods.getinfo.effect", "must be text"),
        ("effect: wallet_read, bound: fast", "bound: fast", 10, "methods.getinfo.effect", "is missing"),
        ("effect: wallet_read, bound: fast", "effect: reed, bound: fast", 10, "methods.getinfo.effect", "reed is not"),
        ("bound: fast, params: []", "bound: quick, params: []", 10, "methods.getinfo.bound", "quick is not known"),
        ("bound: fast, params: []", "params: []", 10, "methods.getinfo.bound", "is missing"),
        ("bound: fast, params: []", "bound: fast", 10, "methods.getinfo.params", "is missing"),
        ("params: [receiving]", "params: [yes]", 11, "methods.listaddresses.params[0]", "is no name of a parameter"),
        ("params: [receiving]", "params: [a, b, a]", 11, "methods.listaddresses.params[2]", "a is written twice"),
        ("params: [receiving]", "params: receiving", 11, "methods.listaddresses.params", "must be a list"),
        ("params: [receiving]", "params: [receiving], by_name: 1", 11, "methods.listaddresses.by_name", "must be"),
        ("params: [receiving]", "params: [receiving], hue: red", 11, "methods.listaddresses.hue", "is not a column"),
        ("amounts: [amt]", "amounts: [sum]", 13, "methods.pay", "sum is not among its params"),
        ("amounts: [amt]", "amounts: [amt.*.x]", 13, "methods.pay.amounts[0]", "is no name of a parameter"),
        ("forbid: {add:", "forbid: {plus:", 13, "methods.pay", "plus is not among its params"),
        ("forbid: {add: books it}", "forbid: [add]", 13, "methods.pay.forbid", "must be a mapping"),
        ("slow_if: [to]", "slow_if: [too]", 13, "methods.pay", "too is not among its params"),
        (", why: shows the seed", "", 14, "methods.getseed.why", "is missing"),
        ("getseed: {", "get\\seed: {", 14, "methods.get\\seed", "is no name of a method"),
        ("  getseed: {", "  getinfo: {", 14, "methods.getinfo", "is written twice"),
        ("{effect: secret, why: shows the seed}", "secret", 14, "methods.getseed", "must be a mapping"),
        ("params: [receiving]", "params: [receiving], role: adress", 11, "methods.listaddresses.role",
         "adress is not known; take one of address, invoice_add"),
        ("params: [receiving]", "params: [receiving], role: ''", 11, "methods.listaddresses.role", "is not known"),
        ("params: [receiving]", "params: [receiving], role: [label]", 11, "methods.listaddresses.role", "must be text"),
        ("allocate: newaddress", "allocate: newaddress\nfirst_contact: [getinfo]", 9, "first_contact",
         "must be a mapping"),
        ("allocate: newaddress", "allocate: newaddress\nfirst_contact: {gone: []}", 9, "first_contact.gone",
         "gone is not among the methods that read; name one that is"),
        ("allocate: newaddress", "allocate: newaddress\nfirst_contact: {newaddress: []}", 9, "first_contact.newaddress",
         "newaddress is not among the methods that read"),
        ("allocate: newaddress", "allocate: newaddress\nfirst_contact: {getseed: []}", 9, "first_contact.getseed",
         "getseed is not among the methods that read"),
        ("allocate: newaddress", "allocate: newaddress\nfirst_contact: {getinfo: yes}", 9, "first_contact.getinfo",
         "must be a list"),
        ("allocate: newaddress", "allocate: newaddress\nfirst_contact: {getinfo: [], getinfo: []}", 9,
         "first_contact.getinfo", "is written twice"),
    ],
)  # fmt: skip
def test_each_mistake_is_told_with_its_line(old: str, new: str, line: int, key: str, says: str) -> None:
    """And with what would be right."""
    found = changed(old, new)
    assert [one for one in found if one.line == line and one.key == key and says in str(one)], found
    assert all(one.remedy and one.file == "tiny.yaml" for one in found)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("chain: online\n", ""),
        ("slots: 1", "slots: x"),
        (", style: getinfo", ""),
        ("bound: fast, params: []", "params: []"),
    ],
)
def test_one_mistake_is_told_once(old: str, new: str) -> None:
    """What follows from it would only hide it."""
    assert len(changed(old, new)) == 1


def test_all_mistakes_are_told_in_one_run() -> None:
    """Nobody mends a file ten times."""
    text = GOOD
    for old, new in [
        ("slots: 1", "slots: 0"), ("chain: online", "chain: x"), ("style: getinfo", "style: x"),
        ("bound: heavy", "bound: x"), ("amounts: [amt]", "amounts: [x]"), (", why: shows the seed", ""),
    ]:  # fmt: skip
        text = text.replace(old, new, 1)
    assert [one.line for one in sorted(problems(text), key=lambda one: one.line)] == [4, 5, 6, 11, 13, 14]


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("", 0, "must be a mapping"),
        ("- a\n", 1, "must be a mapping"),
        ("name: [\n", 2, "is not YAML (expected the node content"),
        ("name: \0\n", 0, "it cannot be read as YAML at all"),
        ("a: " + "[" * 700, 0, "it cannot be read as YAML at all"),
        ("name: x\nmethods: 5\n", 2, "methods: must be a mapping"),
    ],
)
def test_a_text_that_is_no_profile_at_all_is_refused(text: str, line: int, says: str) -> None:
    """In words, and without a traceback."""
    assert [one for one in problems(text) if one.line == line and says in str(one)]


@given(
    st.sampled_from(GOOD.splitlines()),
    st.sampled_from(["", "{", "[a]", "!x y", "&a *a", "yes", "~", "12:30", "{a: {b: c}}"]),
)
def test_no_text_makes_the_reader_raise_anything_else(line: str, value: str) -> None:
    """Whatever stands behind a key."""
    broken = GOOD.replace(line, re.sub(r": .*|:$", f": {value}", line, count=1))
    try:
        parse(broken, "tiny.yaml")
    except ConfigError as error:
        assert error.problems  # noqa: PT017 - both ends are fine


def test_a_recursive_list_is_a_mistake_like_others() -> None:
    """An alias within its own anchor."""
    assert "must be a list" in str(changed("params: [true]", "params: &a [*a]")[0])


def test_a_role_says_what_the_ledger_does_with_a_method() -> None:
    """Where none is named, it is the daemon's."""
    profile = parse(GOOD.replace("params: [to, amt, add]", "params: [to, amt, add], role: payment"), "tiny.yaml")
    assert profile.methods["pay"].role == "payment"
    assert {row.role for name, row in profile.methods.items() if name != "pay"} == {""}


@pytest.mark.parametrize("role", ROLES)
def test_every_role_can_be_written(role: str) -> None:
    """As the mistake above lists them."""
    text = GOOD.replace("params: [receiving]", f"params: [receiving], role: {role}")
    assert parse(text, "tiny.yaml").methods["listaddresses"].role == role


def test_first_contact_names_reads_and_their_parameters() -> None:
    """In the order of the file; without it, each wallet has to be adopted."""
    assert parse(GOOD, "tiny.yaml").first_contact == ()
    text = GOOD + "first_contact: {listaddresses: [true, {a: 1}], getinfo: []}\n"
    found = parse(text, "tiny.yaml").first_contact
    assert [(row.name, params) for row, params in found] == [("listaddresses", b'[true,{"a":1}]'), ("getinfo", b"[]")]


@pytest.mark.parametrize("name", ["electron-cash", "electrum"])
def test_whatever_allocates_has_a_role_or_is_refused_by_the_ledger(name: str) -> None:
    """A role of the ledger on a read or a secret would be a slip of the pen."""
    profile = load(name)
    for row in profile.methods.values():
        if row.role in ("address", "invoice_add"):
            assert row.effect is Effect.ALLOCATE
        elif row.role in ("payment", "signature"):
            assert row.effect is Effect.SIGN
        elif row.role == "broadcast":
            assert row.effect is Effect.PUBLISH
        elif row.role in ("invoice_get", "invoice_list"):
            assert row.effect.is_read
        elif row.role:
            assert row.effect is Effect.WRITE
    assert profile.methods[profile.allocate].role == "address"
    assert profile.first_contact


def test_the_profiles_that_come_with_the_gateway_load() -> None:
    """By their names; the file has the same."""
    assert names() == ["electron-cash", "electrum"]
    for name in names():
        assert load(name).name == name
        assert path_of(name) == HERE / f"{name}.yaml"


def test_another_profile_is_named_by_its_path(tmp_path: Path) -> None:
    """A copy with one more row is how a method is allowed that nobody classified."""
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD)
    assert load(str(path)).name == "tiny"


@pytest.mark.parametrize("name", ["nobody", "gone.yaml", "../secrets", "broken.yaml"])
def test_a_profile_that_cannot_be_read_says_which_there_are(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that nothing has, a path that is not there, a file that is no text."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.yaml").write_bytes(b"\xff")
    with pytest.raises(ConfigError) as caught:
        load(name)
    (problem,) = caught.value.problems
    assert problem.message == f"{name} cannot be read"
    assert "electron-cash, electrum" in problem.remedy


def test_methods_are_written_unescaped_into_calls() -> None:
    """So a name that needs escaping is no name."""
    for name in ("a b", 'a"b', "a\\b", "ä", "", "x" * 101, "1a"):
        assert not profiles.NAME.fullmatch(name)
    for name in ("rpa_extract_private_keys_from_transaction", "gateway.status", "a1"):
        assert profiles.NAME.fullmatch(name)
