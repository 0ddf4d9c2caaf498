"""A step as one CUDA graph: its hundreds of kernels are launched at once, and small networks wait for launches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

Update = Callable[[Sequence[Tensor]], Mapping[str, Tensor]]


class GraphedStep:
    """An update of networks, recorded once and replayed.

    update: from tensors, always of the same shapes, to tensors.  An update may change, in place, the parameters of
    `optimisers` (which must be capturable) and the buffers of `networks`, and nothing else; it must not look at values.
    """

    def __init__(
        self,
        update: Update,
        inputs: Sequence[Tensor],
        optimisers: Sequence[Optimizer],
        networks: Sequence[nn.Module] = (),
    ):
        self.inputs = [tensor.clone() for tensor in inputs]
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside), undone(optimisers, networks):
            for _ in range(3):  # what is allocated and chosen in the first calls must not be part of the recording
                update(self.inputs)
        torch.cuda.current_stream().wait_stream(beside)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.outputs = update(self.inputs)

    def __call__(self, inputs: Sequence[Tensor]) -> dict[str, Tensor]:
        for own, given in zip(self.inputs, inputs, strict=True):
            own.copy_(given)
        self.graph.replay()
        return {name: value.clone() for name, value in self.outputs.items()}


@contextmanager
def undone(optimisers: Sequence[Optimizer], networks: Sequence[nn.Module] = ()) -> Iterator[None]:
    """A context whose end puts back parameters and the memory of optimisers, and the buffers of networks, in place.

    State that optimisers did not remember before becomes zero.
    """
    changing = [p for o in optimisers for group in o.param_groups for p in group["params"]]
    changing += [buffer for network in networks for buffer in network.buffers()]
    before = [tensor.detach().clone() for tensor in changing]
    remembered = {id(t): t.clone() for t in _memory(optimisers)}
    yield
    with torch.no_grad():
        for tensor, value in zip(changing, before, strict=True):
            tensor.copy_(value)
        for tensor in _memory(optimisers):
            tensor.copy_(remembered[id(tensor)]) if id(tensor) in remembered else tensor.zero_()
    for optimiser in optimisers:
        optimiser.zero_grad(set_to_none=True)


def _memory(optimisers: Sequence[Optimizer]) -> Iterator[Tensor]:
    for optimiser in optimisers:
        for state in optimiser.state.values():
            yield from (value for value in state.values() if isinstance(value, Tensor))
