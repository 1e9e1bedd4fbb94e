import pytest
import torch
from torch import nn

from signbit.analysis import loss_surface, random_direction
from signbit.nn import BinaryConv2d, BinaryLinear


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(BinaryConv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), BinaryLinear(16, 3))


def half_square(model: nn.Module) -> float:
    return 0.5 * sum(parameter.square().sum().item() for parameter in model.parameters())


def test_a_direction_is_as_long_as_the_weights_filter_by_filter() -> None:
    model = network()
    with torch.no_grad():
        model[0].weight[2] = 0
    direction = random_direction(model, seed=3)
    for name, weight in model.named_parameters():
        if weight.dim() < 2:
            assert direction[name].count_nonzero() == 0
        else:
            torch.testing.assert_close(direction[name].flatten(1).norm(dim=1), weight.flatten(1).norm(dim=1))
    assert torch.equal(direction["0.weight"], random_direction(model, seed=3)["0.weight"])
    assert not torch.equal(direction["0.weight"], random_direction(model, seed=4)["0.weight"])


def test_the_scale_of_a_filter_does_not_matter() -> None:
    model = network()
    before = random_direction(model, seed=0)["0.weight"]
    with torch.no_grad():
        model[0].weight[1] *= 10
    after = random_direction(model, seed=0)["0.weight"]
    torch.testing.assert_close(after[1], 10 * before[1])
    torch.testing.assert_close(after[0], before[0])


def test_a_surface_that_is_known() -> None:
    model = network()
    first, second = (random_direction(model, seed=seed) for seed in (1, 2))
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    surface = loss_surface(model, half_square, (first, second), reach=2.0, steps=5)
    for name, value in model.state_dict().items():
        assert torch.equal(value, kept[name])
    assert surface[2, 2] == pytest.approx(half_square(model))
    for row, a in enumerate((-2, -1, 0, 1, 2)):
        for column, b in enumerate((-2, -1, 0, 1, 2)):
            moved = [w + a * first[name] + b * second[name] for name, w in model.named_parameters()]
            expected = 0.5 * sum(w.square().sum().item() for w in moved)
            assert surface[row, column].item() == pytest.approx(expected, rel=1e-5)


def test_one_in_six_signs_changes_at_a_step_of_one() -> None:
    model = BinaryLinear(1000, 100)
    with torch.no_grad():
        model.weight.copy_(torch.where(model.weight < 0, -1.0, 1.0))
    signs = model.weight.detach() < 0
    still = {name: torch.zeros_like(value) for name, value in model.named_parameters()}
    surface = loss_surface(
        model,
        lambda moved: ((moved.weight < 0) ^ signs).float().mean().item(),
        (random_direction(model, seed=0), still),
        steps=3,
    )
    # Φ(−1) = .1587 of normal numbers lie beyond one standard deviation on the side of the other sign.
    assert surface[:, 1].tolist() == pytest.approx([0.1587, 0.0, 0.1587], abs=5e-3)


def test_the_weights_come_back_after_an_error() -> None:
    model = network()
    kept = model[0].weight.detach().clone()
    directions = (random_direction(model, seed=0), random_direction(model, seed=1))

    def fail(_: nn.Module) -> float:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loss_surface(model, fail, directions)
    assert torch.equal(model[0].weight, kept)


def test_bad_arguments() -> None:
    model = network()
    direction = random_direction(model, seed=0)
    for options, message in (({"reach": 0.0}, "reach must be > 0"), ({"steps": 1}, "steps must be >= 2")):
        with pytest.raises(ValueError, match=message):
            loss_surface(model, half_square, (direction, direction), **options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="they name other parameters than the model has"):
        loss_surface(nn.Linear(2, 2), half_square, (direction, direction))
