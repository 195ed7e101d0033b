"""Wallet families as data: which methods there are, what each may do, how the daemon says that it is well.

Rule: a profile is complete or it is not loaded; every mistake in it is told in one run, with its line.
The files beside this one are the profiles; another one is named by its path, ending in .yaml.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from gateway.base.effects import Bound, Effect
from gateway.base.errors import ConfigError, Problem

T = TypeVar("T")

HERE = Path(__file__).parent

REFUSED = frozenset({Effect.SECRET, Effect.CONTROL})

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,99}")
"""A method as it is written into the calls to a daemon, unescaped."""

PARAM = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
AMOUNT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.\*\.[0-9])?")
"""A parameter, or a fixed place in each of a list of lists: `outputs.*.1`."""

ROLES = (
    "address", "invoice_add", "invoice_get", "invoice_list", "invoice_remove", "invoice_clear",
    "payment", "signature", "broadcast", "label", "freeze", "unfreeze", "freeze_utxo", "unfreeze_utxo",
)  # fmt: skip
"""Methods that the ledger answers itself or writes down: addresses, invoices, payments, labels and freezes."""

METHOD_KEYS = frozenset({"effect", "bound", "params", "amounts", "forbid", "slow_if", "by_name", "why", "role"})
PROFILE_KEYS = frozenset(
    {
        "name",
        "serial",
        "keep_alive",
        "slots",
        "chain",
        "probe",
        "addresses",
        "allocate",
        "first_contact",
        "care",
        "traceparent",
        "unloaded",
        "forbid_everywhere",
        "methods",
    }
)
REQUIRED_KEYS = PROFILE_KEYS - {"forbid_everywhere", "first_contact", "care", "traceparent", "unloaded"}

CARE_KEYS = frozenset({"stop", "close", "load", "load_with_password"})
"""What the supervisor asks of a daemon that it restarts."""


@dataclass(frozen=True, slots=True)
class Method:
    """One row of a profile; the columns are explained in electron-cash.yaml."""

    name: str
    effect: Effect
    bound: Bound = Bound.FAST
    params: tuple[str, ...] = ()
    amounts: tuple[str, ...] = ()
    forbidden: Mapping[str, str] = field(default_factory=dict)
    """Parameters that must not be true, and what each of them would do."""
    slow_if: tuple[str, ...] = ()
    by_name: bool = False
    reason: str = ""
    role: str = ""
    """What the ledger does with it, one of ROLES; "" leaves it to the daemon."""

    has_rules: bool = field(init=False, repr=False)
    """Whether its parameters have to be looked at."""
    first_ruled: int = field(init=False, repr=False)
    """The first position that a rule is about; fewer parameters in a list need not be looked at."""

    def __post_init__(self) -> None:
        """Work out once what each call asks."""
        ruled = {path.partition(".")[0] for path in (*self.amounts, *self.forbidden, *self.slow_if)}
        first = next((place for place, name in enumerate(self.params) if name in ruled), len(self.params))
        object.__setattr__(self, "has_rules", bool(ruled))
        object.__setattr__(self, "first_ruled", first)


@dataclass(frozen=True, slots=True)
class Care:
    """One thing that the supervisor asks of a daemon.

    Args:
        params: a list or a mapping; the texts `{wallet}` (the path of the daemon's default wallet) and `{password}`
            stand for what is known only then.
    """

    method: Method
    params: Any

    @property
    def needs_wallet(self) -> bool:
        """Whether the path of the wallet must be known."""
        return "{wallet}" in msgspec.json.encode(self.params).decode()

    def fill(self, *, wallet: str = "", password: str = "") -> bytes:
        """Return the parameters as JSON."""
        return msgspec.json.encode(_fill(self.params, {"{wallet}": wallet, "{password}": password}))


def _fill(params: Any, known: Mapping[str, str]) -> Any:
    match params:
        case str():
            return known.get(params, params)
        case list():
            return [_fill(one, known) for one in params]
        case dict():
            return {name: _fill(one, known) for name, one in params.items()}
        case _:
            return params


@dataclass(frozen=True, slots=True)
class Profile:
    """A wallet family.

    Args:
        serial: it serves one connection at a time, first in, first out.
        keep_alive: reads may reuse a connection.
        slots: calls at once when the backend does not say otherwise.
        chain: `online`, or `offline` where a loaded wallet is the highest level of up.
        probe, probe_style: the method of the semantic probe and how its answer is read.
        list_addresses, list_params: the call that lists the receiving addresses in order.
        allocate: the method that derives the next one.
    """

    name: str
    serial: bool
    keep_alive: bool
    slots: int
    chain: str
    probe: str
    probe_style: str
    list_addresses: str
    list_params: bytes
    allocate: str
    methods: Mapping[str, Method] = field(repr=False)
    first_contact: tuple[tuple[Method, bytes], ...] = ()
    """Calls whose answers show nothing in a wallet that nobody ever used; without any, each has to be adopted."""
    care: Mapping[str, Care] = field(default_factory=dict, repr=False)
    """How it is stopped, and its wallet closed and loaded; what is missing is not asked of it."""
    traceparent: bool = False
    """Calls tell it which trace they belong to; only where it is known to bear headers that it does not know."""
    unloaded: bytes = b""
    """What its error says that has lost its wallet, and so has run nothing; b"" where that is not known."""


def names() -> list[str]:
    """Return the names of the profiles that come with the gateway."""
    return sorted(path.stem for path in HERE.glob("*.yaml"))


def path_of(name: str) -> Path:
    """Return the file of a profile by its name, or the path itself when it ends in .yaml."""
    return Path(name) if name.endswith(".yaml") else HERE / f"{name}.yaml"


def load(name: str) -> Profile:
    """Read a profile; the same text gives the same object, so that an edited file is told from one that is not.

    Raises:
        ConfigError: it does not exist or has mistakes; all of them are listed.
    """
    path = path_of(name)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        remedy = f"name one of {', '.join(names())}, or the path of a .yaml file"
        raise ConfigError([Problem(str(path.name), 0, "profile", f"{name} cannot be read", remedy)]) from None
    return parse(text, path.name)


@lru_cache(maxsize=16)
def parse(text: str, file: str) -> Profile:
    """Read a profile from text.  Raises ConfigError as `load` does."""
    reader = _Reader(file)
    profile = reader.profile(text)
    if reader.problems or profile is None:
        raise ConfigError(reader.problems)
    return profile


ALL_READS = frozenset(effect for effect in Effect if effect.is_read)

KINDS: Mapping[type, str] = {
    str: "text", int: "a whole number", bool: "true or false", list: "a list", dict: "names with values",
}  # fmt: skip


class _Reader:
    """Turns YAML nodes into a profile and gathers every mistake on the way."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []

    def _problem(self, node: yaml.Node | None, key: str, message: str, remedy: str) -> None:
        line = node.start_mark.line + 1 if node is not None else 0
        self.problems.append(Problem(self.file, line, key, message, remedy))

    def profile(self, text: str) -> Profile | None:
        """Read the whole file."""
        try:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
        except (yaml.YAMLError, RecursionError) as error:
            mark = getattr(error, "problem_mark", None)
            line = mark.line + 1 if mark is not None else 0
            what = getattr(error, "problem", None) or "it cannot be read as YAML at all"
            self.problems.append(Problem(self.file, line, "", f"is not YAML ({what})", "mend the syntax there"))
            return None
        top = self._mapping(root, "")
        for key in sorted(REQUIRED_KEYS - set(top)):
            self._problem(root, key, "is missing", "add it; electron-cash.yaml shows how")
        for key in sorted(set(top) - PROFILE_KEYS):
            self._problem(top[key], key, "is not a key of a profile", f"take one of {', '.join(sorted(PROFILE_KEYS))}")
        everywhere = self._reasons(top.get("forbid_everywhere"), "forbid_everywhere")
        rows = self._mapping(top.get("methods"), "methods") if "methods" in top else {}
        methods = {name: self._method(name, node, everywhere) for name, node in rows.items()}
        probe = self._inner(top, "probe", frozenset({"method", "style"}))
        addresses = self._inner(top, "addresses", frozenset({"method", "params"}))
        serial = self._value(top.get("serial"), "serial", bool, default=True)
        profile = Profile(
            name=self._value(top.get("name"), "name", str, ""),
            serial=serial,
            keep_alive=self._value(top.get("keep_alive"), "keep_alive", bool, default=False),
            slots=self._value(top.get("slots"), "slots", int, 1),
            chain=self._word(top.get("chain"), "chain", ("online", "offline")),
            probe=self._value(probe.get("method"), "probe.method", str, ""),
            probe_style=self._word(probe.get("style"), "probe.style", ("getinfo", "list_wallets")),
            list_addresses=self._value(addresses.get("method"), "addresses.method", str, ""),
            list_params=msgspec.json.encode(self._value(addresses.get("params"), "addresses.params", list, [])),
            allocate=self._value(top.get("allocate"), "allocate", str, ""),
            methods=methods,
            first_contact=self._first_contact(top.get("first_contact"), methods),
            care=self._care(top.get("care"), methods),
            traceparent=self._value(top.get("traceparent"), "traceparent", bool, default=False),
            unloaded=self._value(top.get("unloaded"), "unloaded", str, default="").encode(),
        )
        self._check_together(profile, {**top, "probe.method": probe.get("method"),
                                       "addresses.method": addresses.get("method")})  # fmt: skip
        return profile

    def _first_contact(self, node: yaml.Node | None, methods: Mapping[str, Method]) -> tuple[tuple[Method, bytes], ...]:
        """Return the calls that tell a wallet which nobody used, with their parameters."""
        calls = []
        for name, params in self._mapping(node, "first_contact").items() if node is not None else ():
            key = f"first_contact.{name}"
            row = methods.get(name)
            if row is None or not row.effect.is_read:
                self._problem(params, key, f"{name} is not among the methods that read", "name one that is")
                continue
            calls.append((row, msgspec.json.encode(self._value(params, key, list, []))))
        return tuple(calls)

    def _care(self, node: yaml.Node | None, methods: Mapping[str, Method]) -> dict[str, Care]:
        """Return what the supervisor asks of a daemon; the methods are steering ones, which no client may call."""
        found = {}
        for name, row in self._mapping(node, "care").items() if node is not None else ():
            key = f"care.{name}"
            if name not in CARE_KEYS:
                self._problem(row, key, "is not a key", f"take one of {', '.join(sorted(CARE_KEYS))}")
                continue
            inner = self._inner({key: row}, key, frozenset({"method", "params"}))
            called = self._value(inner.get("method"), f"{key}.method", str, "")
            method = methods.get(called)
            if method is None or method.effect is not Effect.CONTROL:
                self._problem(
                    row, key, f"{called or 'nothing'} is not among the methods that steer", "name one that is"
                )
                continue
            kind: type = dict if isinstance(inner.get("params"), yaml.MappingNode) else list
            found[name] = Care(method, self._value(inner.get("params"), f"{key}.params", kind, kind()))
        return found

    def _check_together(self, profile: Profile, nodes: Mapping[str, yaml.Node | None]) -> None:
        """Look for keys that contradict each other."""
        for key, name, wanted in (
            ("probe.method", profile.probe, ALL_READS),
            ("addresses.method", profile.list_addresses, ALL_READS),
            ("allocate", profile.allocate, frozenset({Effect.ALLOCATE})),
        ):
            row = profile.methods.get(name)
            if name and row is None:
                self._problem(nodes[key], key, f"{name} is not among the methods", "classify it there")
            elif row is not None and row.effect not in wanted:
                remedy = f"name a method whose effect is {' or '.join(sorted(wanted))}"
                self._problem(nodes[key], key, f"{name} has the effect {row.effect}", remedy)
        if profile.slots < 1:
            self._problem(nodes["slots"], "slots", "must be at least 1", "write 1 for a serial daemon")
        if profile.serial and profile.slots > 1:
            remedy = "write slots: 1, or serial: false if it really serves several calls at once"
            self._problem(nodes["slots"], "slots", "a serial daemon serves one call at a time", remedy)
        if profile.serial and profile.keep_alive:
            remedy = "write keep_alive: false"
            self._problem(nodes["keep_alive"], "keep_alive", "an idle connection takes a serial daemon away", remedy)

    def _inner(self, top: Mapping[str, yaml.Node], key: str, keys: frozenset[str]) -> dict[str, yaml.Node]:
        """Return one of the small mappings, of which every key is needed."""
        if key not in top:
            return {}
        entries = self._mapping(top[key], key)
        if not isinstance(top[key], yaml.MappingNode):
            return entries
        for missing in sorted(keys - set(entries)):
            self._problem(top[key], f"{key}.{missing}", "is missing", "add it; electron-cash.yaml shows how")
        for extra in sorted(set(entries) - keys):
            self._problem(entries[extra], f"{key}.{extra}", "is not a key", f"take one of {', '.join(sorted(keys))}")
        return entries

    def _method(self, name: str, node: yaml.Node, everywhere: Mapping[str, str]) -> Method:
        key = f"methods.{name}"
        if not NAME.fullmatch(name):
            self._problem(
                node, key, "is no name of a method", "write letters, digits, dots and underscores, 100 at most"
            )
        row = self._mapping(node, key)
        for extra in sorted(set(row) - METHOD_KEYS):
            self._problem(
                row[extra],
                f"{key}.{extra}",
                "is not a column",
                f"take one of {', '.join(sorted(METHOD_KEYS))}",
            )
        effect = Effect(self._word(row.get("effect"), f"{key}.effect", tuple(Effect)))
        refused = effect in REFUSED
        for column in ("effect", "why") if refused else ("effect", "bound", "params"):
            if column not in row:
                self._problem(node, f"{key}.{column}", "is missing", "add it; electron-cash.yaml shows how")
        params = self._texts(row.get("params"), f"{key}.params", PARAM)
        amounts = self._texts(row.get("amounts"), f"{key}.amounts", AMOUNT)
        forbidden = self._reasons(row.get("forbid"), f"{key}.forbid")
        slow_if = self._texts(row.get("slow_if"), f"{key}.slow_if", PARAM)
        for one in (*(path.split(".")[0] for path in amounts), *forbidden, *slow_if):
            if one not in params:
                self._problem(node, key, f"{one} is not among its params", "name it as in params")
        return Method(
            name=name,
            effect=effect,
            bound=Bound(self._word(row.get("bound"), f"{key}.bound", tuple(Bound))),
            params=params,
            amounts=amounts,
            forbidden={} if refused else {**everywhere, **forbidden},
            slow_if=slow_if,
            by_name=self._value(row.get("by_name"), f"{key}.by_name", bool, default=False),
            reason=self._value(row.get("why"), f"{key}.why", str, ""),
            role=self._word(row.get("role"), f"{key}.role", ROLES) if "role" in row else "",
        )

    def _mapping(self, node: yaml.Node | None, key: str) -> dict[str, yaml.Node]:
        """Return the entries of a mapping; a name that is written twice is a mistake."""
        if not isinstance(node, yaml.MappingNode):
            self._problem(node, key, "must be a mapping", "write `name: value` lines")
            return {}
        entries: dict[str, yaml.Node] = {}
        for name, value in node.value:
            if not isinstance(name, yaml.ScalarNode):
                self._problem(name, key, "has a key that is no text", "write a plain name")
                continue
            if name.value in entries:
                self._problem(name, f"{key}.{name.value}".lstrip("."), "is written twice", "keep one of the two")
            entries[name.value] = value
        return entries

    def _value(self, node: yaml.Node | None, key: str, kind: type[T], default: T) -> T:
        if node is None:
            return default
        try:
            value = yaml.SafeLoader("").construct_object(node, deep=True)
        except (yaml.YAMLError, ValueError):
            value = None
        # True is an int for Python, and for nobody else
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            self._problem(
                node,
                key,
                f"must be {KINDS[kind]}",
                "mend the value; words that YAML reads as other things go in quotes",
            )
            return default
        return value

    def _texts(self, node: yaml.Node | None, key: str, shape: re.Pattern[str]) -> tuple[str, ...]:
        """Return a list of names; one that is no name, or is there twice, is a mistake."""
        items = self._value(node, key, list, [])
        for place, item in enumerate(items):
            if not isinstance(item, str) or not shape.fullmatch(item):
                self._problem(node, f"{key}[{place}]", "is no name of a parameter", "write it as the daemon names it")
            elif item in items[:place]:
                self._problem(node, f"{key}[{place}]", f"{item} is written twice", "keep one of the two")
        return tuple(map(str, items))

    def _reasons(self, node: yaml.Node | None, key: str) -> dict[str, str]:
        """Return forbidden parameters and what each would do."""
        if node is None:
            return {}
        return {name: self._value(why, f"{key}.{name}", str, "") for name, why in self._mapping(node, key).items()}

    def _word(self, node: yaml.Node | None, key: str, words: tuple[str, ...]) -> str:
        """Return one of a few words; that it is missing was told elsewhere."""
        value = self._value(node, key, str, words[0])
        if value in words:
            return value
        self._problem(node, key, f"{value or 'nothing'} is not known", f"take one of {', '.join(words)}")
        return words[0]
