"""The dashboards: drawn as they stand, complete, and made of metrics that there are."""

from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from gateway.observe.catalogue import CATALOGUE
from scripts import dashboards
from scripts.dashboards import DASHBOARDS
from tests.config import expressions
from tests.config.expressions import CONFIG, Expression

OTHERS = {
    "up": {"job", "instance"},
    "ALERTS": {"alertname", "alertstate", "instance"},
    **{name: {"instance", "wallet"} for name in expressions.recorded()},
}
"""What Prometheus itself knows, and what our rules make it record."""

PLUGINS = {"titleFormat"}
"""Keys that only the plug-in of a data source knows: what a mark of Prometheus is called."""

EVERYWHERE = {"job", "instance", "le"}
"""Labels that Prometheus adds, and that of a histogram's buckets."""

LABELS = {name: {*row.labels, *EVERYWHERE} for row in CATALOGUE.values() for name in row.samples}

ALL = [*expressions.panels(), *expressions.marks(), *expressions.rules(), *(one for one, _ in expressions.variables())]


def labels_of(name: str) -> set[str]:
    """What a metric can be chosen by; the process' own have no labels."""
    return EVERYWHERE if name.startswith("process_") else (LABELS | OTHERS)[name]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_file_is_what_would_be_drawn(name: str) -> None:
    """Nobody changes the one without the other."""
    file = dashboards.FOLDER / f"{name}.json"
    assert file.read_text(encoding="utf-8") == dashboards.text_of(name), "run python -m scripts.dashboards --write"


@pytest.mark.parametrize("name", DASHBOARDS)
def test_grafanas_own_model_knows_all_that_stands_in_a_file(name: str) -> None:
    """Read into the classes that are made from Grafana's schema, and written again: nothing is lost or changed."""
    drawn = expressions.dashboard(name)
    model = Dashboard.from_json(drawn)
    written = JSONEncoder(sort_keys=True).encode(model)
    lost = list(missing(drawn, yaml.safe_load(written), name))
    assert lost == []


def missing(wanted: Any, found: Any, place: str) -> list[str]:
    """Where the second lacks something of the first, or says something else."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        # an empty thing may be left out
        return [
            line
            for key, value in wanted.items()
            if value not in ({}, [], None, "", False) and key not in PLUGINS
            for line in (missing(value, found[key], f"{place}.{key}") if key in found else [f"{place}.{key} is lost"])
        ]
    if isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        pairs = enumerate(zip(wanted, found, strict=True))
        return [line for number, (one, other) in pairs for line in missing(one, other, f"{place}[{number}]")]
    return [] if wanted == found else [f"{place}: {wanted!r} became {found!r}"]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_panels_lie_beside_each_other_and_say_what_to_make_of_them(name: str) -> None:
    """None over another one, none without a text, no number twice, and none that is in no row of a question."""
    panels = expressions.dashboard(name)["panels"]
    assert panels[0]["type"] == "row"
    assert len({one["id"] for one in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for one in panels:
        place = one["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, one["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
        assert one["title"].endswith("?") if one["type"] == "row" else one["description"].endswith("."), one["title"]


def test_each_has_an_address_of_its_own_that_does_not_change() -> None:
    """Links to them are in other people's run books."""
    assert {expressions.dashboard(name)["uid"] for name in DASHBOARDS} == {"ecgw-fleet", "ecgw-wallet", "ecgw-incident"}


def test_every_panel_reads_the_chosen_source_and_the_chosen_places() -> None:
    """A panel that ignores a choice shows another gateway's figures under its name."""
    for name in DASHBOARDS:
        for panel in expressions.dashboard(name)["panels"]:
            for target in panel.get("targets", ()):
                assert target["datasource"] == panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    for one in expressions.panels():
        for metric, labels in one.choices:
            wanted = {"instance", *({"wallet"} if "wallet" in labels_of(metric) else ())}
            assert wanted <= labels, f"{one.place}: {metric} by {labels}"


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.place)
def test_every_metric_and_every_label_that_is_asked_for_is_one(one: Expression) -> None:
    """A renamed one would leave an empty panel, or an alert that never fires."""
    names = one.names - {name for name in one.names if name.startswith("process_")}
    assert one.names, one.text
    assert names <= LABELS.keys() | OTHERS.keys(), one.text
    for metric, labels in one.choices:
        assert labels <= labels_of(metric), one.text
    assert one.groups <= set().union(*(labels_of(name) for name in one.names)), one.text


def test_every_metric_is_used_somewhere() -> None:
    """What nobody looks at need not be counted."""
    used = {name for one in ALL for name in one.names}
    assert [row.name for row in CATALOGUE.values() if not used.intersection(row.samples)] == []


def test_what_the_files_of_grafana_name_is_there() -> None:
    """The source, and the folder that the compose profile mounts."""
    folder = CONFIG / "grafana" / "provisioning"
    (source,) = yaml.safe_load((folder / "datasources" / "prometheus.yml").read_text())["datasources"]
    (provider,) = yaml.safe_load((folder / "dashboards" / "ec-gateway.yml").read_text())["providers"]
    assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")
    compose = yaml.safe_load((CONFIG.parent / "compose.monitoring.yml").read_text())
    mounted = {one.split(":")[1] for one in compose["services"]["grafana"]["volumes"] if one.startswith("./")}
    assert provider["options"]["path"] in mounted
    assert "/etc/grafana/provisioning" in mounted
