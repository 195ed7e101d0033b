"""Wallet families as data: which methods there are, what each may do, how the daemon says that it is well.

Rule: a profile is complete or it is not loaded; every mistake in it is told in one run, with its line.
The files beside this one are the profiles; another one is named by its path, ending in .yaml.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import msgspec
import yaml

from gateway.base.effects import Bound, Effect
from gateway.base.errors import ConfigError, Problem

T = TypeVar("T")

HERE = Path(__file__).parent

REFUSED = frozenset({Effect.SECRET, Effect.CONTROL})

METHOD_KEYS = frozenset({"effect", "bound", "params", "amounts", "forbid", "slow_if", "by_name", "why"})
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
        "forbid_everywhere",
        "methods",
    }
)
REQUIRED_KEYS = PROFILE_KEYS - {"forbid_everywhere"}


@dataclass(frozen=True, slots=True)
class Method:
    """One row of a profile; the columns are explained in electron-cash.yaml."""

    name: str
    effect: Effect
    bound: Bound = Bound.FAST
    params: tuple[str, ...] = ()
    amounts: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()
    slow_if: tuple[str, ...] = ()
    by_name: bool = False
    reason: str = ""

    @property
    def has_rules(self) -> bool:
        """Whether its parameters have to be looked at."""
        return bool(self.amounts or self.forbidden or self.slow_if)


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
    methods: Mapping[str, Method]


def names() -> list[str]:
    """Return the names of the profiles that come with the gateway."""
    return sorted(path.stem for path in HERE.glob("*.yaml"))


def path_of(name: str) -> Path:
    """Return the file of a profile by its name, or the path itself when it ends in .yaml."""
    return Path(name) if name.endswith(".yaml") else HERE / f"{name}.yaml"


@lru_cache(maxsize=16)
def load(name: str) -> Profile:
    """Read a profile.

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


def parse(text: str, file: str) -> Profile:
    """Read a profile from text.  Raises ConfigError as `load` does."""
    reader = _Reader(file)
    profile = reader.profile(text)
    if reader.problems or profile is None:
        raise ConfigError(reader.problems)
    return profile


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
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = mark.line + 1 if mark is not None else 0
            self.problems.append(Problem(self.file, line, "", "is not YAML", "mend the syntax"))
            return None
        top = self._mapping(root, "")
        for key in sorted(REQUIRED_KEYS - set(top)):
            self._problem(root, key, "is missing", "add it; electron-cash.yaml shows how")
        for key in sorted(set(top) - PROFILE_KEYS):
            self._problem(top[key], key, "is not a key of a profile", f"take one of {', '.join(sorted(PROFILE_KEYS))}")
        everywhere = self._texts(top.get("forbid_everywhere"), "forbid_everywhere")
        rows = self._mapping(top.get("methods"), "methods") if "methods" in top else {}
        methods = {name: self._method(name, node, everywhere) for name, node in rows.items()}
        probe = self._mapping(top["probe"], "probe") if "probe" in top else {}
        addresses = self._mapping(top["addresses"], "addresses") if "addresses" in top else {}
        chain = self._word(top.get("chain"), "chain", ("online", "offline"))
        style = self._word(probe.get("style"), "probe.style", ("getinfo", "list_wallets"))
        slots = self._value(top.get("slots"), "slots", int, 1)
        used = {
            "probe.method": self._value(probe.get("method"), "probe.method", str, ""),
            "addresses.method": self._value(addresses.get("method"), "addresses.method", str, ""),
            "allocate": self._value(top.get("allocate"), "allocate", str, ""),
        }
        for key, method in used.items():
            if method and method not in methods:
                self._problem(root, key, f"{method} is not among the methods", "classify it there")
        if slots < 1:
            self._problem(top["slots"], "slots", "must be at least 1", "write 1 for a serial daemon")
        return Profile(
            name=self._value(top.get("name"), "name", str, ""),
            serial=self._value(top.get("serial"), "serial", bool, default=True),
            keep_alive=self._value(top.get("keep_alive"), "keep_alive", bool, default=False),
            slots=slots,
            chain=chain,
            probe=used["probe.method"],
            probe_style=style,
            list_addresses=used["addresses.method"],
            list_params=msgspec.json.encode(self._value(addresses.get("params"), "addresses.params", list, [])),
            allocate=used["allocate"],
            methods=methods,
        )

    def _method(self, name: str, node: yaml.Node, everywhere: tuple[str, ...]) -> Method:
        key = f"methods.{name}"
        row = self._mapping(node, key)
        for extra in sorted(set(row) - METHOD_KEYS):
            self._problem(
                row[extra],
                f"{key}.{extra}",
                "is not a column",
                f"take one of {', '.join(sorted(METHOD_KEYS))}",
            )
        effect = self._word(row.get("effect"), f"{key}.effect", tuple(Effect))
        refused = effect in REFUSED
        params = self._texts(row.get("params"), f"{key}.params")
        amounts = self._texts(row.get("amounts"), f"{key}.amounts")
        forbidden = self._texts(row.get("forbid"), f"{key}.forbid")
        slow_if = self._texts(row.get("slow_if"), f"{key}.slow_if")
        needed = ("why",) if refused else ("bound", "params")
        for column in needed:
            if column not in row:
                self._problem(node, f"{key}.{column}", "is missing", "add it; electron-cash.yaml shows how")
        bound = Bound.FAST if refused else self._word(row.get("bound"), f"{key}.bound", tuple(Bound))
        for name_of in (*(path.split(".")[0] for path in amounts), *forbidden, *slow_if):
            if name_of not in params:
                self._problem(node, key, f"{name_of} is not among its params", "name it as in params")
        return Method(
            name=name,
            effect=Effect(effect),
            bound=Bound(bound),
            params=params,
            amounts=amounts,
            forbidden=() if refused else (*forbidden, *everywhere),
            slow_if=slow_if,
            by_name=self._value(row.get("by_name"), f"{key}.by_name", bool, default=False),
            reason=self._value(row.get("why"), f"{key}.why", str, ""),
        )

    def _mapping(self, node: yaml.Node | None, key: str) -> dict[str, yaml.Node]:
        """Return the entries of a mapping; a name that is written twice is a mistake."""
        if not isinstance(node, yaml.MappingNode):
            self._problem(node, key, "must be a mapping", "write `name: value` lines")
            return {}
        entries: dict[str, yaml.Node] = {}
        for name, value in node.value:
            if name.value in entries:
                self._problem(name, f"{key}.{name.value}".lstrip("."), "is written twice", "keep one of the two")
            entries[name.value] = value
        return entries

    def _value(self, node: yaml.Node | None, key: str, kind: type[T], default: T) -> T:
        if node is None:
            return default
        value = yaml.SafeLoader("").construct_object(node, deep=True)
        if not isinstance(value, kind):
            self._problem(node, key, f"must be of the kind {kind.__name__}", "mend the value")
            return default
        return value

    def _texts(self, node: yaml.Node | None, key: str) -> tuple[str, ...]:
        return tuple(str(item) for item in self._value(node, key, list, []))

    def _word(self, node: yaml.Node | None, key: str, words: tuple[str, ...]) -> str:
        value = self._value(node, key, str, "")
        if value in words:
            return value
        if node is not None or not key.startswith("methods.") or key.endswith(".effect"):
            self._problem(node, key, f"{value or 'nothing'} is not known", f"take one of {', '.join(words)}")
        return words[0]
