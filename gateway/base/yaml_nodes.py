"""YAML files as plain values that remember where each was written; several files merge into one.

Rule: nothing is guessed.  A key written twice, a word that YAML 1.1 would turn into something else than it
says, a tag, an alias bomb: each is a problem with its line and its remedy.  No message repeats a value,
because the reader does not know which one is a secret.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from gateway.base.errors import Problem

MOST_NODES = 100_000
"""Values of one file, aliases counted as often as they are used; a configuration has some hundreds."""

ON_FILE = "_file"
"""`password` and `password_file` say the same thing in two ways."""

_OCTAL = re.compile(r"^[-+]?0[0-9_]+$")
_SURPRISING_WORDS = frozenset({"yes", "no", "on", "off"})
_EXPONENT = re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$")
_QUOTED = re.compile(r"'[^']*'")
_RESOLVER = yaml.SafeLoader("")


@dataclass(slots=True)
class Located:
    """One value and where it was written.

    `value` is a dict of Located, a list of Located, or a scalar (str, int, float, bool, None).
    """

    value: object
    file: str
    line: int
    is_lost: bool = False
    """The value could not be had, and a problem says so; what stands here means nothing."""


class _TooManyError(Exception):
    """The file unfolds into more values than anybody writes."""


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
        self._count = 0
        try:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
            if root is None:
                return self._fail(file, 0, "is empty", "write at least `wallets:` into it")
            if not isinstance(root, yaml.MappingNode):
                return self._fail(file, 1, "does not hold a mapping", "write `key: value` lines at the top level")
            return self._convert(root, file, "")
        except yaml.YAMLError as error:
            return self._fail(file, *_syntax(error))
        except _TooManyError:
            return self._fail(file, 0, f"holds more than {MOST_NODES} values", "take its aliases (*name) out")
        except RecursionError:
            return self._fail(
                file, 0, "is nested too deep", "flatten it; an alias must not stand inside its own anchor"
            )

    def _fail(self, file: str, line: int, message: str, remedy: str) -> Located | None:
        self.problems.append(Problem(file, line, "", message, remedy))
        return None

    def _convert(self, node: yaml.Node, file: str, key: str) -> Located:
        line = node.start_mark.line + 1
        self._count += 1
        if self._count > MOST_NODES:
            raise _TooManyError
        if isinstance(node, yaml.MappingNode):
            return Located(self._mapping(node, file, key), file, line)
        if isinstance(node, yaml.SequenceNode):
            items = [self._convert(item, file, f"{key}[{place}]") for place, item in enumerate(node.value)]
            return Located(items, file, line)
        assert isinstance(node, yaml.ScalarNode)  # noqa: S101 - there is no fourth kind of node
        try:
            return Located(_scalar(node), file, line)
        except _SurpriseError as surprise:
            self.problems.append(Problem(file, line, key, surprise.message, surprise.remedy))
            return Located(None, file, line, is_lost=True)

    def _mapping(self, node: yaml.MappingNode, file: str, key: str) -> dict[str, Located]:
        entries: dict[str, Located] = {}
        for name_node, value_node in node.value:
            line = name_node.start_mark.line + 1
            if not isinstance(name_node, yaml.ScalarNode):
                self.problems.append(Problem(file, line, key, "has a key that is no text", "write a plain name"))
                continue
            name = name_node.value
            inner = f"{key}.{name}" if key else name
            if name == "<<":
                remedy = "write the keys out; what environments share goes into a file of its own (several -c merge)"
                self.problems.append(Problem(file, line, inner, "merge keys are not taken", remedy))
                continue
            if name in entries:
                first = entries[name].line
                remedy = f"keep this line or line {first}, not both"
                self.problems.append(Problem(file, line, inner, "is written twice", remedy))
            entries[name] = self._convert(value_node, file, inner)
        return entries


class _SurpriseError(Exception):
    """YAML would read a value as something else than it looks."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


