"""YAML with places: nothing is guessed, nothing takes the reader down."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.base.errors import Problem
from gateway.base.yaml_nodes import Located, NodeReader, merge, plain


def read(tmp_path: Path, text: str) -> tuple[object, list[Problem]]:
    """Read a text as a file."""
    path = tmp_path / "a.yaml"
    path.write_text(text)
    reader = NodeReader()
    located = reader.read(path)
    return (None if located is None else plain(located)), reader.problems


def only(tmp_path: Path, text: str) -> Problem:
    """Read a text that has one mistake."""
    _, (problem,) = read(tmp_path, text)
    assert problem.remedy
    return problem


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("5", 5),
        ("-5", -5),
        ("+5", 5),
        ("1_000", 1000),
        ("0", 0),
        ("0x1F", 31),
        ("0b11", 3),
        ("2.5", 2.5),
        ("1_0.5", 10.5),
        (".5", 0.5),
        ("1e-3", 0.001),
        ("2E6", 2_000_000.0),
        ("1.5e+3", 1500.0),
        (".inf", float("inf")),
        ("-.INF", float("-inf")),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("null", None),
        ("text", "text"),
        ("y", "y"),
        ('"5"', "5"),
        ("'yes'", "yes"),
        ("'0123'", "0123"),
        ("2026-01-01", "2026-01-01"),
        ("1.2.3.4", "1.2.3.4"),
        ("00:1A", "00:1A"),
        ("=", "="),
        ("[a, {b: 1}]", ["a", {"b": 1}]),
        ("|-\n  two\n  lines", "two\nlines"),
    ],
)
def test_a_value_is_what_it_says(tmp_path: Path, written: str, value: object) -> None:
    """Quotes make text, and dates stay text."""
    assert read(tmp_path, f"a: {written}\n") == ({"a": value}, [])


def test_not_a_number_is_read_as_one_that_is_refused_later(tmp_path: Path) -> None:
    """The models take no such number."""
    found, problems = read(tmp_path, "a: .NaN\n")
    assert isinstance(found, dict)
    assert found["a"] != found["a"]
    assert problems == []


@pytest.mark.parametrize("word", ["yes", "No", "ON", "off"])
def test_a_word_that_yaml_takes_for_a_truth_value_is_a_mistake(tmp_path: Path, word: str) -> None:
    """`country: no` is Norway."""
    problem = only(tmp_path, f"a:\n  - {word}\n")
    assert (problem.line, problem.key) == (2, "a[0]")
    assert "true or false" in problem.message
    assert "in quotes" in problem.remedy


@pytest.mark.parametrize(
    "number", ["12:30", "1:30:00", "190:20:30.15", "1_0:30", "-1:30", "010", "-007", "0_1", "9" * 5000]
)
def test_a_number_that_yaml_reads_as_another_one_is_a_mistake(tmp_path: Path, number: str) -> None:
    """Base 60, base 8, and more digits than Python reads."""
    problem = only(tmp_path, f"a: {number}\n")
    assert (problem.line, problem.key) == (1, "a")
    assert "number" in problem.message
    assert "in quotes" in problem.remedy


@pytest.mark.parametrize(
    "tagged", ["!secret", "!x y", "!!int abc", "!!int '5'", "!!bool maybe", "!!str 5", "!!binary aa"]
)
def test_a_tag_is_a_mistake(tmp_path: Path, tagged: str) -> None:
    """A password that begins with ! would be empty."""
    problem = only(tmp_path, f"a: {tagged}\n")
    assert (problem.line, problem.key) == (1, "a")
    assert "tag" in problem.message


def test_a_key_written_twice_is_told_with_both_lines(tmp_path: Path) -> None:
    """YAML itself takes the last one without a word."""
    problem = only(tmp_path, "a:\n  b: 1\n  c: 2\n  b: 3\n")
    assert (problem.line, problem.key, problem.message) == (4, "a.b", "is written twice")
    assert "line 2" in problem.remedy


def test_keys_that_are_no_text_and_merge_keys_are_mistakes(tmp_path: Path) -> None:
    """What several environments share goes into a file of its own."""
    assert only(tmp_path, "? [a]\n: b\n").message == "has a key that is no text"
    problem = only(tmp_path, "a: &x {b: 1}\nc:\n  <<: *x\n")
    assert (problem.line, problem.key, problem.message) == (3, "c.<<", "merge keys are not taken")


def test_an_alias_repeats_its_value(tmp_path: Path) -> None:
    """As long as it stays small."""
    assert read(tmp_path, "a: &x [1, 2]\nb: *x\n") == ({"a": [1, 2], "b": [1, 2]}, [])


def bomb() -> str:
    """Write nine levels of nine aliases each: 387 million values in 500 bytes."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("", 0, "is empty"),
        ("# only a comment\n", 0, "is empty"),
        ("- a\n", 1, "does not hold a mapping"),
        ("text\n", 1, "does not hold a mapping"),
        ("a: [\n", 2, "is not YAML (expected the node content, but found '<stream end>')"),
        ("a: b: c\n", 1, "is not YAML (mapping values are not allowed here)"),
        ("a: @b\n", 1, "is not YAML (found character '@' that cannot start any token)"),
        ("a: *nobody\n", 1, "is not YAML (found undefined alias ...)"),
        ("a: \a\n", 0, "is not YAML (a character that YAML does not allow)"),
        ("a: 1\n---\nb: 2\n", 2, "holds more than one document"),
        (bomb(), 0, "holds more than 100000 values"),
        ("a: &a [*a]\n", 0, "is nested too deep"),
        ("a: " + "[" * 700, 0, "is nested too deep"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_refused_as_a_whole(tmp_path: Path, text: str, line: int, says: str) -> None:
    """With the line where YAML stopped, where there is one."""
    found, (problem,) = read(tmp_path, text)
    assert found is None
    assert (problem.line, problem.key, problem.message) == (line, "", says)


def test_files_that_cannot_be_read_are_told_apart(tmp_path: Path) -> None:
    """Each has another remedy."""
    (tmp_path / "bytes").write_bytes(b"a: \xff\n")
    reader = NodeReader()
    for name in ("gone", ".", "bytes", "x" * 300):
        assert reader.read(tmp_path / name) is None
    assert [one.message for one in reader.problems] == [
        "does not exist", "is a directory", "is not UTF-8 (byte 3)", f"cannot be read ({os.strerror(36)})",
    ]  # fmt: skip


@given(text=st.text(alphabet="ab:-[]{}&*!|>'\"#%@,?<~0159. \n", max_size=60))
def test_no_text_takes_the_reader_down(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """A value or a problem comes out of everything."""
    found, problems = read(tmp_path_factory.getbasetemp(), text)
    assert found is not None or problems


# -- merging ------------------------------------------------------------------------------------------------


def located(value: object, file: str = "a", line: int = 1) -> Located:
    """Give a plain value a place."""
    if isinstance(value, dict):
        return Located({name: located(one, file, line) for name, one in value.items()}, file, line)
    if isinstance(value, list):
        return Located([located(one, file, line) for one in value], file, line)
    return Located(value, file, line)


@pytest.mark.parametrize(
    ("one", "other", "merged"),
    [
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}, {"a": {"b": 3, "c": 2}}),
        ({"a": {"b": 1}}, {"a": None}, {"a": None}),
        ({"a": 1}, {"a": {"b": 2}}, {"a": {"b": 2}}),
        ([1, 2], [3], [3]),
        ([{"name": "x", "v": 1}], [{"name": "x", "v": 2}], [{"name": "x", "v": 2}]),
        (
            [{"name": "x", "v": 1}],
            [{"name": "y"}, {"name": "x", "w": 3}],
            [{"name": "x", "v": 1, "w": 3}, {"name": "y"}],
        ),
        ([{"name": "x"}], [], [{"name": "x"}]),
        ([{"name": "x"}], [{"v": 1}], [{"v": 1}]),
        ([{"name": "x"}], [{"name": ["x"]}], [{"name": ["x"]}]),
        ([{"name": "x"}], [{"name": "y"}, {"name": "y"}], [{"name": "y"}, {"name": "y"}]),
        ([{"name": 5}], [{"name": "x"}], [{"name": "x"}]),
        ({"key": "k"}, {"key_file": "f"}, {"key_file": "f"}),
        ({"key_file": "f"}, {"key": "k"}, {"key": "k"}),
        ({"key_file": "f"}, {"key_file": "g"}, {"key_file": "g"}),
        ({"key": "k", "key_file": "f"}, {"a": 1}, {"key": "k", "key_file": "f", "a": 1}),
    ],
)
def test_the_later_value_wins_where_two_cannot_stand(one: object, other: object, merged: object) -> None:
    """Mappings join, lists of named things join by name, everything else is replaced."""
    found = merge(located(one), located(other, "b", 9))
    assert plain(found) == merged


def test_what_is_merged_keeps_the_place_of_each_value() -> None:
    """A mistake is told in the file that holds it."""
    found = merge(located({"a": 1, "b": {"c": 1}}), located({"b": {"d": 2}}, "b", 9)).value
    assert isinstance(found, dict)
    assert (found["a"].file, found["b"].file) == ("a", "b")
    assert {name: one.file for name, one in found["b"].value.items()} == {"c": "a", "d": "b"}


trees = st.recursive(
    st.integers() | st.none(),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3) | st.lists(inner, max_size=2),
    max_leaves=8,
)


@given(trees, trees, trees)
def test_merging_is_the_same_in_whatever_groups(one: object, two: object, three: object) -> None:
    """And merging a file with itself changes nothing."""
    a, b, c = located(one), located(two), located(three)
    assert plain(merge(a, a)) == one
    if isinstance(one, dict) and isinstance(two, dict) and isinstance(three, dict):
        assert set(plain(merge(merge(a, b), c))) == set(plain(merge(a, merge(b, c)))) == {*one, *two, *three}  # type: ignore[call-overload]  # they are mappings
    assert plain(merge(a, b)) == two or isinstance(two, dict | list)
