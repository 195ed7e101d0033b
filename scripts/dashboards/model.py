"""What a dashboard is made of, and how Grafana reads it.

Rule: whoever draws a panel says a title, a text, expressions and a kind; all else follows from the kind, so that the
same thing looks the same everywhere.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

WIDTH = 24
"""Columns of a dashboard in Grafana."""

Json = dict[str, Any]

SOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}

I = 'instance=~"$instance"'  # noqa: E741 - it stands in nearly every expression
W = f'{I}, wallet=~"$wallet"'

KINDS = ("ok", "starting", "busy", "adrift", "wedged", "dead")
KIND_COLORS = ("green", "blue", "yellow", "orange", "red", "dark-red")
PHASES = ("READY", "WARMING", "STARTING", "DRAINING", "RESTARTING", "EJECTED", "FAILED")
PHASE_COLORS = ("green", "light-green", "blue", "purple", "yellow", "orange", "red")


def coded(metric: str, label: str, names: Sequence[str]) -> str:
    """Return one number for each daemon instead of one series for each name: the place of the name that holds."""
    parts = (f'({metric}{{{W}, {label}="{name}"}} == 1) * {place}' for place, name in enumerate(names))
    return f"max by (instance, wallet, backend) ({' or '.join(parts)})"


def shown(names: Sequence[str], colors: Sequence[str]) -> list[Json]:
    """Return how the numbers of `coded` are shown: in words, and in colour besides."""
    options = {
        str(place): {"text": name, "color": color, "index": place}
        for place, (name, color) in enumerate(zip(names, colors, strict=True))
    }
    return [{"type": "value", "options": options}]


YES_NO = shown(("no", "yes"), ("text", "green"))
BAD_YES = shown(("no", "YES"), ("green", "red"))

RED_FROM_ONE: Json = {"mode": "absolute", "steps": [{"color": "green", "value": None}, {"color": "red", "value": 1}]}
PLAIN: Json = {"mode": "absolute", "steps": [{"color": "text", "value": None}]}


def low_is_bad(red: float, yellow: float) -> Json:
    """Return colours for what must not become small."""
    steps = [{"color": "red", "value": None}, {"color": "yellow", "value": red}, {"color": "green", "value": yellow}]
    return {"mode": "absolute", "steps": steps}


@dataclass(frozen=True)
class Ask:
    """One expression of a panel, and what its series are called."""

    expr: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """One panel.

    Args:
        text: what to make of it, for the person who looks at it at night.
        kind: stat, timeseries, state-timeline or table.
        unit: as Grafana names it.
        mappings: numbers in words.
    """

    title: str
    text: str
    asks: Sequence[Ask]
    kind: str = "timeseries"
    unit: str = "short"
    width: int = 8
    height: int = 8
    mappings: Sequence[Json] = ()
    thresholds: Json = field(default_factory=lambda: PLAIN)
    minimum: float | None = 0
    maximum: float | None = None
    stacked: bool = False

    def drawn(self, number: int, x: int, y: int) -> Json:
        """Return it as Grafana reads it."""
        defaults: Json = {
            "unit": self.unit, "mappings": list(self.mappings), "thresholds": self.thresholds,
            "color": {"mode": "thresholds" if self.kind in ("stat", "state-timeline", "table") else "palette-classic"},
            "custom": self._custom(),
        }  # fmt: skip
        if self.kind == "timeseries":
            defaults |= {} if self.minimum is None else {"min": self.minimum}
            defaults |= {} if self.maximum is None else {"max": self.maximum}
        return {
            "id": number, "type": self.kind, "title": self.title, "description": self.text, "datasource": SOURCE,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
            "fieldConfig": {"defaults": defaults, "overrides": []},
            "options": self._options(),
            "targets": [self._target(place, one) for place, one in enumerate(self.asks)],
            **({"transformations": self._columns()} if self.kind == "table" else {}),
        }  # fmt: skip

    def _target(self, place: int, one: Ask) -> Json:
        is_now = self.kind in ("stat", "table")
        return {
            "refId": chr(ord("A") + place), "datasource": SOURCE, "expr": one.expr, "legendFormat": one.legend,
            "instant": is_now, "range": not is_now, "format": "table" if self.kind == "table" else "time_series",
            "editorMode": "code",
        }  # fmt: skip

    def _custom(self) -> Json:
        match self.kind:
            case "timeseries":
                mode = {"mode": "normal", "group": "A"} if self.stacked else {"mode": "none", "group": "A"}
                return {
                    "drawStyle": "line", "lineWidth": 1, "fillOpacity": 40 if self.stacked else 8,
                    "showPoints": "auto", "spanNulls": False, "stacking": mode,
                }  # fmt: skip
            case "state-timeline":
                return {"lineWidth": 0, "fillOpacity": 80}
            case _:
                return {}

    def _options(self) -> Json:
        match self.kind:
            case "timeseries":
                return {
                    "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
                    "tooltip": {"mode": "multi", "sort": "desc"},
                }
            case "stat":
                return {
                    "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
                    "orientation": "auto", "textMode": "auto", "colorMode": "background", "graphMode": "none",
                    "justifyMode": "auto",
                }  # fmt: skip
            case "state-timeline":
                return {
                    "mergeValues": True, "showValue": "auto", "alignValue": "left", "rowHeight": 0.9,
                    "legend": {"displayMode": "list", "placement": "bottom", "showLegend": False, "calcs": []},
                    "tooltip": {"mode": "single", "sort": "none"},
                }  # fmt: skip
            case _:
                return {"showHeader": True, "cellHeight": "sm"}

    @staticmethod
    def _columns() -> list[Json]:
        gone = dict.fromkeys(("Time", "__name__", "job"), True)
        return [{"id": "organize", "options": {"excludeByName": gone, "indexByName": {}, "renameByName": {}}}]


@dataclass(frozen=True)
class Row:
    """The answer to one question."""

    question: str
    panels: Sequence[Panel]


def placed(rows: Sequence[Row]) -> Iterator[Json]:
    """Put panels beside each other as long as there is room, each row below the one before."""
    number, y = 0, 0
    for row in rows:
        number += 1
        yield {
            "id": number, "type": "row", "title": row.question, "collapsed": False, "panels": [],
            "gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1},
        }  # fmt: skip
        y, x, tall = y + 1, 0, 0
        for panel in row.panels:
            if x + panel.width > WIDTH:
                x, y, tall = 0, y + tall, 0
            number += 1
            yield panel.drawn(number, x, y)
            x, tall = x + panel.width, max(tall, panel.height)
        y += tall
