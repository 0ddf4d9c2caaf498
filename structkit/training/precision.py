"""The numbers that networks compute in.  Weights, optimisers and losses stay float32; convolutions and products may take bfloat16."""

from __future__ import annotations

import torch
from torch import Tensor

from structkit.errors import OptionError

NATIVE = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # of torch.cpu: where bfloat16 is not emulated

WITHOUT = ("DEFAULT", "NO AVX", "AVX2")  # what PyTorch may use of a processor, where that leaves bfloat16 out


def precision(name: str, device: str) -> torch.dtype:
    """Of the networks' arithmetic.

    name: float32, bfloat16, or auto: bfloat16 where the device computes in it (twice as fast), else float32.  float16 is not offered: it
    needs its losses scaled.  Raises OptionError.
    """
    if name not in ("auto", "float32", "bfloat16"):
        raise OptionError(f"--dtype is {name!r}: choose auto, float32 or bfloat16")
    if name == "auto":
        on_cuda = torch.device(device).type == "cuda"
        native = torch.cuda.is_bf16_supported(including_emulation=False) if on_cuda else _has_bfloat16()
        name = "bfloat16" if native else "float32"
    return getattr(torch, name)


def arithmetic(tensor: Tensor, dtype: torch.dtype) -> torch.autocast:
    """A context in which networks compute in `dtype`, float32 or bfloat16, on the tensor's device."""
    return torch.autocast(tensor.device.type, torch.bfloat16, enabled=dtype == torch.bfloat16)


def _has(test: str) -> bool:
    """One of PyTorch's tests of the processor; False in a version that lacks it."""
    return bool(getattr(torch.cpu, test, lambda: False)())


def _has_bfloat16() -> bool:
    """Whether the processor computes in it, and PyTorch may use what it has: ATEN_CPU_CAPABILITY takes it away."""
    return torch.backends.cpu.get_cpu_capability() not in WITHOUT and any(_has(test) for test in NATIVE)
