"""The schema for editors: it takes what the loader takes, and refuses what the loader refuses."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.base.schema import schema

from .conftest import Folder

EXAMPLES = sorted((Path(__file__).parents[2] / "config").glob("*.yaml"))


KINDS: dict[str, Any] = {
    "object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "boolean": bool,
    "null": type(None),
}  # fmt: skip
WORDS = {
    "title", "description", "default", "$ref", "anyOf", "type", "$defs", "$schema", "format", "writeOnly",
    "uniqueItems", "properties", "required", "additionalProperties", "patternProperties", "minProperties", "items",
    "enum", "const", "pattern", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength",
    "minItems", "maxItems",
}  # fmt: skip


def fits(value: Any, wanted: dict[str, Any], definitions: dict[str, Any]) -> bool:
    """Check a value against the few words of JSON Schema that pydantic writes for these models."""
    if "$ref" in wanted:
        return fits(value, definitions[wanted["$ref"].removeprefix("#/$defs/")], definitions)
    if "anyOf" in wanted and not any(fits(value, one, definitions) for one in wanted["anyOf"]):
        return False
    kind = wanted.get("type")
    if kind is not None and (not isinstance(value, KINDS[kind]) or (isinstance(value, bool) and kind != "boolean")):
        return False
    assert set(wanted) <= WORDS, set(wanted) - WORDS
    return _single_fits(value, wanted) and _parts_fit(value, wanted, definitions)


def _single_fits(value: Any, wanted: dict[str, Any]) -> bool:
    checks: dict[str, Callable[[Any], bool]] = {
        "enum": lambda limit: value in limit,
        "const": lambda limit: value == limit,
        "pattern": lambda limit: re.search(limit, value) is not None,
        "minimum": lambda limit: value >= limit,
        "maximum": lambda limit: value <= limit,
        "exclusiveMinimum": lambda limit: value > limit,
        "exclusiveMaximum": lambda limit: value < limit,
        "minLength": lambda limit: len(value) >= limit,
        "minProperties": lambda limit: len(value) >= limit,
        "minItems": lambda limit: len(value) >= limit,
        "maxItems": lambda limit: len(value) <= limit,
    }
    return all(check(wanted[name]) for name, check in checks.items() if name in wanted)


def _parts_fit(value: Any, wanted: dict[str, Any], definitions: dict[str, Any]) -> bool:
    if isinstance(value, list):
        return all(fits(one, wanted.get("items", {}), definitions) for one in value)
    if not isinstance(value, dict):
        return True
    if not set(wanted.get("required", ())) <= set(value):
        return False
    for name, one in value.items():
        inner = [wanted["properties"][name]] if name in wanted.get("properties", {}) else []
        inner += [part for pattern, part in wanted.get("patternProperties", {}).items() if re.search(pattern, name)]
        if not inner and wanted.get("additionalProperties") is False:
            return False
        if not all(fits(one, part, definitions) for part in inner):
            return False
    return True


def accepts(text: str) -> bool:
    """Check a file as an editor would."""
    made = schema()
    return fits(yaml.safe_load(text), made, made["$defs"])


def test_the_schema_is_json_and_says_which_kind() -> None:
    """Editors look for it."""
    made = json.loads(json.dumps(schema()))
    assert made["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert made["title"] == "ec-gateway configuration"
    assert made["required"] == ["wallets"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_files_that_come_with_the_gateway_fit(path: Path) -> None:
    """Variables and all."""
    assert accepts(path.read_text())


GOOD = [
    "",
    "listen: {port: '${PORT}', head_timeout: '${T:-5}', tls: {certificate: /dev/null, key: /dev/null}}",
    "drain_timeout: ${DRAIN}\nanonymous: ${ANON:-true}\nsandbox: false",
    "log: {level: '${LEVEL}', format: json, file: {path: a}}",
    "listen: {tls: null}",
    "clients: [{name: '${N}', username: u, password_file: x, wallets: ['${W}'], effects: ['${E}'], methods: [a]}]",
    "clients: [{name: a, username: u, password: p, rate_limit: {per_second: 0.5}, errors: '${STYLE}'}]",
    "wallets: {main: {primary: '${P}', backends: [{name: a, url: http://h, slots: '${S}', password_file: x}]}}",
    "wallets: {main: {primary: a, profile: ../mine.yaml, backends: [{name: a, url: http://h, tls: {verify: false}}]}}",
]
BAD = [
    "lisen: {}",
    "listen: {port: '80'}",
    "listen: {port: 70000}",
    "listen: {port: true}",
    "listen: {host: 5}",
    "listen: []",
    "drain_timeout: soon",
    "drain_timeout: 0",
    "anonymous: 1",
    "anonymous: 'true'",
    "log: {level: loud}",
    "clients: [{name: a, username: u}]",
    "clients: [{name: a b, username: u, password: p}]",
    "clients: [{name: a, username: u, password: p, effects: [reed]}]",
    "clients: [{name: a, username: u, password: p, deadline: -1}]",
    "wallets: {}",
    "wallets: {a b: {backends: [{name: a, url: http://h}]}}",
    "wallets: {main: {backends: []}}",
    "wallets: {main: {backends: [{name: a}]}}",
    "wallets: {main: {backends: [{name: a, url: http://h, slots: 0}]}}",
]
ENVIRON = {
    "PORT": "1", "T": "5", "DRAIN": "5", "ANON": "true", "LEVEL": "info", "N": "n", "W": "main", "E": "read",
    "STYLE": "http", "P": "a", "S": "1",
}  # fmt: skip
BASE = {
    "clients": "clients: [{name: a, username: u, password: p}]\n",
    "wallets": "wallets: {main: {backends: [{name: a, url: http://h}]}}\n",
}


def complete(text: str) -> str:
    """Add what every file needs and this one does not say."""
    return text + "\n" + "".join(line for key, line in BASE.items() if not text.startswith(f"{key}:"))


@pytest.mark.parametrize("text", GOOD)
def test_what_the_loader_takes_the_schema_takes(folder: Folder, text: str) -> None:
    """A variable may stand for any single value."""
    folder.write("x", "secret")
    assert folder.load(complete(text), **ENVIRON)
    assert accepts(complete(text))


@pytest.mark.parametrize("text", BAD)
def test_what_the_schema_can_see_it_refuses_as_the_loader_does(folder: Folder, text: str) -> None:
    """An editor underlines it before anything is started."""
    assert folder.problems(complete(text))
    assert not accepts(complete(text))
