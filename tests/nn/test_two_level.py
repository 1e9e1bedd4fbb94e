"""Layers whose weights take two levels: half · product + middle · window sum."""

import copy

import pytest
import torch
import torch._dynamo.testing
import torch.nn.functional as F
from torch import nn

from signbit.nn import BinaryConv1d, BinaryConv2d, BinaryLinear
from signbit.params import named_binary_parameters
from signbit.quantizers import TwoLevel, schedule_quantizers, sign

QUANTIZERS = [
    "twolevel",
    "twolevel(density=0.1, granularity=filter)",
    "twolevel(values=learned, granularity=filter)",
    "twolevel(values=zero_one, density=0.2)",
]


def levelled(layer):
    """The weight ŵ that the layer stands for."""
    low, high = (
        level.view(-1, *(1,) * (layer.weight.dim() - 1)) for level in layer.weight_quantizer.levels(layer.weight)
    )
    return torch.where(layer.weight_bits(), low, high)


def learn(layer, seed=0):
    """Random learned values, so that no two filters agree."""
    generator = torch.Generator().manual_seed(seed)
    if isinstance(layer.weight_quantizer, TwoLevel) and layer.weight_quantizer.values == "learned":
        for parameter in layer.weight_quantizer.parameters():
            parameter.data = torch.rand(parameter.shape, generator=generator)
    return layer


