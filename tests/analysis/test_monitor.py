import math

import pytest
import torch
from torch import nn

from signbit.analysis import FlipRates, Monitor
from signbit.nn import BinaryLinear


def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(BinaryLinear(4, 5), nn.BatchNorm1d(5), BinaryLinear(5, 2))


def step(optimizer: torch.optim.Optimizer, weight: nn.Parameter, flips: int) -> None:
    """An optimizer's step that changes the sign of the first `flips` weights."""
    optimizer.zero_grad()
    weight.grad = torch.zeros_like(weight)
    weight.grad.view(-1)[:flips] = 2 * weight.detach().view(-1)[:flips]
    optimizer.step()


def test_the_average_is_over_the_watched_steps() -> None:
    network = model()
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    monitor = Monitor(network, optimizer, every=1)
    step(optimizer, network[0].weight, 6)
    step(optimizer, network[0].weight, 2)
    rates = monitor.read()
    assert rates is not None
    assert rates.layers == {"0.weight": pytest.approx(4 / 20), "2.weight": 0.0}
    assert rates.total == pytest.approx(4 / 30)
    assert monitor.read() is None


def test_only_every_so_many_steps_are_watched() -> None:
    network = model()
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    monitor = Monitor(network, optimizer, every=3)
    for flips in (3, 20, 20, 5, 20):
        step(optimizer, network[0].weight, flips)
    rates = monitor.read()
    assert rates is not None
    assert rates.layers["0.weight"] == pytest.approx((3 + 5) / 2 / 20)
    monitor.remove()
    for flips in (1, 1, 1, 1):
        step(optimizer, network[0].weight, flips)
    assert monitor.read() is None


def test_pi_of_the_paper() -> None:
    assert FlipRates(0.0, {}).pi == pytest.approx(-9)
    assert FlipRates(1e-3, {}).pi == pytest.approx(-6.791387, abs=1e-6)
    assert FlipRates(1.0, {}).pi == pytest.approx(math.log(1 + math.exp(-9)))
