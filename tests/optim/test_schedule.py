from functools import partial

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam

from signbit.nn import BinaryLinear
from signbit.optim import Bop, Bop2ndOrder, Hybrid, HyperparameterScheduler, Linear, Staircase


def test_linear_and_staircase():
    line = Linear(1e-2, 1e-5, 4)
    assert [line(index) for index in (0, 1, 4, 9)] == pytest.approx([1e-2, 0.75e-2 + 0.25e-5, 1e-5, 1e-5])
    assert line(0) == 1e-2
    stairs = Staircase(1e-4, 0.1, 100)
    assert [stairs(index) for index in (0, 99, 100, 250)] == pytest.approx([1e-4, 1e-4, 1e-5, 1e-6])


def test_the_first_update_sees_index_zero():
    weight = nn.Parameter(torch.ones(3))
    optimizer = Bop2ndOrder([weight])
    seen = []
    optimizer.register_step_pre_hook(lambda o, *_: seen.append([o.param_groups[0][k] for k in ("lr", "sigma")]))
    scheduler = HyperparameterScheduler(optimizer, {"lr": Linear(1.0, 0.0, 2), "sigma": lambda t: (1 + t) / 8})
    for _ in range(3):
        weight.grad = torch.ones(3)
        optimizer.step()
        scheduler.step()
    assert seen == [[1.0, 1 / 8], [0.5, 2 / 8], [0.0, 3 / 8]]


def test_chosen_groups_and_members():
    model = nn.Sequential(BinaryLinear(4, 4), nn.BatchNorm1d(4))
    hybrid = Hybrid(model, binary=partial(Bop, lr=0.1), real=partial(Adam, lr=0.2))
    HyperparameterScheduler(hybrid.members["binary"], {"lr": lambda t: 0.5, "threshold": lambda t: 1e-3})
    HyperparameterScheduler(hybrid, {"lr": lambda t: 0.25}, groups=hybrid.group_indices("real"))
    assert [group["lr"] for group in hybrid.param_groups] == [0.5, 0.25]
    assert hybrid.param_groups[0]["threshold"] == 1e-3


def test_state_dict_restores_index_and_values():
    optimizer = SGD([nn.Parameter(torch.ones(1))], lr=1.0)
    scheduler = HyperparameterScheduler(optimizer, {"momentum": lambda t: 0.1 * t})
    for _ in range(3):
        scheduler.step()
    state = scheduler.state_dict()
    again = HyperparameterScheduler(optimizer, {"momentum": lambda t: 0.1 * t})
    assert optimizer.param_groups[0]["momentum"] == 0
    again.load_state_dict(state)
    assert optimizer.param_groups[0]["momentum"] == pytest.approx(0.3)
    assert again.index == 3


def test_refuses_keys_and_groups_that_are_not_there():
    optimizer = Bop([nn.Parameter(torch.ones(1))])
    with pytest.raises(ValueError, match="group 0 has no hyper-parameter 'sigma', it has foreach, lr, threshold"):
        HyperparameterScheduler(optimizer, {"sigma": Linear(1, 0, 5)})
    with pytest.raises(ValueError, match="no hyper-parameter 'params'"):
        HyperparameterScheduler(optimizer, {"params": Linear(1, 0, 5)})
    with pytest.raises(ValueError, match=r"there is no group 1, only 0\.\.0"):
        HyperparameterScheduler(optimizer, {"lr": Linear(1, 0, 5)}, groups=[1])
