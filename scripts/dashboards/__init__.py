"""The dashboards in config/grafana/dashboards/, drawn from panels.

    python -m scripts.dashboards --write    write the files
    python -m scripts.dashboards            say which of them are not as they would be drawn

Rule: each row of panels answers one question of a person on call, and each panel says in its description what to make
of it.  A test draws them and compares; another asks a real Prometheus each expression, and wants an answer.
"""

import json
from pathlib import Path

from scripts.dashboards.fleet import FLEET
from scripts.dashboards.model import SOURCE, I, Json, W, placed
from scripts.dashboards.wallet import INCIDENT, WALLET

FOLDER = Path(__file__).parents[2] / "config" / "grafana" / "dashboards"

DASHBOARDS = {
    "fleet": ("EC gateway: fleet", "All gateways, wallets and daemons at one glance.", FLEET),
    "wallet": ("EC gateway: wallet", "One wallet in depth: its calls, its daemons, its money.", WALLET),
    "incident": ("EC gateway: incident", "For the night: what is sick, since when, what was done.", INCIDENT),
}  # fmt: skip


def variable(name: str, label: str, query: str) -> Json:
    """Return a choice that is read from a label; all at first."""
    return {
        "name": name, "label": label, "type": "query", "datasource": SOURCE,
        "query": {"query": query, "refId": f"variable-{name}"}, "refresh": 2, "sort": 1, "includeAll": True,
        "multi": True, "allValue": ".*", "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
    }  # fmt: skip


def annotation(name: str, expr: str, color: str, title: str) -> Json:
    """Return marks over all panels."""
    return {"name": name, "enable": True, "datasource": SOURCE, "expr": expr, "iconColor": color, "titleFormat": title}


def drawn(name: str) -> Json:
    """Return a dashboard."""
    title, text, rows = DASHBOARDS[name]
    return {
        "uid": f"ecgw-{name}",
        "title": title,
        "description": text,
        "tags": ["ec-gateway"],
        "schemaVersion": 38,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "10s",
        "timezone": "browser",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {
            "list": [
                {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"},
                variable("instance", "Gateway", "label_values(ecgw_build_info, instance)"),
                variable("wallet", "Wallet", f"label_values(ecgw_calls_in_progress{{{I}}}, wallet)"),
            ]
        },
        "annotations": {
            "list": [
                annotation("Alerts", 'ALERTS{alertname=~"Ecgw.*", alertstate="firing"}', "red", "{{alertname}}"),
                annotation("Promotions", f"changes(ecgw_epoch{{{W}}}[1m]) > 0", "blue", "{{wallet}}: another reign"),
            ]
        },
        "links": [
            {
                "type": "dashboards", "title": "EC gateway", "tags": ["ec-gateway"], "asDropdown": False,
                "includeVars": True, "keepTime": True, "targetBlank": False, "icon": "external link", "tooltip": "",
            }
        ],
        "panels": list(placed(rows)),
    }  # fmt: skip


def text_of(name: str) -> str:
    """Return the file."""
    return json.dumps(drawn(name), indent=1, ensure_ascii=False) + "\n"
