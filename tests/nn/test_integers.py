import pytest
import torch
import torch.nn.functional as F

from signbit.nn import BinaryConv2d, integers

pytestmark = pytest.mark.skipif(not integers._AVAILABLE, reason="oneDNN's 8-bit convolution is not in this torch")

OPTIONS = [
    {"padding": 1},
    {"padding": (0, 2), "stride": (2, 1)},
    {"padding": "valid"},
    {"padding": 2, "dilation": 2, "stride": 2},
    {"padding": 1, "groups": 2},
    {"in_channels": 65, "out_channels": 63, "padding": 1},
    {"in_channels": 1, "kernel_size": 1},
]


def run(layer, x, grad, *, precision):
    """Result and gradients of input and weight."""
    layer.zero_grad()
    x = x.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
        result = layer(x)
    result.backward(grad.to(result.dtype))
    return result, x.grad, layer.weight.grad


@pytest.mark.parametrize("pad_value", [-1, 0, 1])
@pytest.mark.parametrize("options", OPTIONS)
def test_is_the_bfloat16_convolution_bit_for_bit(options, pad_value, monkeypatch):
    torch.manual_seed(0)
    options = {"in_channels": 64, "out_channels": 6, "kernel_size": 3, "pad_value": pad_value} | options
    layer = BinaryConv2d(**options)
    x = torch.randn(2, layer.in_channels, 9, 7)
    x[:, :, ::2, ::3] = 0
    exact = layer(x)
    grad = torch.randn_like(exact).bfloat16()
    mine = run(layer, x, grad, precision="bfloat16")
    assert mine[0].dtype == torch.bfloat16
    assert torch.equal(mine[0], exact.bfloat16())
    monkeypatch.setattr(integers, "_AVAILABLE", False)
    assert torch.equal(run(layer, x, grad, precision="bfloat16")[0], mine[0])
    for value, expected in zip(mine, run(layer, x, grad, precision="float32"), strict=True):
        # Gradients are rounded to bfloat16, but summed in float32.
        torch.testing.assert_close(value.float(), expected, rtol=2**-7, atol=2**-7 * float(expected.detach().std()))


def test_large_sums_are_rounded_to_eight_digits():
    layer = BinaryConv2d(512, 1, 3)
    torch.nn.init.ones_(layer.weight)
    x = torch.ones(1, 512, 3, 3)
    x[0, 0, 0, 0] = -1
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(x).item() == 4608  # of 4606, between 4592 and 4608
    assert layer(x).item() == 4606


def test_serves_only_products_of_two_codes_under_autocast():
    x = torch.randn(1, 3, 5, 5)
    assert not integers.serves(x)
    with torch.autocast("cpu", torch.bfloat16):
        assert integers.serves(x)
        assert not integers.serves(x[0])
        real = BinaryConv2d(3, 2, 3, input_quantizer=None)
        expected = F.conv2d(x.bfloat16(), real.weight_quantizer(real.weight).bfloat16())
        assert torch.equal(real(x), expected)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # in the compiler itself
def test_compiles_without_a_break_and_computes_the_same():
    torch.manual_seed(0)
    layer = BinaryConv2d(64, 6, 3, padding=1)
    x = torch.randn(2, 64, 9, 7)
    grad = torch.randn(2, 6, 9, 7).bfloat16()
    eager = run(layer, x, grad, precision="bfloat16")
    torch._dynamo.reset()
    layer.compile(fullgraph=True)
    for value, expected in zip(run(layer, x, grad, precision="bfloat16"), eager, strict=True):
        torch.testing.assert_close(value, expected, rtol=2**-7, atol=2**-7)
