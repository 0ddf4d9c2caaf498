"""Where CUDA is absent, Triton kernels run through Triton's interpreter.

It must be chosen before triton is first imported, which torchvision does too: here, so that no order of collection is too late.
"""

import os

import torch

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"
