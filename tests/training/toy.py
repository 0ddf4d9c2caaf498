"""The smallest training that has all that a real one has: two stages, a frozen network, Adam, noise, dropout, an
average.

As a program: `python toy.py OUT`, also under torchrun.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from structkit.configs import Config, option
from structkit.training.draw import Draw
from structkit.training.ema import Average
from structkit.training.loop import train
from structkit.training.meeting import joined
from structkit.training.model import Model
from structkit.training.stages import Stage, Training
from structkit.training.state import pack, unpack

STEPS = (23, 20)
RUN = {"config": {"width": 4}, "inputs": {"a.png": "00ff"}}


@dataclass(frozen=True)
class ToyConfig(Config):
    width: int = option(4, "hidden units", low=1, high=64)


class Toy(Model):
    """A sum of small networks, one for each stage."""

    kind = "toy"
    config_class = ToyConfig

    def __init__(self, config: ToyConfig, parts: int) -> None:
        super().__init__(config)
        self.parts = nn.ModuleList(small_network(config.width) for _ in range(parts))

    def facts(self) -> dict[str, Any]:
        return {"parts": len(self.parts)}

    def forward(self, x: Tensor) -> Tensor:
        return sum(part(x) for part in self.parts)


def small_network(width: int, dropout: float = 0.0) -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, width), nn.Tanh(), nn.Dropout(dropout), nn.Linear(width, 1))


class ToyTraining(Training):
    model_class = Toy

    def __init__(
        self, steps: tuple[int, ...] = STEPS, *, batch: int = 8, dropout: float = 0.2, seconds: float | None = None
    ) -> None:
        self.stages = [Stage(name, n, seconds) for name, n in zip(("coarse", "fine"), steps, strict=False)]
        self.device, self.config, self.batch, self.dropout = "cpu", ToyConfig(), batch, dropout
        self.finished: list[nn.Module] = []

    def begin(self, stage: int, draw: Draw) -> None:
        if stage:
            self.finished.append(self.average.module)
        self._build()

    def _build(self) -> None:
        self.network = small_network(
            self.config.width, self.dropout
        )  # its initial weights are drawn without a generator
        self.adam = torch.optim.Adam(self.network.parameters(), 0.01)
        self.average = Average(self.network, 0.9)

    def step(self, draw: Draw) -> Mapping[str, Tensor]:
        x = self.processes.share(torch.randn(self.batch, 2, generator=draw.generator("batch")))
        known = sum((part(x) for part in self.finished), torch.zeros(len(x), 1))
        error = (self.network(x) + known - x.prod(1, keepdim=True)).square().mean()
        self.processes.descend(self.adam, error)
        self.average.update(self.network)
        losses = {"error": error, "size": self.network[0].weight.abs().mean()}
        return losses if draw.step % 3 else {**losses, "rare": error * 2}

    def _parts(self) -> dict[str, Any]:
        finished = {f"finished{i}": part for i, part in enumerate(self.finished)}
        return {"network": self.network, "adam": self.adam, "average": self.average, **finished}

    def state(self) -> dict[str, Tensor]:
        return pack(**self._parts())

    def restore(self, stage: int, state: Mapping[str, Tensor]) -> None:
        self.finished = [small_network(self.config.width) for _ in range(stage)]
        self._build()
        unpack(state, **self._parts())

    def preview(self, draw: Draw) -> Tensor:
        torch.rand(3)  # careless, and without an effect on later steps
        return torch.zeros(1, 3, 4, 4)

    def model(self) -> Toy:
        model = Toy(self.config, len(self.finished) + 1)
        for part, trained in zip(model.parts, [*self.finished, self.average.module], strict=True):
            part.load_state_dict(trained.state_dict())
        return model


class Mortal(ToyTraining):
    """It kills its process in the midst of an update, counted over the stages."""

    def __init__(self, update: int, **options: Any) -> None:
        super().__init__(**options)
        self.update = update

    def step(self, draw: Draw) -> Mapping[str, Tensor]:
        losses = super().step(draw)
        if draw.stage * STEPS[0] + draw.step == self.update:
            os.kill(os.getpid(), signal.SIGKILL)
        return losses


def trained(output: str, training: ToyTraining) -> None:
    """Train in the processes that the environment names."""
    torch.set_num_threads(1)
    with joined("cpu") as (processes, _):
        train(training, output, seed=5, run=RUN, processes=processes, save_every=0)


def free_port() -> int:
    """A port of this machine at which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def forked(*works: Callable[[], None], port: int | None = None) -> list[int]:
    """Do each work in a process of its own, all at once, with what torchrun would say to them; their exit codes.

    port: of the store where they meet, which this process serves, as torchrun's launcher does; None: the first serves.
    Only for a program that has computed nothing yet: threads do not survive a fork.
    """
    import torch._dynamo  # noqa: F401  what optimisers load takes seconds: once is enough

    served, port = port is not None, port or free_port()
    children = []
    for rank, work in enumerate(works):
        if not (child := os.fork()):
            where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "RANK": str(rank), "LOCAL_RANK": str(rank)}
            os.environ.update(where, WORLD_SIZE=str(len(works)), TORCHELASTIC_USE_AGENT_STORE=str(served))
            code = 1
            try:
                work()
                code = 0
            except BaseException as error:
                os.write(2, f"{rank}: {type(error).__name__}: {error}\n".encode())  # in one piece
            finally:
                os._exit(code)
        children.append(child)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


if __name__ == "__main__":
    trained(sys.argv[1], ToyTraining(dropout=0))
