"""structkit: manipulate structure in pictures and clips.

The verbs of the command line, as functions.  A picture is a path or a `structkit.media.pictures.Picture`; options are
the fields of the verb's configuration in `structkit.configs`, with the same names, defaults and limits as on the
command line.

>>> import structkit
>>> [result] = structkit.analogy("house.png", "cake.png", strength=0.7)
>>> structkit.write_picture(result, "house-of-cake.png")

A trained model is a checkpoint: a `train_` function writes it, `load` reads it, and the verb takes it as its `model`.

>>> pair = structkit.train_analogy("house.png", "cake.png", "pair.safetensors", minutes=20)
>>> results = structkit.analogy(model=pair, count=4)

Each function stands, with its documentation, in the module that carries it out; nothing is loaded before it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from structkit._version import __version__

if TYPE_CHECKING:
    from structkit.engines.padain.layer import PermutedAdaIN, insert_padain
    from structkit.kernels.adain import adain
    from structkit.media.moving_pictures import read_clip, write_clip
    from structkit.media.pictures import read_picture, write_picture
    from structkit.models import load
    from structkit.recipes.action import train_action
    from structkit.recipes.domains import train_difference, train_transfer
    from structkit.recipes.genvideo import train_genvideo
    from structkit.recipes.labels import train_classifier
    from structkit.recipes.pair import train_analogy
    from structkit.recipes.segmenter import train_segmenter
    from structkit.recipes.speednet import train_speednet
    from structkit.verbs.analogy_video import analogy_video
    from structkit.verbs.classify import classify
    from structkit.verbs.content import remove, segment, transfer
    from structkit.verbs.corrupt import corrupt
    from structkit.verbs.genvideo import genvideo
    from structkit.verbs.heatmap import heatmap
    from structkit.verbs.patchwork import analogy, analogy_drafts, refine, retarget, sample
    from structkit.verbs.robustness import score_corruptions
    from structkit.verbs.similar import similar
    from structkit.verbs.speedup import speed_curve, speedup
    from structkit.verbs.texture import score_texture

__all__ = [
    "PermutedAdaIN",
    "__version__",
    "adain",
    "analogy",
    "analogy_drafts",
    "analogy_video",
    "classify",
    "corrupt",
    "genvideo",
    "heatmap",
    "insert_padain",
    "load",
    "read_clip",
    "read_picture",
    "refine",
    "remove",
    "retarget",
    "sample",
    "score_corruptions",
    "score_texture",
    "segment",
    "similar",
    "speed_curve",
    "speedup",
    "train_action",
    "train_analogy",
    "train_classifier",
    "train_difference",
    "train_genvideo",
    "train_segmenter",
    "train_speednet",
    "train_transfer",
    "transfer",
    "write_clip",
    "write_picture",
]

_MODULES = {
    "PermutedAdaIN": "engines.padain.layer",
    "adain": "kernels.adain",
    "analogy": "verbs.patchwork",
    "analogy_drafts": "verbs.patchwork",
    "analogy_video": "verbs.analogy_video",
    "classify": "verbs.classify",
    "corrupt": "verbs.corrupt",
    "genvideo": "verbs.genvideo",
    "heatmap": "verbs.heatmap",
    "insert_padain": "engines.padain.layer",
    "load": "models",
    "read_clip": "media.moving_pictures",
    "read_picture": "media.pictures",
    "refine": "verbs.patchwork",
    "remove": "verbs.content",
    "retarget": "verbs.patchwork",
    "sample": "verbs.patchwork",
    "score_corruptions": "verbs.robustness",
    "score_texture": "verbs.texture",
    "segment": "verbs.content",
    "similar": "verbs.similar",
    "speed_curve": "verbs.speedup",
    "speedup": "verbs.speedup",
    "train_action": "recipes.action",
    "train_analogy": "recipes.pair",
    "train_classifier": "recipes.labels",
    "train_difference": "recipes.domains",
    "train_genvideo": "recipes.genvideo",
    "train_segmenter": "recipes.segmenter",
    "train_speednet": "recipes.speednet",
    "train_transfer": "recipes.domains",
    "transfer": "verbs.content",
    "write_clip": "media.moving_pictures",
    "write_picture": "media.pictures",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(f"structkit.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'structkit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
