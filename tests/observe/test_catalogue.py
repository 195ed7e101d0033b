"""The catalogue of metrics: sound by the conventions of Prometheus, and the page of the docs is drawn from it."""

import ast
from pathlib import Path

import pytest

from gateway.observe.catalogue import CATALOGUE, PREFIX, Row
from scripts import draw_metrics

GATEWAY = Path(__file__).parents[2] / "gateway"

FORBIDDEN = {"le", "instance", "job", "address", "key", "client", "txid", "request"}
"""Labels of Prometheus itself, and those that every customer would multiply."""


def test_the_page_is_drawn_from_the_catalogue() -> None:
    """Nobody changes the one without the other."""
    assert draw_metrics.PAGE.read_text(encoding="utf-8") == draw_metrics.draw(), "run scripts/draw_metrics.py --write"


@pytest.mark.parametrize("row", CATALOGUE.values(), ids=lambda row: row.name)
def test_a_metric_is_named_as_prometheus_names_them(row: Row) -> None:
    """Counters alone end in _total, what is measured ends in its unit, and the text is a sentence."""
    assert row.name.endswith("_total") == (row.kind == "counter")
    assert row.kind != "histogram" or row.name.endswith("_seconds")
    if "_second" in row.name or "_byte" in row.name:
        assert row.name.endswith(("_seconds", "_bytes", "_per_second", "_total"))
    assert row.text.endswith(".")
    assert len(row.text) > 20
    assert not set(row.labels) & FORBIDDEN
    assert not row.name.startswith(PREFIX)


def test_every_name_that_a_room_yields_is_in_the_catalogue() -> None:
    """One that is not would never be seen: whoever adds a metric adds its row."""
    yielded = set()
    for path in GATEWAY.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef) and function.name in ("gauges", "_gauges"):
                yielded |= {
                    node.value.elts[0].value
                    for node in ast.walk(function)
                    if isinstance(node, ast.Yield)
                    and isinstance(node.value, ast.Tuple)
                    and isinstance(node.value.elts[0], ast.Constant)
                }
    assert len(yielded) > 30
    assert yielded <= CATALOGUE.keys()
