import math
from functools import partial

import pytest
import torch
from torch import nn

from signbit.analysis import Monitor, Movement, Shares
from signbit.nn import BinaryLinear
from signbit.optim import Bop, Hybrid


def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(BinaryLinear(4, 5), nn.BatchNorm1d(5), BinaryLinear(5, 2))


def step(optimizer: torch.optim.Optimizer, weight: nn.Parameter, flips: int) -> None:
    """An optimizer's step that changes the sign of the first `flips` weights."""
    optimizer.zero_grad()
    weight.grad = torch.zeros_like(weight)
    weight.grad.view(-1)[:flips] = 2 * weight.detach().view(-1)[:flips]
    optimizer.step()


def read(monitor: Monitor) -> Movement:
    movement = monitor.read()
    assert movement is not None
    return movement


def test_the_average_is_over_the_watched_steps() -> None:
    network = model()
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    monitor = Monitor(network, optimizer, every=1)
    step(optimizer, network[0].weight, 6)
    step(optimizer, network[0].weight, 2)
    movement = read(monitor)
    assert movement.flips.layers == {"0.weight": pytest.approx(4 / 20), "2.weight": 0.0}
    assert movement.flips.total == pytest.approx(4 / 30)
    assert movement.dead_zone is None
    assert monitor.read() is None


def test_only_every_so_many_steps_are_watched() -> None:
    network = model()
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    monitor = Monitor(network, optimizer, every=3)
    for flips in (3, 20, 20, 5, 20):
        step(optimizer, network[0].weight, flips)
    assert read(monitor).flips.layers["0.weight"] == pytest.approx((3 + 5) / 2 / 20)
    monitor.remove()
    for flips in (1, 1, 1, 1):
        step(optimizer, network[0].weight, flips)
    assert monitor.read() is None


def test_the_initial_signs_are_those_of_the_beginning_whenever_it_is_read() -> None:
    network = model()
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    monitor = Monitor(network, optimizer, every=1)
    for flips, kept in ((0, 20), (8, 12), (3, 15)):  # the third step turns three of the eight back
        step(optimizer, network[0].weight, flips)
        initial = read(monitor).initial
        assert initial == Shares((kept + 10) / 30, {"0.weight": kept / 20, "2.weight": 1.0})
        monitor.restart()


def test_the_dead_zone_is_that_of_the_latent_free_member() -> None:
    network = model()
    optimizer = Hybrid(network, binary=partial(Bop, lr=1.0, threshold=0.5), real=partial(torch.optim.SGD, lr=0.1))
    monitor = Monitor(network, optimizer, every=1)
    weight = network[0].weight
    for wish in (0.4, 0.6):  # the first is refused, the second flips half of the layer
        weight.grad = torch.zeros_like(weight)
        weight.grad.view(-1)[:10] = wish * weight.detach().view(-1)[:10]
        optimizer.step()
    movement = read(monitor)
    assert movement.dead_zone == Shares(5 / 20, {"0.weight": 5 / 20})
    assert movement.flips.layers["0.weight"] == 5 / 20


def test_weights_that_the_model_does_not_have_are_passed_over() -> None:
    network, other = BinaryLinear(3, 2, bias=False), nn.Parameter(torch.ones(4))
    with torch.no_grad():
        network.weight.fill_(1.0)
    optimizer = Bop([network.weight, other], lr=1.0, threshold=0.5)
    monitor = Monitor(network, optimizer)
    for weight in (network.weight, other):
        weight.grad = torch.full_like(weight, 0.4)
    optimizer.step()
    assert read(monitor).dead_zone == Shares(1.0, {"weight": 1.0})


def test_a_monitor_goes_on_where_another_stopped() -> None:
    whole, broken = model(), model()
    steps = (3, 20, 7, 5, 20, 1, 2)
    optimizers = [torch.optim.SGD(network.parameters(), lr=1.0) for network in (whole, broken)]
    monitors = [Monitor(network, optimizer, every=2) for network, optimizer in zip((whole, broken), optimizers)]
    for index, flips in enumerate(steps):
        for network, optimizer in zip((whole, broken), optimizers):
            step(optimizer, network[0].weight, flips)
        if index == 3:
            saved = monitors[1].state_dict()
            monitors[1].remove()
            monitors[1] = Monitor(broken, optimizers[1], every=2)
            monitors[1].load_state_dict(saved)
    assert read(monitors[0]) == read(monitors[1])


def test_pi_of_the_paper() -> None:
    for flips, pi in ((0.0, -9.0), (1e-3, -6.791387), (1.0, math.log(1 + math.exp(-9)))):
        shares = Shares(flips, {})
        assert Movement(flips=shares, dead_zone=None, initial=shares).pi == pytest.approx(pi, abs=1e-6)


def test_the_flips_of_the_spec() -> None:
    # optimizers.md 4.3: [.1, −.2, .3, −.4] → [−.1, −.2, .3, .4] is an FF ratio of one half.
    layer = BinaryLinear(4, 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.1, -0.2, 0.3, -0.4]]))
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    monitor = Monitor(layer, optimizer)
    layer.weight.grad = torch.tensor([[0.2, 0.0, 0.0, -0.8]])
    optimizer.step()
    assert read(monitor).flips.total == 0.5
