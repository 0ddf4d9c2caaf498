"""Analogies that take less time: from a few of their drafts."""

import pytest

from structkit.engines.patch import analogy
from structkit.engines.patch.draft_ways import drafts_of


@pytest.fixture
def few_drafts(monkeypatch):
    """Every fourth of the drafts of an analogy, all of which are made alike: for laws that hold for any of them."""
    monkeypatch.setattr(analogy, "drafts_of", lambda config, shape: drafts_of(config, shape)[::4])
