import copy

import pytest
import torch
from torch import nn

from signbit.quantizers import (
    ApproxSign,
    ClippedSign,
    EdeSign,
    FourierSign,
    IdentitySign,
    SignQuantizer,
    SwishSign,
    schedule_quantizers,
    sign,
)

W = [0.3, -0.1, 0.7, -0.5, 0.2, -0.9]
G = [1, 2, -1, 0.5, 0, -2]


def weight_gradient(quantizer, weight, upstream):
    """dL/dw where L = Σ upstream · W and W = scale · code, computed as a layer does: the scale after the product."""
    weight = torch.tensor([weight], dtype=torch.float64, requires_grad=True)
    product = torch.nn.functional.linear(torch.tensor([upstream], dtype=torch.float64), quantizer(weight))
    scale = quantizer.scale(weight)
    (product if scale is None else product * scale).sum().backward()
    return weight.grad[0]


@pytest.mark.parametrize(
    ("scale_gradient", "expected"),
    [
        ("detached", G),
        ("multiplied", [0.45, 0.9, -0.45, 0.225, 0, -0.9]),
        ("full", [0.366667, 0.983333, -0.533333, 0.308333, -0.083333, -0.816667]),
    ],
)
def test_gradients_through_the_filter_mean(scale_gradient, expected):
    quantizer = ClippedSign(scale="mean", scale_gradient=scale_gradient)
    assert quantizer.scale(torch.tensor([W])).item() == pytest.approx(0.45)
    assert weight_gradient(quantizer, W, G).tolist() == pytest.approx(expected, abs=1e-6)


def test_detached_gradient_still_has_the_window():
    quantizer = ClippedSign(scale="mean")
    weight = [0.5, -1.5, 1, -0.25]
    assert quantizer.scale(torch.tensor([weight])).item() == 0.8125
    assert weight_gradient(quantizer, weight, [1, 2, 3, 4]).tolist() == pytest.approx([1, 0, 3, 4])


def test_a_filter_of_zeros_still_learns():
    gradient = weight_gradient(ClippedSign(scale="mean"), [0.0, 0.0], [1, -2])
    assert gradient.tolist() == pytest.approx([1, -2])


def test_bits_and_levels():
    weight = torch.tensor([[0.3, -0.1, 0.0], [-0.0, -2.0, 1.0]])
    quantizer = ClippedSign(scale="mean")
    assert quantizer.bits(weight).tolist() == [[False, True, False], [False, True, False]]
    low, high = quantizer.levels(weight)
    torch.testing.assert_close(high, weight.abs().mean(1))
    assert torch.equal(low, -high)
    low, high = ClippedSign().levels(weight)
    assert low.tolist() == [-1, -1]
    assert high.tolist() == [1, 1]


@pytest.mark.parametrize(
    "quantizer", [ClippedSign(), IdentitySign(), ApproxSign(), SwishSign(), EdeSign(), FourierSign()]
)
def test_all_are_the_sign_with_their_surrogate(quantizer):
    x = torch.randn(3, 65, requires_grad=True)
    code = quantizer(x)
    assert torch.equal(code, sign(x))
    code.sum().backward()
    torch.testing.assert_close(x.grad, quantizer.surrogate(x.detach()))
    assert quantizer.state_dict() == {}
    assert quantizer.scale(x) is None


def test_schedules_move_wherever_the_quantizer_sits_and_survive_a_copy():
    net = nn.Sequential(nn.ModuleDict({"deep": EdeSign()}), ApproxSign())
    assert net[0]["deep"].temperature.item() == pytest.approx(1e-3)
    schedule_quantizers(net, 0.75)
    assert net[0]["deep"].temperature.item() == pytest.approx(1.0)
    twin = copy.deepcopy(net)
    schedule_quantizers(twin, 1.0)
    assert twin[0]["deep"].temperature.item() == pytest.approx(10)
    assert net[0]["deep"].temperature.item() == pytest.approx(1.0)


def test_own_surrogates_take_one_method():
    class Triangle(SignQuantizer):
        def surrogate(self, u):
            return (1 - u.abs()).clamp(min=0)

    x = torch.tensor([-2.0, -0.25, 0.5], requires_grad=True)
    Triangle()(x).sum().backward()
    assert x.grad.tolist() == [0, 0.75, 0.5]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ClippedSign(clip=0), "clip must be > 0, got 0"),
        (lambda: SwishSign(beta=-1), "beta must be > 0, got -1"),
        (lambda: EdeSign(start=0), "start must be > 0, got 0"),
        (lambda: FourierSign(terms=0), "terms must be > 0, got 0"),
        (lambda: ClippedSign(scale="median"), "scale must be one of none, mean, got 'median'"),
        (lambda: ClippedSign(scale_gradient="x"), "scale_gradient must be one of detached, multiplied, full, got 'x'"),
        (lambda: EdeSign().schedule(1.5), r"progress must be in \[0, 1\], got 1.5"),
    ],
)
def test_refuses(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_repr_shows_what_differs():
    assert repr(ClippedSign(clip=1.25)) == "ClippedSign(clip=1.25)"
    assert repr(ApproxSign(scale="mean")) == "ApproxSign(scaling=mean, scale_gradient=detached)"


@pytest.mark.parametrize(
    "quantizer", [ClippedSign(), IdentitySign(), ApproxSign(), SwishSign(), EdeSign(), FourierSign()]
)
def test_second_derivatives_exist(quantizer):
    x = torch.tensor([-0.5, 0.25, 2.0], dtype=torch.float64, requires_grad=True)
    (first,) = torch.autograd.grad((quantizer(x) * x).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x)
    assert second.isfinite().all()
