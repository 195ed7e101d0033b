"""Every expression that a Prometheus is asked: of the dashboards' panels, their choices and marks, and of the rules."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from scripts.dashboards import DASHBOARDS

CONFIG = Path(__file__).parents[2] / "config"
RULES = CONFIG / "prometheus" / "ec-gateway.rules.yml"

NAME = re.compile(r"\b(ecgw[_:][a-z0-9_:]+|process_[a-z_]+|up|ALERTS)\b(?=\{| |\)|\[|$)")
CHOSEN = re.compile(r"(?P<name>ecgw_[a-z0-9_]+|process_[a-z_]+)(?:\{(?P<inside>[^}]*)\})?")
GROUPED = re.compile(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)")


@dataclass(frozen=True)
class Expression:
    """One of them; `place` is for whoever reads a failure."""

    place: str
    text: str

    @property
    def names(self) -> set[str]:
        """The metrics that it asks for."""
        return set(NAME.findall(re.sub(r'"[^"]*"', '""', self.text)))

    @property
    def choices(self) -> Iterator[tuple[str, set[str]]]:
        """Each metric, with the labels by which it is chosen."""
        for found in CHOSEN.finditer(self.text):
            yield found["name"], set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", found["inside"] or ""))

    @property
    def groups(self) -> set[str]:
        """The labels by which it groups and joins."""
        return {label.strip() for inside in GROUPED.findall(self.text) for label in inside.split(",") if label.strip()}


def dashboard(name: str) -> Any:
    """A dashboard as its file has it."""
    return json.loads((CONFIG / "grafana" / "dashboards" / f"{name}.json").read_text(encoding="utf-8"))


def panels() -> list[Expression]:
    """Those of all panels."""
    return [
        Expression(f"{name}: {panel['title']}: {target['refId']}", target["expr"])
        for name in DASHBOARDS
        for panel in dashboard(name)["panels"]
        for target in panel.get("targets", ())
    ]


def marks() -> list[Expression]:
    """Those of the marks over the panels."""
    return [
        Expression(f"{name}: {one['name']}", one["expr"])
        for name in DASHBOARDS
        for one in dashboard(name)["annotations"]["list"]
    ]


def variables() -> list[tuple[Expression, str]]:
    """Those of the choices, with the label that each shows."""
    found = []
    for name in DASHBOARDS:
        for one in dashboard(name)["templating"]["list"]:
            if one["type"] == "query":
                asked = re.fullmatch(r"label_values\((.+), (\w+)\)", one["query"]["query"])
                assert asked, one
                found.append((Expression(f"{name}: ${one['name']}", asked[1]), asked[2]))
    return found


def rules() -> list[Expression]:
    """Those of the rules."""
    return [Expression(str(rule.get("alert") or rule["record"]), rule["expr"]) for rule in _rules()]


def recorded() -> list[str]:
    """The names that the rules make Prometheus record."""
    return [rule["record"] for rule in _rules() if "record" in rule]


def _rules() -> list[dict[str, str]]:
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]
