"""The configuration of every engine: the only place where a default lives.

Free of torch, so that the command line can print its help and its usage errors without loading it.  The command line
makes one option of each field (name, default, help, limits), and `--config` and the documentation come from the same
fields.
"""

from structkit.configs.action import ActionConfig
from structkit.configs.base import LEAST_SIDE, MAX_CLIP_SIDE, MAX_SIDE, MOST_SIDE, Config, of_preset, option
from structkit.configs.clips import LEAST_FRAMES, ClipCourse
from structkit.configs.content import NO_DONOR, ContentConfig, MaskConfig
from structkit.configs.difference import DIFFERENCE_PRESETS, DifferenceConfig
from structkit.configs.genvideo import GENVIDEO_PRESETS, GENVIDEO_VARIANTS, GenvideoConfig, GenvideoResultConfig
from structkit.configs.labels import CLASSIFIER_PRESETS, ClassifierConfig
from structkit.configs.media import MAX_FRAME_PIXELS, MAX_PIXELS, PICTURE_QUALITY, VIDEO_QUALITY, millions
from structkit.configs.pair import INJECTED_BELOW, PAIR_MODES, PAIR_PRESETS, PairConfig, PairResultConfig
from structkit.configs.patch import (
    MOST_GUIDE_WEIGHT,
    AnalogyConfig,
    ClipConfig,
    PatchConfig,
    RefineConfig,
    RetargetConfig,
    SampleConfig,
    guide_weights,
)
from structkit.configs.score import PROBED, STEADY, TOLERANCE
from structkit.configs.segmenter import ADAPTATIONS, SEGMENTER_PRESETS, SegmenterConfig
from structkit.configs.speednet import SPEEDNET_PRESETS, SpeedNetConfig
from structkit.configs.speedup import (
    HEATMAP_KINDS,
    NO_FACTORS,
    NO_SPEEDUP_MODEL,
    SPEECH_SPEED,
    SPEEDUP_METHODS,
    SPEEDUP_MODEL,
    SPEEDUP_RATE,
    RetimeConfig,
    SpeedCurveConfig,
)
from structkit.configs.transfer import TRANSFER_PRESETS, TransferConfig

__all__ = [
    "ADAPTATIONS",
    "CLASSIFIER_PRESETS",
    "DIFFERENCE_PRESETS",
    "GENVIDEO_PRESETS",
    "GENVIDEO_VARIANTS",
    "HEATMAP_KINDS",
    "INJECTED_BELOW",
    "LEAST_FRAMES",
    "LEAST_SIDE",
    "MAX_CLIP_SIDE",
    "MAX_FRAME_PIXELS",
    "MAX_PIXELS",
    "MAX_SIDE",
    "MOST_GUIDE_WEIGHT",
    "MOST_SIDE",
    "NO_DONOR",
    "NO_FACTORS",
    "NO_SPEEDUP_MODEL",
    "PAIR_MODES",
    "PAIR_PRESETS",
    "PICTURE_QUALITY",
    "PROBED",
    "SEGMENTER_PRESETS",
    "SPEECH_SPEED",
    "SPEEDNET_PRESETS",
    "SPEEDUP_METHODS",
    "SPEEDUP_MODEL",
    "SPEEDUP_RATE",
    "STEADY",
    "TOLERANCE",
    "TRANSFER_PRESETS",
    "VIDEO_QUALITY",
    "ActionConfig",
    "AnalogyConfig",
    "ClassifierConfig",
    "ClipConfig",
    "ClipCourse",
    "Config",
    "ContentConfig",
    "DifferenceConfig",
    "GenvideoConfig",
    "GenvideoResultConfig",
    "MaskConfig",
    "PairConfig",
    "PairResultConfig",
    "PatchConfig",
    "RefineConfig",
    "RetargetConfig",
    "RetimeConfig",
    "SampleConfig",
    "SegmenterConfig",
    "SpeedCurveConfig",
    "SpeedNetConfig",
    "TransferConfig",
    "guide_weights",
    "millions",
    "of_preset",
    "option",
]
