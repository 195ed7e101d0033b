"""YAML files as plain values that remember where each was written; several files merge into one.

Rule: nothing is guessed.  A key written twice, a word that YAML 1.1 would turn into something else than it
says, an alias bomb: each is a problem with its line and its remedy.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from gateway.base.errors import Problem

MOST_NODES = 100_000
"""Values of one file, aliases counted as often as they are used; a configuration has some hundreds."""

_SEXAGESIMAL = re.compile(r"^[-+]?[0-9]+(:[0-5]?[0-9])+(\.[0-9]*)?$")
_OCTAL = re.compile(r"^[-+]?0[0-9_]+$")
_SURPRISING_WORDS = frozenset({"yes", "no", "on", "off", "y", "n"})


@dataclass(slots=True)
class Located:
    """One value and where it was written.

    `value` is a dict of Located, a list of Located, or a scalar (str, int, float, bool, None).
    """

    value: object
    file: str
    line: int
    plain: bool = False
    """A scalar without quotes."""


@dataclass(slots=True)
class NodeReader:
    """Reads files and gathers problems."""

    problems: list[Problem] = field(default_factory=list)
    _count: int = 0

    def read(self, path: Path) -> Located | None:
        """Return the content of one file, None when it cannot be used at all."""
        file = str(path)
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return self._fail(file, 0, "does not exist", "name a file that is there")
        except IsADirectoryError:
            return self._fail(file, 0, "is a directory", "name a file in it")
        except UnicodeDecodeError as error:
            return self._fail(file, 0, f"is not UTF-8 (byte {error.start})", "save it as UTF-8")
        except OSError as error:
            return self._fail(file, 0, f"cannot be read ({error.strerror})", "let this user read it")
        try:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            what = getattr(error, "problem", None) or "a character that YAML does not allow"
            return self._fail(file, mark.line + 1 if mark else 0, f"is not YAML ({what})", "mend the syntax there")
        if root is None:
            return self._fail(file, 0, "is empty", "write at least `wallets:` into it")
        if not isinstance(root, yaml.MappingNode):
            return self._fail(file, 1, "does not hold a mapping", "write `key: value` lines at the top level")
        self._count = 0
        return self._convert(root, file, "")

    def _fail(self, file: str, line: int, message: str, remedy: str) -> Located | None:
        self.problems.append(Problem(file, line, "", message, remedy))
        return None

    def _convert(self, node: yaml.Node, file: str, key: str) -> Located:
        line = node.start_mark.line + 1
        self._count += 1
        if self._count > MOST_NODES:
            if self._count == MOST_NODES + 1:
                self.problems.append(Problem(file, line, key, "holds too many values", "take its aliases out"))
            return Located(None, file, line)
        if isinstance(node, yaml.MappingNode):
            return Located(self._mapping(node, file, key), file, line)
        if isinstance(node, yaml.SequenceNode):
            items = [self._convert(item, file, f"{key}[{place}]") for place, item in enumerate(node.value)]
            return Located(items, file, line)
        assert isinstance(node, yaml.ScalarNode)  # noqa: S101 - there is no fourth kind of node
        plain = node.style is None
        return Located(self._scalar(node, file, key, plain=plain), file, line, plain)

    def _mapping(self, node: yaml.MappingNode, file: str, key: str) -> dict[str, Located]:
        entries: dict[str, Located] = {}
        for name_node, value_node in node.value:
            line = name_node.start_mark.line + 1
            if not isinstance(name_node, yaml.ScalarNode):
                self.problems.append(Problem(file, line, key, "has a key that is no text", "write a plain name"))
                continue
            name = name_node.value
            inner = f"{key}.{name}" if key else name
            if name in entries:
                first = entries[name].line
                remedy = f"keep this line or line {first}, not both"
                self.problems.append(Problem(file, line, inner, "is written twice", remedy))
            entries[name] = self._convert(value_node, file, inner)
        return entries

    def _scalar(self, node: yaml.ScalarNode, file: str, key: str, *, plain: bool) -> object:
        text = node.value
        if not plain:
            return text
        tag = node.tag.removeprefix("tag:yaml.org,2002:")
        line = node.start_mark.line + 1
        if tag == "bool" and text.lower() in _SURPRISING_WORDS:
            # what a person writes as a word YAML 1.1 reads as true or false
            self.problems.append(Problem(file, line, key, f"{text} would be read as a truth value",
                                         f'write true or false, or "{text}" in quotes'))  # fmt: skip
            return None
        if tag == "int" and (_SEXAGESIMAL.match(text) or _OCTAL.match(text)):
            remedy = "write a decimal number without leading zeros, or put it in quotes"
            self.problems.append(Problem(file, line, key, f"{text} would be read as another number", remedy))
            return None
        if tag == "float" and _SEXAGESIMAL.match(text):
            self.problems.append(Problem(file, line, key, f"{text} would be read as another number",
                                         "write seconds as a plain number, or put it in quotes"))  # fmt: skip
            return None
        match tag:
            case "null":
                return None
            case "bool":
                return text.lower() == "true"
            case "int":
                return int(text.replace("_", ""), 0)
            case "float":
                return float(text.replace("_", "").lower().replace(".inf", "inf").replace(".nan", "nan"))
            case _:
                return text


def merge(one: Located, other: Located) -> Located:
    """Return `one` with what `other` (the later file) changes.

    Mappings merge key by key.  Lists whose entries have a `name` merge by that name, new names at the end;
    every other list and every single value is replaced.
    """
    if isinstance(one.value, dict) and isinstance(other.value, dict):
        merged = dict(one.value)
        for name, value in other.value.items():
            merged[name] = merge(merged[name], value) if name in merged else value
        return Located(merged, other.file, other.line)
    if isinstance(one.value, list) and isinstance(other.value, list) and _are_named(one) and _are_named(other):
        by_name = {_name(item): item for item in one.value}
        for item in other.value:
            name = _name(item)
            by_name[name] = merge(by_name[name], item) if name in by_name else item
        return Located(list(by_name.values()), other.file, other.line)
    return other


def _are_named(located: Located) -> bool:
    assert isinstance(located.value, list)  # noqa: S101 - asked by merge alone, after it looked
    names = [_name(item) for item in located.value]
    return None not in names and len(set(map(str, names))) == len(names)


def _name(item: Located) -> object:
    if isinstance(item.value, dict) and "name" in item.value:
        return item.value["name"].value
    return None


def plain(located: Located) -> object:
    """Return the bare values without their places."""
    if isinstance(located.value, dict):
        return {name: plain(value) for name, value in located.value.items()}
    if isinstance(located.value, list):
        return [plain(item) for item in located.value]
    return located.value
