"""The numbers that a training computes in.  Weights, optimisers and losses stay float32; convolutions and products may take bfloat16."""

from __future__ import annotations

import torch

from structkit.errors import OptionError


def precision(device: str, dtype: str = "auto") -> torch.autocast:
    """A context for the forward passes of a step.

    dtype: float32, bfloat16, or auto: bfloat16 on a CUDA device that has it, else float32.  On CPUs bfloat16 is fast where the processor
    has it (avx512_bf16, amx) and slow elsewhere: that is for the engine to say.  float16 is not offered: it needs its losses scaled.
    Raises OptionError.
    """
    if dtype not in ("auto", "float32", "bfloat16"):
        raise OptionError(f"--dtype {dtype}: choose auto, float32 or bfloat16")
    kind = torch.device(device).type
    if dtype == "auto":
        dtype = "bfloat16" if kind == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    return torch.autocast(kind, torch.bfloat16, enabled=dtype == "bfloat16")
