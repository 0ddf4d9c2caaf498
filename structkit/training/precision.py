"""The numbers that networks compute in.

Weights, optimisers and losses stay float32; convolutions and products may take bfloat16.
"""

from __future__ import annotations

import torch
from torch import Tensor

from structkit.errors import OptionError

# Instructions of processors; elsewhere bfloat16 is emulated, which takes many times as long as float32.
NATIVE = ("avx512_bf16", "amx_bf16")


def precision(name: str, device: str) -> torch.dtype:
    """The type of the networks' arithmetic.

    name: float32, bfloat16, or auto: bfloat16 where the device computes in it (twice as fast), else float32.  float16
    is not offered: it needs its losses scaled.
    Raises OptionError.
    """
    if name not in ("auto", "float32", "bfloat16"):
        raise OptionError(f"--dtype is {name!r}: choose auto, float32 or bfloat16")
    if name == "auto":
        on_cuda = torch.device(device).type == "cuda"
        native = torch.cuda.is_bf16_supported(including_emulation=False) if on_cuda else _native()
        name = "bfloat16" if native else "float32"
    return getattr(torch, name)


def arithmetic(tensor: Tensor, dtype: torch.dtype) -> torch.autocast:
    """A context in which networks compute in `dtype`, float32 or bfloat16, on the tensor's device."""
    return torch.autocast(tensor.device.type, torch.bfloat16, enabled=dtype == torch.bfloat16)


def _native() -> bool:
    """True if PyTorch computes in bfloat16 on this processor.

    False for one that is held to less than it has (ATEN_CPU_CAPABILITY=avx2).
    """
    if torch.backends.cpu.get_cpu_capability() != "AVX512":
        return False
    if hasattr(torch.cpu, "get_capabilities"):
        return any(torch.cpu.get_capabilities().get(name) for name in NATIVE)
    # An older PyTorch has no public name for it.
    return bool(getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)())
