"""What holds for every optimizer without latent weights."""

import copy
from functools import partial

import pytest
import torch
from torch import nn
from torch.optim import Adam

from signbit.nn import BinaryLinear
from signbit.optim import Bop, Bop2ndOrder
from signbit.optim.strict import BLOCK, blocks
from signbit.quantizers import sign

OPTIMIZERS = [
    partial(Bop, lr=0.1, threshold=0.01),
    partial(Bop2ndOrder, lr=0.1, sigma=0.2, threshold=0.1),
    partial(Bop2ndOrder, lr=0.1, sigma=0.2, threshold=0.1, correction="adam"),
]
everyone = pytest.mark.parametrize("make", OPTIMIZERS)


def weights(*shapes, dtype=torch.float32):
    torch.manual_seed(0)
    return [nn.Parameter(sign(torch.randn(shape)).to(dtype)) for shape in shapes]


def give_gradients(parameters, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for parameter in parameters:
        parameter.grad = torch.randn(parameter.shape, generator=generator).to(parameter.dtype)


def advance(optimizer, parameters, steps, seed=0):
    for step in range(steps):
        give_gradients(parameters, seed + step)
        optimizer.step()


@everyone
@pytest.mark.parametrize("foreach", [None, True])
def test_weights_stay_signs_and_some_flip(make, foreach):
    parameters = weights((65, 63), (3, 1, 3, 3))
    before = [parameter.detach().clone() for parameter in parameters]
    advance(make(parameters, foreach=foreach), parameters, 5)
    for parameter, old in zip(parameters, before, strict=True):
        assert torch.equal(parameter.abs(), torch.ones_like(parameter))
        assert not torch.equal(parameter, old)


@everyone
def test_state_is_float32_and_stays_so_after_loading(make):
    parameters = weights((65, 3), dtype=torch.bfloat16)
    optimizer = make(parameters)
    advance(optimizer, parameters, 3)
    twin = make(parameters)
    twin.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for key, value in optimizer.state[parameters[0]].items():
        if isinstance(value, torch.Tensor):
            assert value.dtype == torch.float32
            assert torch.equal(value, twin.state[parameters[0]][key])
            assert value.data_ptr() != twin.state[parameters[0]][key].data_ptr()
        else:
            assert value == twin.state[parameters[0]][key]
    assert twin.state[parameters[0]]["momentum"].dtype == torch.float32


@everyone
def test_half_precision_weights_flip_as_float32_ones(make):
    half, full = weights((65, 64), dtype=torch.bfloat16), weights((65, 64))
    optimizers = make(half), make(full)
    for step in range(5):
        give_gradients(half, step)
        full[0].grad = half[0].grad.float()
        for optimizer in optimizers:
            optimizer.step()
        assert torch.equal(half[0].float(), full[0])


@everyone
def test_continues_from_a_state_dict(make, tmp_path):
    parameters = weights((65, 3), (5,))
    optimizer = make(parameters)
    advance(optimizer, parameters, 3)
    torch.save({"o": optimizer.state_dict(), "w": [p.detach() for p in parameters]}, tmp_path / "state.pt")
    saved = torch.load(tmp_path / "state.pt", weights_only=True)
    twins = [nn.Parameter(weight) for weight in saved["w"]]
    resumed = make(twins)
    resumed.load_state_dict(saved["o"])
    advance(optimizer, parameters, 4, seed=50)
    advance(resumed, twins, 4, seed=50)
    assert all(map(torch.equal, parameters, twins))


@everyone
def test_named_parameters_groups_and_closure(make):
    layer = BinaryLinear(5, 3)
    layer.weight.data = sign(layer.weight)
    optimizer = make(layer.named_parameters())
    assert optimizer.param_groups[0]["param_names"] == ["weight"]

    def closure():
        optimizer.zero_grad()
        loss = layer(torch.ones(2, 5)).square().sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() >= 0
    first, second = weights((4,), (4,))
    two = make([{"params": [first], "lr": 1.0, "threshold": 0.0}, {"params": [second], "threshold": 1e6}])
    first.grad, second.grad = first.detach().clone(), second.detach().clone()
    before = first.detach().clone(), second.detach().clone()
    two.step()
    assert torch.equal(first, -before[0])
    assert torch.equal(second, before[1])


@everyone
def test_torch_schedulers_drive_the_rate_down_to_frozen(make):
    parameters = weights((65, 3))
    optimizer = make(parameters)
    scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=2)
    for _ in range(2):
        advance(optimizer, parameters, 1)
        scheduler.step()
    assert optimizer.param_groups[0]["lr"] == 0
    before, state = parameters[0].detach().clone(), copy.deepcopy(optimizer.state[parameters[0]])
    advance(optimizer, parameters, 3, seed=9)
    assert torch.equal(parameters[0], before)
    assert torch.equal(optimizer.state[parameters[0]]["momentum"], state["momentum"])


@everyone
def test_a_parameter_without_gradient_is_left_alone(make):
    used, unused = weights((4, 4), (4, 4))
    optimizer = make([used, unused])
    before = unused.detach().clone()
    used.grad = torch.ones(4, 4)
    optimizer.step()
    assert torch.equal(unused, before)
    assert not optimizer.state[unused]


