"""Settings of the care of backends: a launcher and a sink keep the keys that they alone know."""

import pytest
from pydantic import ValidationError

from gateway.base.care import Launcher, Preventive, Sink


def test_keys_that_a_kind_alone_knows_are_kept_as_they_were_written() -> None:
    """Beside those that all kinds share, which are not among them."""
    assert Launcher.model_validate({"kind": "docker", "container": "ec-1", "timeout": 3}).own == {"container": "ec-1"}
    assert Sink.model_validate({"name": "pager", "kind": "webhook", "url": "http://h"}).own == {"url": "http://h"}
    assert Launcher(kind="command").own == {}


def test_a_share_of_memory_is_above_nothing_and_at_most_all() -> None:
    """Off is to leave it out."""
    assert Preventive().memory_share is None
    for wrong in (0, 1.5, "0.5", True):
        with pytest.raises(ValidationError):
            Preventive.model_validate({"memory_share": wrong})
