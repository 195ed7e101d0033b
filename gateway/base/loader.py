"""Reads configuration files into settings, or says everything that is wrong with them in one run.

Rule: each mistake comes with its file, its line, its key and what would be right; no message holds a secret.

    files (later ones win) -> values with places -> ${ENV} and *_file filled in -> models
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from gateway.base.config import Settings
from gateway.base.errors import ConfigError, Problem
from gateway.base.yaml_nodes import Located, NodeReader, merge, plain

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(:-([^}]*))?\}")

SECRETS = frozenset({"password"})
"""Keys whose value may come from a file named by KEY_file."""

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def load(paths: Sequence[Path], environ: Mapping[str, str]) -> Settings:
    """Read files, merge them and check them.

    Raises:
        ConfigError: with every problem that was found.
    """
    reader = NodeReader()
    trees = [tree for path in paths if (tree := reader.read(Path(path))) is not None]
    problems = reader.problems
    if not paths:
        problems.append(Problem("(no file)", 0, "", "no configuration was named", "name one by -c FILE"))
    if not trees or len(trees) < len(paths):
        raise ConfigError(problems)
    tree = trees[0]
    for later in trees[1:]:
        tree = merge(tree, later)
    _substitute(tree, environ, problems, "")
    _read_secrets(tree, problems, "")
    try:
        settings = Settings.model_validate(plain(tree))
    except ValidationError as error:
        broken = {problem.key for problem in problems}
        for details in error.errors(include_url=False):
            problem = _problem(tree, details)
            if problem.key not in broken:
                problems.append(problem)
        raise ConfigError(_sorted(problems)) from None
    if problems:
        raise ConfigError(_sorted(problems))
    return settings


def _sorted(problems: list[Problem]) -> list[Problem]:
    return sorted(problems, key=lambda problem: (problem.file, problem.line, problem.key))


# -- environment and secret files -----------------------------------------------------------------------------


def _substitute(located: Located, environ: Mapping[str, str], problems: list[Problem], key: str) -> None:
    """Fill in ${NAME} and ${NAME:-default} wherever a text holds them."""
    for inner, child in _children(located, key):
        _substitute(child, environ, problems, inner)
    if isinstance(located.value, str) and "${" in located.value:
        located.value = _filled(located, environ, problems, key)


def _filled(located: Located, environ: Mapping[str, str], problems: list[Problem], key: str) -> str:
    def value(match: re.Match[str]) -> str:
        name, _, default = match.groups()
        found = environ.get(name)
        if found:
            return found
        if default is not None:
            return default
        remedy = f"set {name}, or write ${{{name}:-default}}"
        problems.append(Problem(located.file, located.line, key, f"the variable {name} is not set", remedy))
        return ""

    return _VARIABLE.sub(value, str(located.value))


def _read_secrets(located: Located, problems: list[Problem], key: str) -> None:
    """Replace `password_file: PATH` by the password in that file."""
    for inner, child in _children(located, key):
        _read_secrets(child, problems, inner)
    if not isinstance(located.value, dict):
        return
    for name in SECRETS:
        named = located.value.pop(f"{name}_file", None)
        if named is None:
            continue
        inner = f"{key}.{name}_file" if key else f"{name}_file"
        if name in located.value:
            remedy = f"keep {name} or {name}_file"
            problems.append(Problem(named.file, named.line, inner, f"stands beside {name}", remedy))
            continue
        located.value[name] = Located(_secret(named, problems, inner), named.file, named.line)


def _secret(named: Located, problems: list[Problem], key: str) -> str:
    path = _secret_path(named)
    try:
        text = path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        message = f"{named.value} cannot be read ({why})"
        problems.append(Problem(named.file, named.line, key, message, "name a readable file that holds the secret"))
        return "?"
    if not text:
        message = f"{named.value} is empty"
        problems.append(Problem(named.file, named.line, key, message, "write the secret into it"))
    return text


def _secret_path(named: Located) -> Path:
    """Return the path of a secret; one that is not absolute starts where the configuration file is."""
    return Path(named.file).parent / str(named.value)


def secret_files(paths: Sequence[Path]) -> list[Path]:
    """Return the secret files that configuration files name, so that a change of one is noticed."""
    reader = NodeReader()
    found: list[Path] = []

    def look(located: Located) -> None:
        for name, child in _children(located, ""):
            if name.rpartition(".")[2] in {f"{secret}_file" for secret in SECRETS} and isinstance(child.value, str):
                found.append(_secret_path(child))
            look(child)

    for path in paths:
        tree = reader.read(Path(path))
        if tree is not None:
            look(tree)
    return found


def _children(located: Located, key: str) -> list[tuple[str, Located]]:
    if isinstance(located.value, dict):
        return [(f"{key}.{name}" if key else name, child) for name, child in located.value.items()]
    if isinstance(located.value, list):
        return [(f"{key}[{place}]", child) for place, child in enumerate(located.value)]
    return []


# -- what pydantic says, in words -----------------------------------------------------------------------------


def _problem(tree: Located, details: ErrorDetails) -> Problem:
    """Translate one finding and say where it was written."""
    place = [part for part in details["loc"] if part != "[key]"]
    located, key, depth = _locate(tree, place)
    kind, context = details["type"], details.get("ctx", {})
    name = str(place[-1]) if place else ""
    if kind == "extra_forbidden":
        remedy = _meant(name, place[:-1])
        return Problem(located.file, located.line, key, "is not a key that is known here", remedy)
    if kind == "missing":
        holder = key if depth == len(place) else _join(place)
        return Problem(located.file, located.line, holder, "is missing", f"add `{name}: ...`")
    if kind == "value_error":
        message, _, remedy = str(context["error"]).partition("; ")
        return Problem(located.file, located.line, key, message, remedy or "mend the value")
    shown = _shown(details)
    wanted = _wanted(kind, context)
    return Problem(located.file, located.line, key, f"must be {wanted}{shown}", "mend the value")


def _shown(details: ErrorDetails) -> str:
    """Return what was written, unless it may be a secret."""
    value = details["input"]
    if any(str(part) in SECRETS for part in details["loc"]) or isinstance(value, dict | list):
        return ""
    return f", got {str(value)[:60]}"


WORDS = {
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "string_type": "text",
    "tuple_type": "a list",
    "list_type": "a list",
    "frozen_set_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}


def _wanted(kind: str, context: Mapping[str, Any]) -> str:
    if kind in WORDS:
        return WORDS[kind]
    for name, words in (
        ("ge", "at least {}"),
        ("gt", "greater than {}"),
        ("le", "at most {}"),
        ("lt", "less than {}"),
        ("expected", "{}"),
        ("min_length", "at least {} long"),
        ("max_length", "at most {} long"),
    ):
        if name in context:
            return words.format(context[name])
    if kind == "string_pattern_mismatch":
        return "a name of letters, digits, dots, dashes and underscores, 63 at most"
    return f"something else ({kind})"


def _locate(tree: Located, place: Sequence[int | str]) -> tuple[Located, str, int]:
    """Return the nearest value there is at a place, the key as a person writes it, and how deep it went."""
    located, depth = tree, 0
    for part in place:
        value = located.value
        if isinstance(value, dict) and str(part) in value:
            located = value[str(part)]
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            located = value[part]
        else:
            break
        depth += 1
    return located, _join(place), depth


def _join(place: Sequence[int | str]) -> str:
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _meant(name: str, place: Sequence[int | str]) -> str:
    """Return the key that was probably meant."""
    model = model_at(place)
    known = sorted(model.model_fields) if model is not None else []
    known += [f"{secret}_file" for secret in SECRETS if secret in known]
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"did you mean {close[0]}?"
    return f"take one of {', '.join(known)}"


def model_at(place: Sequence[int | str]) -> type[BaseModel] | None:
    """Return the model that describes what is at a place of the settings."""
    model: type[BaseModel] | None = Settings
    annotation: Any = Settings
    for part in place:
        if model is not None and part in model.model_fields:
            annotation = model.model_fields[str(part)].annotation
        models = [one for one in _inside(annotation) if isinstance(one, type) and issubclass(one, BaseModel)]
        model = models[0] if models and not (isinstance(part, str) and annotation is None) else None
    return model


def _inside(annotation: Any) -> list[Any]:
    """Return a type and everything within its brackets."""
    found = [annotation]
    for argument in get_args(annotation):
        found += _inside(argument)
    return found


# -- legal, but risky -----------------------------------------------------------------------------------------


def warnings(settings: Settings) -> list[str]:
    """Return what is allowed and should be known: one sentence each."""
    found: list[str] = []
    listen, admin = settings.listen, settings.admin
    if listen.host not in LOOPBACK and listen.tls is None:
        found.append(f"listen.host {listen.host} takes passwords without TLS; keep that network private")
    if listen.host not in LOOPBACK and settings.anonymous:
        found.append(f"listen.host {listen.host} lets anybody call without credentials (anonymous: true)")
    if admin.host not in LOOPBACK:
        found.append(f"admin.host {admin.host} shows the state of the wallets to whoever reaches it")
    found += [
        f"client {client.name} may do whatever {effect} does"
        for client in settings.clients
        for effect in ("sign", "publish")
        if effect in client.effects
    ]
    found += [
        f"client {client.name} has an empty password"
        for client in settings.clients
        if not client.password.get_secret_value()
    ]
    for name, wallet in settings.wallets.items():
        found += [
            f"backend {backend.name} of {name} is called without a password"
            for backend in wallet.backends
            if _is_empty(backend.password)
        ]
    return found


def _is_empty(secret: SecretStr) -> bool:
    return not secret.get_secret_value()
