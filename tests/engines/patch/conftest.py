"""Analogies that take less time: from a few of their drafts."""

from collections.abc import Iterator

import pytest

from structkit.engines.patch import analogy
from structkit.engines.patch.draft_ways import drafts_of


@pytest.fixture(scope="module")
def few_drafts() -> Iterator[None]:
    """Every fourth of the drafts of an analogy, all of which are made alike: for laws that hold for any of them.

    The whole file has them, and so what its tests share too.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(analogy, "drafts_of", lambda config, shape: drafts_of(config, shape)[::4])
        yield
