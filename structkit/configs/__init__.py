"""The configuration of every engine: the only place where a default lives.

Free of torch, so that the command line can print its help and its usage errors without loading it.  The command line
makes one option of each field (name, default, help, limits), and `--config` and the documentation come from the same
fields.
"""

from structkit.configs.base import LEAST_SIDE, MAX_SIDE, MOST_SIDE, Config, of_preset, option
from structkit.configs.content import NO_DONOR, ContentConfig, MaskConfig
from structkit.configs.difference import DIFFERENCE_PRESETS, DifferenceConfig
from structkit.configs.pair import PAIR_MODES, PAIR_PRESETS, PairConfig, PairResultConfig
from structkit.configs.patch import AnalogyConfig, PatchConfig, RefineConfig, RetargetConfig, SampleConfig
from structkit.configs.transfer import TRANSFER_PRESETS, TransferConfig

__all__ = [
    "DIFFERENCE_PRESETS",
    "LEAST_SIDE",
    "MAX_SIDE",
    "MOST_SIDE",
    "NO_DONOR",
    "PAIR_MODES",
    "PAIR_PRESETS",
    "TRANSFER_PRESETS",
    "AnalogyConfig",
    "Config",
    "ContentConfig",
    "DifferenceConfig",
    "MaskConfig",
    "PairConfig",
    "PairResultConfig",
    "PatchConfig",
    "RefineConfig",
    "RetargetConfig",
    "SampleConfig",
    "TransferConfig",
    "of_preset",
    "option",
]
