"""The trainings, from the pictures and videos of a user to a checkpoint: one file for each kind of training data.

Free of torch: a recipe is loaded when it is first asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from structkit.recipes.run import Recipe

RECIPES = {"analogy": "pair.PAIR", "transfer": "domains.TRANSFER", "difference": "domains.DIFFERENCE"}


def recipe(name: str) -> Recipe:
    """The recipe of `structkit train NAME`.  Raises KeyError for a name that there is not."""
    module, _, recipe = RECIPES[name].rpartition(".")
    return getattr(importlib.import_module(f"structkit.recipes.{module}"), recipe)