@everyone
@pytest.mark.parametrize("size", [0, 1, 63, 64, 65])
def test_sizes(make, size):
    parameters = weights((size,))
    advance(make(parameters), parameters, 2)


@everyone
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_a_gradient_that_is_not_finite_is_named_and_nothing_is_written(make, bad):
    parameters = weights((4, 4), (5, 5))
    optimizer = make([("first", parameters[0]), ("second", parameters[1])])
    advance(optimizer, parameters, 2)
    before = copy.deepcopy([[p.detach() for p in parameters], [dict(optimizer.state[p]) for p in parameters]])
    give_gradients(parameters, 7)
    parameters[1].grad[2, 3] = bad
    with pytest.raises(ValueError, match="second: its gradient is not finite"):
        optimizer.step()
    after = [[p.detach() for p in parameters], [dict(optimizer.state[p]) for p in parameters]]
    torch.testing.assert_close(after, before, rtol=0, atol=0)


@everyone
def test_weights_that_are_not_signs_are_refused_whenever_they_appear(make):
    (weight,) = weights((4, 4))
    optimizer = make([weight])
    with torch.no_grad():
        weight[0, 0] = 0.5
    weight.grad = torch.ones(4, 4)
    kind = type(optimizer).__name__
    with pytest.raises(ValueError, match=f"parameter 0: {kind} needs weights of -1 and \\+1 .*Hybrid"):
        optimizer.step()
    with torch.no_grad():
        weight.copy_(sign(weight))
    optimizer.step()
    with torch.no_grad():
        weight.mul_(0.1)
    with pytest.raises(ValueError, match="needs weights of -1 and"):
        optimizer.step()


@everyone
def test_sparse_and_complex_gradients_are_refused(make):
    (weight,) = weights((4, 4))
    weight.grad = torch.eye(4).to_sparse()
    with pytest.raises(ValueError, match="parameter 0: the gradient must be dense and real"):
        make([weight]).step()
    unit = nn.Parameter(torch.ones(3, dtype=torch.complex64))
    unit.grad = torch.ones(3, dtype=torch.complex64)
    with pytest.raises(ValueError, match="must be dense and real"):
        make([unit]).step()


@everyone
def test_a_scheduled_value_out_of_range_is_refused(make):
    parameters = weights((4, 4))
    optimizer = make(parameters)
    give_gradients(parameters)
    optimizer.param_groups[0]["lr"] = 2.0
    with pytest.raises(ValueError, match=r"lr must be in \[0, 1\], got 2.0"):
        optimizer.step()
    optimizer.param_groups[0].update(lr=0.1, threshold=-1.0)
    with pytest.raises(ValueError, match="threshold must be >= 0"):
        optimizer.step()


@everyone
def test_a_bad_group_is_not_added(make):
    first, second = weights((4,), (4,))
    optimizer = make([first])
    with pytest.raises(ValueError, match="lr must be in"):
        optimizer.add_param_group({"params": [second], "lr": -1.0})
    assert len(optimizer.param_groups) == 1


@everyone
def test_foreign_states_are_refused_and_change_nothing(make):
    parameters, others = weights((4, 4)), weights((4, 5))
    optimizer, adam, other = make(parameters), Adam(parameters), make(others)
    advance(other, others, 1)
    with pytest.raises(ValueError, match="cannot load the state of another optimizer: a saved group has no"):
        optimizer.load_state_dict(adam.state_dict())
    with pytest.raises(ValueError, match=r"momentum has shape \(4, 5\), its weight \(4, 4\)"):
        optimizer.load_state_dict(other.state_dict())
    assert not optimizer.state


def test_bop_refuses_a_state_of_bop2ndorder():
    parameters = weights((4, 4))
    second = Bop2ndOrder(parameters)
    advance(second, parameters, 1)
    with pytest.raises(ValueError, match="it holds momentum, momentum_mass, second_moment, second_moment_mass instead"):
        Bop(parameters).load_state_dict(second.state_dict())


@everyone
def test_a_copied_optimizer_works(make):
    parameters = weights((4, 4))
    optimizer = make(parameters)
    advance(optimizer, parameters, 1)
    twin = copy.deepcopy(optimizer)
    advance(twin, twin.param_groups[0]["params"], 1, seed=1)
    advance(optimizer, parameters, 1, seed=1)
    assert torch.equal(twin.param_groups[0]["params"][0], parameters[0])


@everyone
def test_channels_last_weights(make):
    plain, last = weights((8, 4, 3, 3)), weights((8, 4, 3, 3))
    last[0].data = last[0].data.to(memory_format=torch.channels_last)
    for parameters in (plain, last):
        advance(make(parameters), parameters, 3)
    assert torch.equal(plain[0], last[0])


@pytest.mark.parametrize("shape", [(5,), (3 * BLOCK + 1,), (7, BLOCK // 3), (2, 2 * BLOCK), ()])
def test_blocks_cover_everything_once_in_small_slices(shape):
    tensor, twin = torch.zeros(shape), torch.ones(shape)
    for mine, other in blocks(tensor, twin):
        assert mine.shape == other.shape
        assert mine.numel() <= BLOCK or mine.shape[0] == 1
        mine += other
    assert torch.equal(tensor, twin)
