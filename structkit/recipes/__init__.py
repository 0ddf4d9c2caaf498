"""The trainings, from the pictures and videos of a user to a checkpoint: one file for each kind of training data.

Free of torch: a recipe is loaded when it is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from structkit.models import KINDS, named_object

if TYPE_CHECKING:
    from structkit.recipes.run import Recipe


def recipe(training: str) -> Recipe:
    """The recipe of `structkit train TRAINING`.  Raises KeyError for a name that there is not."""
    kinds = {kind.training: kind for kind in KINDS.values()}
    return named_object(kinds[training].recipe)
