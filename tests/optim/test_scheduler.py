from functools import partial

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam

from signbit.nn import BinaryLinear
from signbit.optim import Bop, Bop2ndOrder, Constant, Hybrid, HyperparameterScheduler, Linear


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


def test_a_value_that_somebody_else_has_set_is_an_error():
    weight = nn.Parameter(torch.ones(3))
    weight.grad = torch.ones(3)
    optimizer = Bop([weight], lr=0.1)
    scheduler = HyperparameterScheduler(optimizer, {"lr": Linear(0.5, 0.0, 10)})
    torch.optim.lr_scheduler.ConstantLR(optimizer, factor=0.5)
    with pytest.raises(ValueError, match=r"lr of group 0 is 0\.25 where its schedule has set 0\.5 \(index 0\)"):
        optimizer.step()
    assert torch.equal(weight.detach(), torch.ones(3))
    scheduler.load_state_dict({"index": 0})
    optimizer.step()


def test_the_optimizers_state_without_the_schedulers_is_an_error():
    weight = nn.Parameter(torch.ones(3))
    optimizer = Bop([weight], lr=0.1)
    scheduler = HyperparameterScheduler(optimizer, {"lr": Linear(0.5, 0.0, 10)})
    scheduler.step()
    saved, index = optimizer.state_dict(), scheduler.state_dict()
    again = Bop([weight], lr=0.1)
    resumed = HyperparameterScheduler(again, {"lr": Linear(0.5, 0.0, 10)})
    again.load_state_dict(saved)
    with pytest.raises(ValueError, match="load this scheduler's state with the optimizer's"):
        again.step()
    resumed.load_state_dict(index)
    again.step()


def test_an_optimizer_that_never_steps_is_an_error():
    weight = nn.Parameter(torch.ones(3))
    steps, never = Bop([weight], lr=0.1), Bop([weight], lr=0.1)
    right, wrong = (HyperparameterScheduler(o, {"lr": Constant(0.1)}) for o in (steps, never))
    for _ in range(64):
        steps.step()
        right.step()
        wrong.step()
    right.step()
    with pytest.raises(ValueError, match="Bop has made none of 65 steps, so that the schedule of lr reaches nothing"):
        wrong.step()
    with pytest.raises(ValueError, match="a schedule of no group reaches nothing"):
        HyperparameterScheduler(steps, {"lr": Constant(0.1)}, groups=[])


def test_steps_that_a_gradient_scaler_skips_are_no_error():
    weight = nn.Parameter(torch.ones(3))
    optimizer = Bop([weight], lr=0.1)
    scheduler = HyperparameterScheduler(optimizer, {"lr": Linear(0.5, 0.0, 100)})
    for _ in range(40):
        scheduler.step()
    optimizer.step()
    for _ in range(100):
        scheduler.step()


def test_tensors_keep_their_place():
    weight = nn.Parameter(torch.ones(3))
    weight.grad = torch.ones(3)
    rate = torch.tensor(0.1)
    optimizer = SGD([weight], lr=rate)
    scheduler = HyperparameterScheduler(optimizer, {"lr": Linear(0.5, 0.0, 2)})
    optimizer.step()
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] is rate
    assert rate.item() == 0.25