def _scalar(node: yaml.ScalarNode) -> object:
    """Return what a single value says, where it says one thing only."""
    text, is_bare = node.value, node.style is None
    meant = _RESOLVER.resolve(yaml.ScalarNode, text, (is_bare, not is_bare))  # type: ignore[no-untyped-call]  # so are the stubs
    if node.tag != meant:
        raise _SurpriseError("begins with a tag (!), which means nothing here", "put the whole value in quotes")
    if not is_bare:
        return text
    match node.tag.removeprefix("tag:yaml.org,2002:"):
        case "null":
            return None
        case "bool" if text.lower() in _SURPRISING_WORDS:
            message = "is a word that YAML 1.1 reads as true or false"
            raise _SurpriseError(message, "write true or false, or put it in quotes")
        case "bool":
            return text.lower() == "true"
        case "int" | "float" if ":" in text or _OCTAL.match(text):
            message = "is a number that YAML 1.1 reads as another one (base 60 or 8)"
            raise _SurpriseError(message, "write a decimal number without leading zeros, or put it in quotes")
        case "int":
            return _whole(text)
        case "float":
            return float(text.replace("_", "").lower().replace(".inf", "inf").replace(".nan", "nan"))
        case _ if _EXPONENT.match(text):
            # YAML 1.1 wants a dot in it, and nobody knows
            return float(text)
        case _:
            return text


def _whole(text: str) -> int:
    try:
        return int(text.replace("_", ""), 0)
    except ValueError:
        # Python reads 4,300 digits at most
        raise _SurpriseError("is a number of too many digits", "write a smaller number, or put it in quotes") from None


def _syntax(error: yaml.YAMLError) -> tuple[int, str, str]:
    """Return line, message and remedy of broken YAML; what the message quotes could be a secret."""
    mark = getattr(error, "problem_mark", None)
    what = getattr(error, "problem", None) or "a character that YAML does not allow"
    line = mark.line + 1 if mark else 0
    if what == "but found another document":
        return line, "holds more than one document", "take the `---` out; several files merge by several -c"
    shown = _QUOTED.sub(lambda match: match[0] if len(match[0]) <= len("'x'") or match[0][1] == "<" else "...", what)
    return line, f"is not YAML ({shown})", "mend the syntax there; special characters go in quotes"


def merge(one: Located, other: Located) -> Located:
    """Return `one` with what `other` (the later file) changes.

    Mappings merge key by key.  Lists whose entries have a `name` merge by that name, new names at the end;
    every other list and every single value is replaced.  NAME and NAME_file replace each other.
    """
    if isinstance(one.value, dict) and isinstance(other.value, dict):
        replaced = {f"{name}{ON_FILE}" for name in other.value} | {name.removesuffix(ON_FILE) for name in other.value}
        merged = {name: value for name, value in one.value.items() if name not in replaced or name in other.value}
        for name, value in other.value.items():
            merged[name] = merge(merged[name], value) if name in merged else value
        return Located(merged, other.file, other.line)
    if isinstance(one.value, list) and isinstance(other.value, list):
        before, after = _by_name(one.value), _by_name(other.value)
        if before is not None and after is not None:
            for name, item in after.items():
                before[name] = merge(before[name], item) if name in before else item
            return Located(list(before.values()), other.file, other.line)
    return other


def _by_name(items: list[Located]) -> dict[str, Located] | None:
    """Return entries by their `name`, None when one has none or shares it."""
    named: dict[str, Located] = {}
    for item in items:
        name = item.value["name"].value if isinstance(item.value, dict) and "name" in item.value else None
        if not isinstance(name, str) or name in named:
            return None
        named[name] = item
    return named


def plain(located: Located) -> object:
    """Return the bare values without their places."""
    if isinstance(located.value, dict):
        return {name: plain(value) for name, value in located.value.items()}
    if isinstance(located.value, list):
        return [plain(item) for item in located.value]
    return located.value
