"""The quantizer of ternary weights; its closed form is tested with the splits."""

import copy

import pytest
import torch

from signbit.quantizers import Ternary, create_quantizer, schedule_quantizers, ternary_split


def weights(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("density", [None, 0.1])
@pytest.mark.parametrize("granularity", ["layer", "filter"])
def test_is_the_closed_form(granularity, density):
    weight = weights(6, 8, 3, 3)
    made = Ternary(density=density, granularity=granularity)
    rows = weight.flatten(1) if granularity == "filter" else weight.view(1, -1)
    split = ternary_split(rows, None if density is None else round(density * rows.shape[1]))
    low, high = made.levels(weight)
    assert torch.equal(made(weight), split.code.view(weight.shape))
    assert torch.equal(high, split.scale.expand(6))
    assert torch.equal(low, -high)
    assert torch.equal(made.scale(weight), high)
    assert torch.equal(made.bits(weight), made(weight) < 0)
    assert Ternary(density=density, scale="none").scale(weight) is None


def test_normal_weights_keep_about_half_of_themselves():
    code = Ternary()(weights(100, 1000))
    assert code.abs().mean().item() == pytest.approx(0.54, abs=0.01)


@pytest.mark.parametrize("n", [63, 64, 65, 1290])
@pytest.mark.parametrize("density", [1.0, 0.5, 0.1, 0.02])
def test_exactly_the_budget_also_with_ties(n, density):
    weight = weights(3, n).mul(2).round()
    for granularity, size in (("layer", 3 * n), ("filter", n)):
        kept = Ternary(density=density, granularity=granularity)(weight).abs().view(-1, size).sum(1).unique()
        assert len(kept) == 1
        assert abs(kept.item() - density * size) <= 0.5 + 1e-6


def test_the_budget_is_annealed():
    weight = weights(10, 100)
    made = Ternary(density=0.05, start=1.0)
    assert made(weight).abs().sum() == 50
    for progress, kept in ((0.0, 1000), (0.6, 50), (1.0, 50)):
        schedule_quantizers(made, progress)
        assert made(weight).abs().sum() == kept
    assert made.state_dict() == {}
    assert copy.deepcopy(made)(weight).abs().sum() == 50


def test_the_gradient_passes_around_both_cuts():
    weight = weights(4, 16).requires_grad_()
    made = Ternary(density=0.25, surrogate="sign(clip=0.25)")
    upstream = weights(4, 16, seed=1)
    made(weight).backward(upstream)
    cut = weight.detach().abs().flatten().sort(descending=True).values[15]
    near = (weight.detach().abs() - cut).abs() <= 0.25
    torch.testing.assert_close(weight.grad, upstream * near / 2)


def test_by_name():
    made = create_quantizer("ternary(density=0.05, granularity=filter)")
    assert repr(made).startswith("Ternary(\n  density=0.05, scale=mean, granularity=filter")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"density": 0}, r"density must be in \(0, 1\], got 0"),
        ({"density": 1.5}, r"density must be in \(0, 1\], got 1.5"),
        ({"start": 0, "density": 0.1}, r"start must be in \(0, 1\], got 0"),
        ({"scale": "max"}, "scale must be one of none, mean, got 'max'"),
        ({"granularity": "kernel"}, "granularity must be one of layer, filter, got 'kernel'"),
        ({"surrogate": "ternary"}, "surrogate must name a sign quantizer without scale"),
    ],
)
def test_refuses_options(options, message):
    with pytest.raises(ValueError, match=message):
        Ternary(**options)


def test_refuses_weights():
    with pytest.raises(ValueError, match=r"density 0\.05 of the 9 weights of a filter is no weight"):
        Ternary(density=0.05, granularity="filter").attach(weights(4, 1, 3, 3))
    signs = torch.tensor([[1.0, -1.0, 1.0], [-1.0, 1.0, 1.0]])
    with pytest.raises(ValueError, match="weight: all 6 magnitudes of a layer are 1, which is one level"):
        Ternary(density=0.5)(signs)
