"""The JSON Schema of the configuration, for editors.

Rule: it is made from the models, so it cannot say something else than they do.
"""

from typing import Any

from gateway.base.config import Settings
from gateway.base.section import SECRETS
from gateway.base.yaml_nodes import ON_FILE

VARIABLE = {"type": "string", "pattern": r"\$\{"}
"""A text with a variable of the environment in it may stand for any single value."""

HOLDERS = frozenset({"object", "array"})


def schema() -> dict[str, Any]:
    """Return the schema of one complete configuration file."""
    made: dict[str, Any] = _with_variables(Settings.model_json_schema())
    made["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    made["title"] = "ec-gateway configuration"
    for definition in made["$defs"].values():
        for name in SECRETS & set(definition.get("properties", {})):
            definition["properties"][f"{name}{ON_FILE}"] = {"type": "string", "title": f"File that holds the {name}"}
            if name in definition.get("required", []):
                definition["required"].remove(name)
                definition["anyOf"] = [{"required": [name]}, {"required": [f"{name}{ON_FILE}"]}]
    return made


def _with_variables(node: Any, key: str = "") -> Any:
    """Return a part of the schema in which a variable may stand wherever a single value is narrower than text."""
    if isinstance(node, list):
        return [_with_variables(one) for one in node]
    if not isinstance(node, dict):
        return node
    changed = {name: _with_variables(child, name) for name, child in node.items()}
    if "patternProperties" in changed:
        # pydantic leaves open what becomes of a name that fits no pattern; the loader refuses it
        changed["additionalProperties"] = False
    is_single = isinstance(node.get("type"), str) and node["type"] not in HOLDERS and key != "properties"
    if not is_single:
        return changed
    narrow = {name: value for name, value in changed.items() if name not in ABOUT}
    return {**{name: changed[name] for name in ABOUT if name in changed}, "anyOf": [narrow, VARIABLE]}


ABOUT = ("title", "description", "default")
"""What a schema says about a value without narrowing it."""
