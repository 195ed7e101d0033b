"""The OpenAPI document says what the door does, no more and no less."""

import json
import re
from typing import Any

import pytest

from gateway.edge.admin_api import HINT, HISTORIES
from gateway.edge.admin_orders import VERBS
from gateway.edge.openapi import DOCUMENT, PATHS, document
from tests.edge.admin_world import FakeSwitches, World

FILLED = {"wallet": "main", "backend": "ec-1", "order": "hold", "outcome": "call-1", "switch": "freeze"}


def references(value: Any) -> set[str]:
    """Return every reference in a part of the document."""
    if isinstance(value, dict):
        mine = {value["$ref"]} if "$ref" in value else set()
        return mine.union(*map(references, value.values()))
    return set().union(*map(references, value)) if isinstance(value, list) else set()


def test_every_reference_leads_somewhere_and_nothing_is_left_over() -> None:
    """Also in what is sent."""
    whole = json.loads(document())
    assert whole == DOCUMENT
    found = references(whole)
    parts = whole["components"]
    named = {f"#/components/{kind}/{name}" for kind in ("schemas", "responses", "parameters") for name in parts[kind]}
    assert found == named


async def test_it_is_served(world: World) -> None:
    """To whoever may look."""
    status, found, headers = await world.ask("GET", "/api/v1/openapi.json", token=None)
    assert (status, found) == (200, DOCUMENT)
    assert headers["Content-Type"] == "application/json"
    assert found["openapi"].startswith("3.1")


@pytest.mark.parametrize("path", list(PATHS))
async def test_every_path_is_there_and_takes_these_methods_alone(world: World, path: str) -> None:
    """With another one it says which it takes."""
    world.api.switches = FakeSwitches()
    filled = re.sub(r"\{(\w+)\}", lambda match: FILLED[match[1]], path)
    name = filled.rpartition("/")[2]
    (method,) = PATHS[path]
    if name in HISTORIES:
        pytest.skip("asked in test_admin_api, with a history")
    status, found, headers = await world.ask("DELETE", filled)
    assert status == 405
    assert found["detail"] != HINT
    assert headers["Allow"].split(", ")[0] == method.upper()
    known = {parameter["name"] for parameter in PATHS[path][method]["parameters"] if parameter.get("in") == "path"}
    assert known == set(re.findall(r"\{(\w+)\}", path))


def test_every_order_is_named() -> None:
    """A new one that nobody wrote down would be unknown to whoever reads it."""
    orders = PATHS["/api/v1/wallets/{wallet}/backends/{backend}/{order}"]["post"]["parameters"][2]
    assert orders["schema"]["enum"] == list(VERBS)


def test_moments_that_only_a_history_knows_are_written_down() -> None:
    """Whoever reads the document finds them, and does not count on them."""
    schemas = DOCUMENT["components"]["schemas"]
    for name, field in (("Lease", "since"), ("Wallet", "promoted")):
        assert field in schemas[name]["properties"]
        assert field not in schemas[name]["required"]


def test_looking_and_ordering_say_how_they_are_refused() -> None:
    """Each as a problem; an order also when it cannot be carried out."""
    for path, operations in PATHS.items():
        for method, operation in operations.items():
            refusals = set(operation["responses"]) - {"200"}
            assert {"401", "403", "405", "421"} <= refusals, path
            assert ("409" in refusals) or method == "get"
            assert all("$ref" in operation["responses"][status] for status in refusals)
    for response in DOCUMENT["components"]["responses"].values():
        assert list(response["content"]) == ["application/problem+json"]
