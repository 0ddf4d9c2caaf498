"""Permuted AdaIN beside its published form and beside batch normalisation; and what it adds to a training step.

The active call: forward alone, and with the gradient, in both layouts and in float32 and bfloat16.
The step: ResNet50 at p = 0.01 beside the network as it is, in the mean over plans; `counted` is the same from the calls
that such plans make, each with the time of its own call beside that of the whole step.

python tests/benchmarks/bench_adain.py [--repeat 15] [--threads 2]
"""

from __future__ import annotations

import statistics
import time

import torch
import torchvision
from measure import options, record, side_by_side
from torch import Tensor, nn

from structkit.engines.padain.layer import disabled, insert_padain
from structkit.kernels.adain import permuted_adain, permuted_adain_reference

SHAPES = ((32, 64, 32, 32), (128, 64, 8, 8), (32, 2048, 7, 7))
LAYOUTS = {"contiguous": torch.contiguous_format, "channels last": torch.channels_last}


def main() -> None:
    chosen = options(__doc__)
    for shape in SHAPES:
        for layout, order in LAYOUTS.items():
            for dtype in (torch.float32, torch.bfloat16):
                for backward in (False, True):
                    record(__file__, active_call(shape, layout, order, dtype, backward, chosen.repeat))
    for layout in LAYOUTS:
        record(__file__, training_step(layout, 8, 64, chosen.repeat))


def active_call(shape: tuple, layout: str, order: torch.memory_format, dtype: torch.dtype, backward: bool, repeat: int):
    """Rows of one call that swaps, of the published form, and of batch normalisation."""
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(dtype).contiguous(memory_format=order)
    slope, index = torch.randn_like(x), torch.randperm(len(x), generator=torch.Generator().manual_seed(1))
    norm = nn.BatchNorm2d(shape[1])  # float32 weights, as under autocast
    calls = {
        "structkit": lambda y: permuted_adain(y, index),
        "published form": lambda y: permuted_adain_reference(y, index),
        "batch normalisation": norm,
    }

    def timed_call(call) -> object:
        if not backward:
            with torch.no_grad():
                return call(x)
        own = x.detach().requires_grad_()
        return call(own).backward(slope)

    found = side_by_side({name: (lambda c=call: timed_call(c)) for name, call in calls.items()}, repeat)
    size = " x ".join(map(str, shape))
    what = f"{size}, {layout}, {str(dtype).removeprefix('torch.')}, {'forward and gradient' if backward else 'forward'}"
    least = float(found["batch normalisation"]["cpu_ms"])
    return [
        {"case": what, "path": name} | numbers | {"times": f"{float(numbers['cpu_ms']) / least:.2f}"}
        for name, numbers in found.items()
    ]


def training_step(layout: str, batch: int, side: int, repeat: int) -> list[dict[str, str]]:
    """Rows of a step of ResNet50 with the layer off and on, and what its calls add by themselves."""
    torch.manual_seed(0)
    model = torchvision.models.resnet50(num_classes=100).to(memory_format=LAYOUTS[layout])
    handles = insert_padain(model)
    pictures = torch.randn(batch, 3, side, side).contiguous(memory_format=LAYOUTS[layout])
    labels, optimiser = torch.randint(100, (batch,)), torch.optim.SGD(model.parameters(), 0.01, 0.9)

    def step() -> None:
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(pictures), labels).backward()
        optimiser.step()

    def without() -> None:
        with disabled(model):
            step()

    maps = {}
    hooks = [
        model.get_submodule(name).register_forward_hook(lambda m, i, y, n=name: maps.update({n: y.detach()}))
        for name in handles.names
    ]
    without()
    for hook in hooks:
        hook.remove()
    found = side_by_side({"without": without, "p = 0.01": step}, repeat)
    whole = float(found["without"]["cpu_ms"])
    calls = sum(one_call(y) for y in maps.values())  # all places once: p of it is what a step has in the mean
    rows = [{"path": path} | numbers for path, numbers in found.items()]
    rows.append({"path": "counted: calls of a step"} | dict.fromkeys(found["without"], f"{handles.p * calls:.2f}"))
    for row in rows:
        row["times"] = f"{float(row['cpu_ms']) / whole:.4f}"
    return [{"case": f"step of ResNet50, {batch} x {side} px, {layout}"} | row for row in rows]


def one_call(y: Tensor) -> float:
    """Median CPU milliseconds of a swap of these maps, forward and gradient."""
    index, slope, spent = torch.randperm(len(y)), torch.randn_like(y), []
    for _ in range(7):
        own = y.clone().requires_grad_()
        start = time.process_time()
        permuted_adain(own, index).backward(slope)
        spent.append(time.process_time() - start)
    return 1000 * statistics.median(spent)


if __name__ == "__main__":
    main()
