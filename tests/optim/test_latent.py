import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam

from signbit.optim import Latent


def test_is_the_wrapped_optimizer_then_a_clip():
    mine, plain = nn.Parameter(torch.tensor([0.95, -0.2])), nn.Parameter(torch.tensor([0.95, -0.2]))
    optimizer, twin = Latent(SGD([mine], lr=0.1)), SGD([plain], lr=0.1)
    for _ in range(3):
        mine.grad = plain.grad = torch.tensor([-1.0, 0.5])
        optimizer.step()
        twin.step()
        with torch.no_grad():
            plain.clamp_(-1, 1)
        assert torch.equal(mine, plain)
    assert mine.tolist() == pytest.approx([1.0, -0.35])


def test_clip_value_and_groups():
    first, second = nn.Parameter(torch.full((3,), 5.0)), nn.Parameter(torch.full((3,), -5.0))
    optimizer = Latent(Adam([{"params": [first]}, {"params": [second], "lr": 0.0}]), clip=1.25)
    first.grad, second.grad = torch.ones(3), torch.ones(3)
    optimizer.step()
    assert first.tolist() == [1.25] * 3
    assert second.tolist() == [-1.25] * 3


def test_groups_state_and_schedulers_are_the_wrapped_ones():
    weight = nn.Parameter(torch.zeros(3))
    inner = Adam([weight], lr=1.0)
    optimizer = Latent(inner)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.1)
    weight.grad = torch.ones(3)
    optimizer.step()
    scheduler.step()
    assert inner.param_groups[0]["lr"] == pytest.approx(0.1)
    assert optimizer.state[weight] is inner.state[weight]
    state = optimizer.state_dict()
    assert state.keys() == inner.state_dict().keys()
    optimizer.load_state_dict(state)
    assert optimizer.param_groups is inner.param_groups
    assert optimizer.state is inner.state
    other = nn.Parameter(torch.zeros(2))
    optimizer.add_param_group({"params": [other]})
    assert inner.param_groups[-1]["params"] == [other]
    assert len(optimizer.param_groups) == 2


def test_closure_and_repr():
    weight = nn.Parameter(torch.full((2,), 3.0))
    optimizer = Latent(SGD([weight], lr=0.1), clip=0.5)

    def closure():
        optimizer.zero_grad()
        loss = weight.square().sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 18
    assert weight.tolist() == [0.5, 0.5]
    assert repr(optimizer).startswith("Latent(SGD")
    assert repr(optimizer).endswith("clip=0.5)")


def test_refuses_a_clip_of_zero():
    with pytest.raises(ValueError, match="clip must be > 0, got 0"):
        Latent(SGD([nn.Parameter(torch.ones(1))], lr=0.1), clip=0)


@pytest.mark.parametrize("scale", [0.25, 1024.0])
def test_the_scale_of_latent_weights_is_that_of_the_rate(scale):
    # Theorem 1 of 1906.02107, the clip scaled too: signs go the same way.
    torch.manual_seed(0)
    start = torch.rand(65, 63) - 0.5
    mine, scaled = nn.Parameter(start.clone()), nn.Parameter(start * scale)
    optimizers = Latent(SGD([mine], lr=0.1)), Latent(SGD([scaled], lr=0.1 * scale), clip=scale)
    flips = 0
    for _ in range(50):
        before = mine.detach() < 0
        mine.grad = scaled.grad = torch.randn(65, 63)
        for optimizer in optimizers:
            optimizer.step()
        assert torch.equal(mine < 0, scaled < 0)
        flips += int(((mine < 0) != before).sum())
    assert flips > 1000


def test_what_is_not_finite_is_named_and_changes_nothing():
    weight = nn.Parameter(torch.full((2,), 0.3))
    optimizer = Latent(SGD([("stem", weight)], lr=0.1, momentum=0.9))
    weight.grad = torch.tensor([1.0, torch.nan])
    with pytest.raises(ValueError, match="stem: its gradient is not finite in step 1"):
        optimizer.step()

    def closure():
        weight.grad = torch.tensor([1.0, torch.inf])
        return 0.0

    with pytest.raises(ValueError, match="stem: its gradient is not finite in step 2"):
        optimizer.step(closure)
    assert torch.equal(weight.detach(), torch.full((2,), 0.3))
    assert not optimizer.state


def test_foreign_states_are_refused():
    weight, other = nn.Parameter(torch.zeros(2, 3)), nn.Parameter(torch.zeros(2, 4))
    optimizer, wider = Latent(Adam([weight])), Latent(Adam([other]))
    other.grad = torch.ones(2, 4)
    wider.step()
    with pytest.raises(
        ValueError, match="Adam cannot load the state of another optimizer: a saved group has no amsgrad"
    ):
        optimizer.load_state_dict(SGD([weight], lr=0.1, momentum=0.9).state_dict())
    with pytest.raises(ValueError, match=r"exp_avg has shape \(2, 4\), its weight \(2, 3\)"):
        optimizer.load_state_dict(wider.state_dict())
