"""The JSON Schema of the configuration, for editors.

Rule: it is made from the models, so it cannot say something else than they do.
"""

from typing import Any

from gateway.base.config import Settings

VARIABLE = {"type": "string", "pattern": r"\$\{"}
"""A text with a variable of the environment in it may stand for any single value."""


def schema() -> dict[str, Any]:
    """Return the schema of one complete configuration file."""
    made = Settings.model_json_schema()
    made["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    made["title"] = "ec-gateway configuration"
    for definition in made["$defs"].values():
        properties = definition.get("properties", {})
        for name, column in list(properties.items()):
            if column.get("type") in ("integer", "number", "boolean"):
                properties[name] = {"anyOf": [column, VARIABLE], **{k: column[k] for k in ("default",) if k in column}}
        if "password" in properties:
            properties["password_file"] = {"type": "string", "title": "File that holds the password"}
            if "password" in definition.get("required", []):
                definition["required"].remove("password")
                definition["anyOf"] = [{"required": ["password"]}, {"required": ["password_file"]}]
    return made
