"""What pydantic finds wrong with settings, in words, with the place where it was written and what would be right.

Rule: no message holds a secret, be it in its own key or where a person put it by mistake.
"""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from gateway.base.clashes import Place
from gateway.base.config import Settings
from gateway.base.errors import Problem
from gateway.base.section import SECRETS
from gateway.base.yaml_nodes import ON_FILE, Located


def problems(tree: Located, error: ValidationError) -> Iterator[Problem]:
    """Translate what pydantic found, without what is known already or follows from it."""
    for details in error.errors(include_url=False):
        place = tuple(part for part in details["loc"] if part != "[key]")
        located = found(tree, place)
        # an empty place is the check for clashes; a list whose entries are all wrong counts as empty
        follows = not place or (details["type"] == "too_short" and bool(located.value))
        if not follows and not located.is_lost:
            yield _problem(located, place, details)


def _problem(located: Located, place: Place, details: ErrorDetails) -> Problem:
    key, name = join(place), str(place[-1])
    kind, context = details["type"], details.get("ctx", {})
    if kind == "extra_forbidden":
        return Problem(located.file, located.line, key, "is not a key that is known here", _meant(name, place[:-1]))
    if kind == "missing":
        secret = f"{name}{ON_FILE}: PATH` or `" if name in SECRETS else ""
        return Problem(located.file, located.line, key, "is missing", f"add `{secret}{name}: ...`")
    if kind == "value_error":
        message, _, remedy = str(context["error"]).partition("; ")
        return Problem(located.file, located.line, key, message, remedy)
    wanted, remedy = WORDS.get(kind) or _limit(context)
    shown = "" if kind in HOLDERS or name in SECRETS else f", got {_as_written(details['input'])}"
    return Problem(located.file, located.line, key, f"must be {wanted}{shown}", remedy)


def _as_written(value: object) -> str:
    """Return a value as a person wrote it; something before an @ could be a password in a URL."""
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case _ if "@" in str(value):
            return "another text"
        case _:
            return str(value)[:60] or "an empty text"


_LIST = ("a list", "write one `- ` line for each entry, or [one, other]")
_MAPPING = ("a mapping", "write `key: value` lines under it, or take the line out")
_WHOLE = ("a whole number", "write digits without quotes")
_NUMBER = ("a number", "write digits without quotes, like 2 or 0.5")
_TRUTH = ("true or false", "write one of them without quotes")
_NAME = ("a name of letters, digits, dots, dashes and underscores, 63 at most", "rename it")

WORDS = {
    "int_parsing": _WHOLE,
    "int_parsing_size": _WHOLE,
    "int_type": _WHOLE,
    "int_from_float": _WHOLE,
    "float_parsing": _NUMBER,
    "float_type": _NUMBER,
    "decimal_type": _NUMBER,
    "decimal_parsing": _NUMBER,
    "finite_number": _NUMBER,
    "bool_parsing": _TRUTH,
    "bool_type": _TRUTH,
    "string_type": ("text", "put it in quotes"),
    "string_pattern_mismatch": _NAME,
    "tuple_type": _LIST,
    "frozen_set_type": _LIST,
    "dict_type": _MAPPING,
    "model_type": _MAPPING,
}
"""What is wanted and what to do, by pydantic's names of errors."""

HOLDERS = frozenset(kind for kind, words in WORDS.items() if words in (_LIST, _MAPPING))
"""Where many values are wanted and one is written, that one could be user:password, and is not shown."""


def _limit(context: Mapping[str, Any]) -> tuple[str, str]:
    """Return what is wanted and what to do when a value is out of its limits."""
    for name, words, remedy in (
        ("ge", "at least {}", "write a larger number"),
        ("gt", "greater than {}", "write a larger number"),
        ("le", "at most {}", "write a smaller number"),
        ("lt", "less than {}", "write a smaller number"),
        ("min_length", "at least {} long", "write something there"),
        ("max_length", "at most {} long", "take some out"),
        ("decimal_places", "written with at most {} decimals", "take some digits off"),
        ("expected", "{}", "write one of them"),
    ):
        if name in context:
            return words.format(context[name]), remedy
    return "something else", "see docs or config/gateway.yaml"


def found(tree: Located, place: Place) -> Located:
    """Return the nearest value there is at a place."""
    located = tree
    for part in place:
        match located.value:
            case dict() as entries if part in entries:
                located = entries[part]
            case list() as items if isinstance(part, int):
                located = items[part]
            case _:
                break
    return located


def join(place: Place) -> str:
    """Return a place as a person writes it."""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _meant(name: str, place: Place) -> str:
    """Return the key that was probably meant."""
    model = model_at(place)
    assert model is not None  # noqa: S101 - only models forbid keys
    known = sorted({*model.model_fields, *(f"{secret}{ON_FILE}" for secret in SECRETS & set(model.model_fields))})
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]}?" if close else f"take one of {', '.join(known)}"


def model_at(place: Place) -> type[BaseModel] | None:
    """Return the model that describes what is at a place of the settings, None when no model does."""
    annotation: Any = Settings
    for part in place:
        model = _model(annotation)
        if model is not None:
            known = model.model_fields.get(str(part))
            annotation = known.annotation if known is not None else None
        elif get_origin(annotation) in (dict, tuple):
            annotation = get_args(annotation)[get_origin(annotation) is dict]
        else:
            return None
    return _model(annotation)


def _model(annotation: Any) -> type[BaseModel] | None:
    """Return a model out of an annotation that is one or may be absent, None when it is something else."""
    candidates = (annotation,) if isinstance(annotation, type) else get_args(annotation)
    if get_origin(annotation) in (dict, tuple):
        return None
    return next((one for one in candidates if isinstance(one, type) and issubclass(one, BaseModel)), None)
