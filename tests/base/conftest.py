"""What the tests of the configuration share: files in a folder, and the mistakes that are found in them."""

from pathlib import Path

import pytest
from hypothesis import settings

from gateway.base.config import Settings
from gateway.base.errors import ConfigError, Problem
from gateway.base.loader import load

# how long an example takes on a busy machine proves nothing
settings.register_profile("no_clock", deadline=None)
settings.load_profile("no_clock")

GOOD = """\
clients:
  - name: shop
    username: user
    password: correct horse
wallets:
  main:
    backends:
      - name: ec-1
        url: http://127.0.0.1:17771
      - name: ec-2
        url: http://127.0.0.1:17772
"""


class Folder:
    """A folder of configuration files."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, name: str, text: str) -> Path:
        """Write one file."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def load(self, *texts: str, **environ: str) -> Settings:
        """Load texts as files that merge."""
        return load([self.write(f"{place}.yaml", text) for place, text in enumerate(texts)], environ)

    def problems(self, *texts: str, **environ: str) -> list[Problem]:
        """Load texts that have mistakes."""
        with pytest.raises(ConfigError) as caught:
            self.load(*texts, **environ)
        found = caught.value.problems
        assert all(problem.message and problem.remedy for problem in found)
        return found

    def told(self, *texts: str, **environ: str) -> list[tuple[str, int, str]]:
        """Return file, line and key of the mistakes."""
        return [(Path(one.file).name, one.line, one.key) for one in self.problems(*texts, **environ)]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Return an empty folder."""
    return Folder(tmp_path)


@pytest.fixture
def good() -> str:
    """Return a text without a mistake."""
    return GOOD