@pytest.mark.parametrize("pad_value", [-1, 0, 1])
@pytest.mark.parametrize("weight_quantizer", QUANTIZERS)
@pytest.mark.parametrize(
    "options",
    [{"padding": 1}, {"padding": 1, "stride": 2, "groups": 2, "bias": True}, {"padding": "same", "groups": 8}],
)
def test_is_the_convolution_with_the_levels(options, weight_quantizer, pad_value):
    torch.manual_seed(0)
    layer = learn(BinaryConv2d(8, 16, 3, weight_quantizer=weight_quantizer, pad_value=pad_value, **options))
    x = torch.randn(2, 8, 9, 7)
    padded = F.pad(sign(x), (1, 1, 1, 1), value=pad_value)
    stride, groups = options.get("stride", 1), options.get("groups", 1)
    expected = F.conv2d(padded, levelled(layer), layer.bias, stride, 0, 1, groups)
    torch.testing.assert_close(layer(x), expected, rtol=1e-5, atol=1e-5)
    dot, shared = layer.dot(x), layer.window_sum(x)
    assert torch.equal(dot, dot.round())
    assert torch.equal(shared, F.conv2d(padded, torch.ones(groups, 8 // groups, 3, 3), None, stride, 0, 1, groups))
    assert torch.equal(layer.rescale(dot, shared), layer(x))
    torch.testing.assert_close(layer(x[0]), layer(x)[0])


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("pad_value", [-1, 0, 1])
def test_is_the_count_of_ones_too(pad_value, stride):
    """sparse.md §1.5: η·(2A − K) + ξ·(2S − n), with A taps of two ones, K ones of the filter, S ones, n valid taps."""
    torch.manual_seed(0)
    layer = BinaryConv2d(5, 7, 3, stride, 1, weight_quantizer="twolevel(density=0.2)", pad_value=pad_value)
    x = torch.randn(2, 5, 6, 7)
    low, high = (level.view(-1, 1, 1) for level in layer.weight_quantizer.levels(layer.weight))
    mask, every = (~layer.weight_bits()).float(), torch.ones(1, 5, 3, 3)
    valid = F.pad(torch.ones_like(x), (1, 1, 1, 1), value=abs(pad_value))
    ones = F.pad((sign(x) + 1) / 2, (1, 1, 1, 1), value=max(pad_value, 0))
    both, filters, window, taps = (
        F.conv2d(a, kernel, stride=stride) for a, kernel in ((ones, mask), (valid, mask), (ones, every), (valid, every))
    )
    expected = (high - low) * (2 * both - filters) + low * (2 * window - taps)
    torch.testing.assert_close(layer(x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("weight_quantizer", QUANTIZERS)
def test_linear_and_one_dimension(weight_quantizer):
    torch.manual_seed(0)
    layer = learn(BinaryLinear(65, 7, True, weight_quantizer=weight_quantizer))
    x = torch.randn(3, 65)
    torch.testing.assert_close(layer(x), F.linear(sign(x), levelled(layer), layer.bias), rtol=1e-5, atol=1e-5)
    conv = learn(BinaryConv1d(4, 6, 3, padding=1, groups=2, weight_quantizer=weight_quantizer))
    x = torch.randn(2, 4, 17)
    expected = F.conv1d(F.pad(sign(x), (1, 1), value=1), levelled(conv), groups=2)
    torch.testing.assert_close(conv(x), expected, rtol=1e-5, atol=1e-5)


def test_signs_with_a_budget_need_no_window_sum():
    torch.manual_seed(0)
    layer = BinaryConv2d(8, 16, 3, padding=1, weight_quantizer="twolevel(values=signs, density=0.1)")
    x = torch.randn(2, 8, 5, 5)
    assert torch.equal(layer(x), layer.dot(x))
    assert (~layer.weight_bits()).sum() == 115


@pytest.mark.parametrize("scale", ["mean", "none"])
def test_ternary_is_the_product_with_its_three_levels(scale):
    torch.manual_seed(0)
    layer = BinaryConv2d(
        8, 16, 3, padding=1, groups=2, bias=True, weight_quantizer=f"ternary(density=0.1,scale={scale})"
    )
    x = torch.randn(2, 8, 5, 5, requires_grad=True)
    code, _, high = layer.weight_quantizer.encode(layer.weight)
    weight = (code * high.view(-1, 1, 1, 1)).detach().requires_grad_()
    padded = F.pad(sign(x), (1, 1, 1, 1), value=1)
    torch.testing.assert_close(layer(x), F.conv2d(padded, weight, layer.bias, groups=2), rtol=1e-5, atol=1e-5)
    assert torch.equal(layer.rescale(layer.dot(x)), layer(x))
    layer(x).sum().backward()
    F.conv2d(padded, weight, groups=2).sum().backward()
    (expected,) = torch.autograd.grad(layer.weight_quantizer(layer.weight), layer.weight, weight.grad)
    torch.testing.assert_close(layer.weight.grad, expected * high.view(-1, 1, 1, 1), rtol=1e-4, atol=1e-4)


def test_gradients_are_those_of_the_levelled_weight():
    torch.manual_seed(0)
    weight_quantizer = TwoLevel(values="learned", granularity="filter", surrogate="identity")
    layer = learn(
        BinaryConv2d(6, 4, 3, padding=1, groups=2, weight_quantizer=weight_quantizer, input_quantizer="identity")
    )
    x = torch.randn(2, 6, 5, 5, requires_grad=True)
    upstream = torch.randn(2, 4, 5, 5)
    layer(x).backward(upstream)
    a, w = sign(x).requires_grad_(), levelled(layer).requires_grad_()
    F.conv2d(F.pad(a, (1, 1, 1, 1), value=1), w, groups=2).backward(upstream)
    spread = weight_quantizer.spread.detach().view(-1, 1, 1, 1)
    torch.testing.assert_close(x.grad, a.grad, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(layer.weight.grad, w.grad * spread, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(weight_quantizer.middle.grad, w.grad.sum((1, 2, 3)), rtol=1e-4, atol=1e-4)
    code = torch.where(layer.weight_bits(), -1.0, 1.0)
    torch.testing.assert_close(weight_quantizer.spread.grad, (w.grad * code).sum((1, 2, 3)), rtol=1e-4, atol=1e-4)


def test_keys_copies_and_ownership():
    closed = BinaryConv2d(4, 6, 3, weight_quantizer="twolevel(density=0.1)")
    assert list(closed.state_dict()) == ["weight"]
    learned = BinaryConv2d(4, 6, 3, weight_quantizer="twolevel(values=learned)")
    assert sorted(learned.state_dict()) == ["weight", "weight_quantizer.middle", "weight_quantizer.spread"]
    assert [name for name, _ in named_binary_parameters(learned)] == ["weight"]
    x = torch.randn(1, 4, 5, 5)
    assert torch.equal(copy.deepcopy(learned)(x), learned(x))


def test_refuses():
    with pytest.raises(ValueError, match="input_quantizer: TwoLevel is for weights"):
        BinaryLinear(8, 4, input_quantizer="twolevel")
    with pytest.raises(ValueError, match="input_quantizer: Ternary is for weights"):
        BinaryLinear(8, 4, input_quantizer="ternary")
    with pytest.raises(ValueError, match=r"density 0\.01 of the 32 weights of a layer is no weight"):
        BinaryLinear(8, 4, weight_quantizer="twolevel(density=0.01)")
    layer = BinaryLinear(8, 4, weight_quantizer="twolevel")
    with pytest.raises(ValueError, match="rescale needs window_sum="):
        layer.rescale(torch.zeros(1, 4))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # in the compiler itself
def test_compiles_once_whatever_the_budget():
    torch.manual_seed(0)
    net = nn.Sequential(
        BinaryConv2d(3, 8, 3, padding=1, weight_quantizer="twolevel(density=0.1)"),
        nn.Flatten(),
        BinaryLinear(200, 32, weight_quantizer="ternary(density=0.05)"),
        BinaryLinear(32, 10, weight_quantizer="twolevel(values=learned, density=0.05)"),
    )
    x = torch.randn(2, 3, 5, 5)
    torch._dynamo.reset()
    counter = torch._dynamo.testing.CompileCounterWithBackend("inductor")
    compiled = torch.compile(net, backend=counter, fullgraph=True)
    for progress in (0.0, 0.2, 0.5, 1.0):
        schedule_quantizers(net, progress)
        found = []
        for run in (compiled, net):
            net.zero_grad()
            run(x).square().sum().backward()
            found.append([parameter.grad.clone() for parameter in net.parameters()])
        torch.testing.assert_close(*found, rtol=1e-4, atol=1e-4)
    assert counter.frame_count == 1


def test_integer_sums_are_not_cut_off_when_rescaled():
    layer = BinaryConv2d(4, 3, 1, weight_quantizer="twolevel")
    dot, total = torch.tensor([[[[2]], [[0]], [[-4]]]]), torch.tensor([[[[2]]]])
    assert torch.equal(layer.rescale(dot, total), layer.rescale(dot.float(), total.float()))
    assert layer.rescale(dot.bfloat16(), total.float()).dtype == torch.bfloat16
