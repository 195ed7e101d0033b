"""A daemon that looks into a file for its seed."""

from pathlib import Path

from chaos.seeded import with_seed


def test_a_file_replaces_the_seed_as_long_as_it_is_there(tmp_path: Path) -> None:
    """Everything else stays as it was."""
    file = tmp_path / "seed"
    arguments = ["1", "folder", "0", "--port=7", "--seed=right"]
    assert with_seed(arguments, file) == arguments
    file.write_text("wrong", encoding="utf-8")
    assert with_seed(arguments, file) == ["1", "folder", "0", "--port=7", "--seed=wrong"]
