import pytest
import torch
from torch import nn

from signbit.nn import BinaryLinear
from signbit.params import named_binary_parameters
from signbit.sparsity import density, density_penalty


def weights_of_density(ones, total, parts=3):
    """Latent weights of which `ones` are positive, in tensors of different sizes."""
    values = torch.cat([torch.full((ones,), 0.3), torch.full((total - ones,), -0.2)])
    return [part.clone().requires_grad_() for part in values.tensor_split(parts)]


@pytest.mark.parametrize("slope", [0.5, 1.0])
def test_golden_values(slope):
    """sparse.md §1.11, 3: L = 2, γ = .07, h = .1, N = 1000."""
    weights = weights_of_density(150, 1000)
    loss = torch.tensor(2.0)
    penalty = density_penalty(loss, weights, density=0.05, share=0.07, slope=slope)
    assert penalty.item() == pytest.approx(0.150538, abs=1e-6)
    assert (loss + penalty).item() == pytest.approx(2 / 0.93, abs=1e-6)
    penalty.backward()
    for weight in weights:
        torch.testing.assert_close(weight.grad, torch.full_like(weight, 7.5269e-4 * 2 * slope), rtol=1e-4, atol=0)


def test_the_loss_keeps_its_own_gradient():
    weights = weights_of_density(150, 1000)
    x = torch.tensor(2.0, requires_grad=True)
    (x.square() + density_penalty(x.square(), weights, density=0.05, share=0.07)).backward()
    assert x.grad.item() == 4


@pytest.mark.parametrize("ones", [0, 40, 50])
def test_nothing_at_or_below_the_target(ones):
    weights = weights_of_density(ones, 1000)
    penalty = density_penalty(torch.tensor(2.0), weights, density=0.05, share=0.07)
    penalty.backward()
    assert penalty.item() == 0
    assert all(not weight.grad.any() for weight in weights)


def test_nothing_within_the_tolerance_and_nothing_at_a_half():
    weights = weights_of_density(51, 1000)
    assert density_penalty(torch.tensor(2.0), weights, density=0.05, share=0.07).item() > 0
    assert density_penalty(torch.tensor(2.0), weights, density=0.05, share=0.07, tolerance=2e-3).item() == 0
    assert density_penalty(torch.tensor(2.0), weights_of_density(900, 1000), density=0.5, share=0.07).item() == 0


def test_only_the_mean_over_all_layers_counts():
    assert density([torch.ones(30), -torch.ones(2, 35)]) == pytest.approx(0.3)
    assert density([torch.zeros(1), torch.tensor([-0.0, -1.0])]) == pytest.approx(2 / 3)


def test_it_lowers_the_density_of_a_model():
    torch.manual_seed(0)
    model = nn.Sequential(BinaryLinear(64, 32, weight_quantizer="twolevel(values=learned)"), nn.BatchNorm1d(32))
    model.append(BinaryLinear(32, 4, weight_quantizer="twolevel(values=learned)"))
    latent = [weight for _, weight in named_binary_parameters(model)]
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    x, y = torch.randn(64, 64), torch.randint(4, (64,))
    before = density(latent)
    for _ in range(60):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        (loss + density_penalty(loss, latent, density=0.1, share=0.9)).backward()
        optimizer.step()
    assert before > 0.45
    assert density(latent) < 0.3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"density": 0}, r"density must be in \(0, 1\], got 0"),
        ({"density": 1.1}, r"density must be in \(0, 1\], got 1.1"),
        ({"share": 1}, r"share must be in \[0, 1\), got 1"),
        ({"share": -0.1}, r"share must be in \[0, 1\), got -0.1"),
        ({"slope": 0}, r"slope must be in \(0, inf\), got 0"),
        ({"tolerance": 0}, r"tolerance must be in \(0, inf\), got 0"),
        ({"weights": []}, "weights must hold at least one weight, got none"),
    ],
)
def test_refuses(options, message):
    options = {"weights": [torch.ones(3)], "density": 0.1, "share": 0.1} | options
    with pytest.raises(ValueError, match=message):
        density_penalty(torch.tensor(1.0), **options)
