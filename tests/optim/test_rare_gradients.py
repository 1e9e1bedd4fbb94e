"""A coordinate that rarely has a gradient: Adam travels much farther in it than SGD does (specs/optimizers.md §4.5)."""

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam

from signbit.optim import Latent

PERIODS = (1, 4, 16, 64)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda weights: Adam(weights, lr=1e-5, betas=(0.9, 0.999)), (0.49995, 0.24969, 0.12349)),
        (lambda weights: SGD(weights, lr=1e-6, momentum=0.9), (0.24998, 0.06247, 0.01561)),
    ],
    ids=["adam", "sgd"],
)
def test_share_of_the_distance_with_a_gradient_at_every_kth_step(make, expected):
    weight = nn.Parameter(torch.zeros(len(PERIODS), dtype=torch.float64))
    optimizer = Latent(make([weight]))
    for step in range(1, 20_001):
        weight.grad = torch.tensor([float(step % period == 0) for period in PERIODS], dtype=torch.float64)
        optimizer.step()
    assert -1 < weight[0].item() < 0
    shares = (weight[1:] / weight[0]).tolist()
    assert shares == pytest.approx(expected, abs=1e-5)
