"""The average of a network: its parameters, and its running statistics as they are or averaged."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from structkit.training.ema import Average


@pytest.mark.parametrize("statistics", [False, True])
def test_parameters_are_averaged_and_statistics_as_asked(statistics):
    network = nn.BatchNorm1d(2)
    average = Average(network, 0.5, statistics=statistics)
    for value in (1.0, 3.0):
        nn.init.constant_(network.weight, value)
        network.running_mean.fill_(10 * value)
        network.num_batches_tracked += 1
        average.update(network)
    mean = (0.5 * 1 + 3) / 1.5
    torch.testing.assert_close(average.module.weight, torch.full((2,), mean))
    torch.testing.assert_close(average.module.running_mean, torch.full((2,), 10 * mean if statistics else 30.0))
    assert average.module.num_batches_tracked == 2
