"""The text that Prometheus reads: its own parser understands it, whatever stands in it."""

import math

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from gateway.observe.catalogue import CATALOGUE
from gateway.observe.exposition import Page, labelled, number


@given(st.floats())
def test_every_number_is_read_as_it_was_written(value: float) -> None:
    """Infinite ones and those that are none included."""
    page = Page()
    page.add([("draining", {}, value)])
    (family,) = text_string_to_metric_families(page.text().decode())
    (sample,) = family.samples
    assert sample.value == value or (math.isnan(value) and math.isnan(sample.value))
    assert number(math.inf) == "+Inf"
    assert number(-math.inf) == "-Inf"


@given(st.text(max_size=20), st.text(max_size=20))
def test_every_label_is_read_as_it_was_written(wallet: str, backend: str) -> None:
    """Quotes, line ends, backslashes and braces included."""
    page = Page()
    page.add([("backend_up", {"wallet": wallet, "backend": backend}, 1.0)])
    (family,) = text_string_to_metric_families(page.text().decode())
    assert family.samples[0].labels == {"wallet": wallet, "backend": backend}


def test_a_family_stands_together_under_one_head() -> None:
    """Though its values came from several places, and others in between."""
    page = Page()
    page.add([("backend_up", {"wallet": "a", "backend": "1"}, 1.0), ("panic", {"wallet": "a"}, 0.0)])
    page.add([("backend_up", {"wallet": "b", "backend": "1"}, 0.0)])
    page.add_counts("probes_total", [(("a", "1", "synced"), 7)])
    text = page.text().decode()
    assert text.count("# TYPE") == text.count("# HELP") == 3
    found = {family.name: family for family in text_string_to_metric_families(text)}
    assert [sample.value for sample in found["ecgw_backend_up"].samples] == [1, 0]
    assert found["ecgw_backend_up"].documentation == CATALOGUE["backend_up"].text
    assert (found["ecgw_probes"].type, found["ecgw_panic"].type) == ("counter", "gauge")


def test_a_family_without_a_value_is_not_named() -> None:
    """A head alone says nothing."""
    page = Page()
    page.add_counts("probes_total", [])
    assert page.text() == b""


def test_a_histogram_is_one_that_prometheus_takes() -> None:
    """Its buckets add up, and the last one holds all."""
    page = Page()
    page.add_histogram("call_duration_seconds", ("main", "read"), ("0.1", "1.0", "+Inf"), (3, 0, 2), 9.5)
    (family,) = text_string_to_metric_families(page.text().decode())
    found = {(one.name.rpartition("_")[2], one.labels.get("le")): one.value for one in family.samples}
    assert family.type == "histogram"
    assert found == {("bucket", "0.1"): 3, ("bucket", "1.0"): 3, ("bucket", "+Inf"): 5,
                     ("sum", None): 9.5, ("count", None): 5}  # fmt: skip


def test_families_of_others_keep_their_own_names() -> None:
    """Those of the process, which Prometheus knows."""
    page = Page()
    page.add_foreign("process_open_fds", "gauge", "Open files.", ["process_open_fds 7\n"])
    assert page.text() == b"# HELP process_open_fds Open files.\n# TYPE process_open_fds gauge\nprocess_open_fds 7\n"


def test_no_labels_are_no_braces() -> None:
    """As Prometheus writes it."""
    assert labelled((), ()) == ""
    assert labelled(("a", "b"), ("1", '"')) == '{a="1",b="\\""}'
