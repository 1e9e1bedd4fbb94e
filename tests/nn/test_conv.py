import pytest
import torch
import torch.nn.functional as F
from torch import nn

from signbit.nn import BinaryConv1d, BinaryConv2d
from signbit.quantizers import sign


def reference(layer, x):
    """Convolution of signs, padded entry by entry."""
    top_bottom, left_right = layer.padding_sides
    height, width = x.shape[-2] + sum(top_bottom), x.shape[-1] + sum(left_right)
    padded = torch.full((*x.shape[:2], height, width), float(layer.pad_value))
    padded[:, :, top_bottom[0] : top_bottom[0] + x.shape[-2], left_right[0] : left_right[0] + x.shape[-1]] = sign(x)
    return F.conv2d(padded, sign(layer.weight), None, layer.stride, 0, layer.dilation, layer.groups)


@pytest.mark.parametrize("pad_value", [-1, 0, 1])
@pytest.mark.parametrize(
    "options",
    [
        {"padding": 1},
        {"padding": (0, 2), "stride": (2, 1)},
        {"padding": "same"},
        {"padding": "same", "kernel_size": (2, 4), "dilation": (3, 1)},
        {"padding": "valid"},
        {"padding": 2, "dilation": 2, "stride": 2},
        {"padding": 1, "groups": 2},
        {"padding": 1, "groups": 8, "out_channels": 16},
    ],
)
def test_is_the_convolution_of_padded_signs(options, pad_value):
    torch.manual_seed(0)
    options = {"in_channels": 8, "out_channels": 6, "kernel_size": 3, "pad_value": pad_value} | options
    layer = BinaryConv2d(**options)
    x = torch.randn(2, 8, 9, 7)
    x[:, :, ::2, ::3] = 0
    assert torch.equal(layer(x), reference(layer, x))
    assert torch.equal(layer.dot(x), layer(x))
    assert torch.equal(layer(x[0]), layer(x)[0])


@pytest.mark.filterwarnings("ignore:Using padding=.same. with even kernel")
def test_same_is_as_torch_pads():
    torch.manual_seed(0)
    for kernel in ((2, 2), (3, 4), (5, 1)):
        options = {"kernel_size": kernel, "dilation": (2, 3), "padding": "same"}
        layer = BinaryConv2d(3, 4, **options, pad_value=0)
        twin = nn.Conv2d(3, 4, **options, bias=False)
        twin.weight.data = sign(layer.weight)
        x = torch.randn(1, 3, 8, 8)
        assert torch.equal(layer(x), twin(sign(x)))


def test_conv1d_is_conv2d_of_height_one():
    torch.manual_seed(0)
    options = {"stride": 2, "dilation": 2, "groups": 2, "bias": True}
    flat = BinaryConv1d(4, 6, 3, padding=3, weight_quantizer="sign(scale=mean)", **options)
    tall = BinaryConv2d(4, 6, (1, 3), (1, 2), (0, 3), (1, 2), 2, True, weight_quantizer="sign(scale=mean)")
    tall.load_state_dict({"weight": flat.weight.data[:, :, None], "bias": flat.bias.data})
    x = torch.randn(2, 4, 17)
    assert flat.padding_sides == ((3, 3),)
    assert torch.equal(flat(x), tall(x[:, :, None])[:, :, 0])


def test_scale_and_bias_come_after_the_product():
    torch.manual_seed(0)
    layer = BinaryConv2d(64, 5, 3, padding=1, bias=True, weight_quantizer="sign(scale=mean)")
    x = torch.randn(3, 64, 6, 6)
    dot = layer.dot(x)
    assert torch.equal(dot, dot.round())
    assert dot.abs().max() <= 64 * 9
    scale = layer.weight.detach().abs().mean((1, 2, 3))
    torch.testing.assert_close(layer.output_scale(), scale)
    expected = dot * layer.output_scale()[:, None, None] + layer.bias[:, None, None]
    assert torch.equal(layer(x), expected)
    every_sum = torch.arange(-576.0, 577).view(-1, 1, 1, 1).expand(-1, 5, 1, 1)
    assert layer.rescale(every_sum).shape == (1153, 5, 1, 1)


@pytest.mark.parametrize("channels", [1, 63, 64, 65])
def test_bits_multiply_to_the_same_integers(channels):
    torch.manual_seed(channels)
    layer = BinaryConv2d(channels, 4, 1)
    x = torch.randn(2, channels, 3, 3)
    differ = layer.weight_bits()[None, :, :, :, :] ^ layer.input_quantizer.bits(x)[:, None, :, :, :]
    assert torch.equal(layer(x), (channels - 2 * differ.sum(2)).float())


def test_same_keys_and_argument_order_as_torch():
    arguments = (4, 6, 3, 2, 1, 1, 2, True)
    twin, layer = nn.Conv2d(*arguments), BinaryConv2d(*arguments)
    assert layer.state_dict().keys() == twin.state_dict().keys()
    layer.load_state_dict(twin.state_dict())
    ede = BinaryConv2d(*arguments, weight_quantizer="ede", input_quantizer="ede")
    assert ede.state_dict().keys() == twin.state_dict().keys()
    assert BinaryConv2d(4, 6, 3).bias is None


def test_default_padding_is_plus_one_around_signs_and_zero_around_real_inputs():
    assert BinaryConv2d(3, 4, 3).pad_value == 1
    assert BinaryConv2d(3, 4, 3, input_quantizer=None).pad_value == 0
    assert BinaryConv2d(3, 4, 3, input_quantizer=None, pad_value=1).pad_value == 1


def test_real_input_and_real_weight():
    torch.manual_seed(0)
    x = torch.randn(1, 3, 5, 5)
    stem = BinaryConv2d(3, 4, 3, padding=1, input_quantizer=None)
    torch.testing.assert_close(stem(x), F.conv2d(x, sign(stem.weight), padding=1))
    first_stage = BinaryConv2d(3, 4, 3, padding=1, weight_quantizer=None, pad_value=0)
    torch.testing.assert_close(first_stage(x), F.conv2d(sign(x), first_stage.weight, padding=1))
    assert first_stage.output_scale() is None
    with pytest.raises(ValueError, match="BinaryConv2d has a real weight"):
        first_stage.weight_bits()


def test_gradients_are_those_of_the_surrogates():
    torch.manual_seed(0)
    layer = BinaryConv2d(3, 4, 3, padding=1, input_quantizer="approxsign", pad_value=0)
    layer.weight.data *= 5
    x = torch.randn(2, 3, 6, 6, requires_grad=True)
    upstream = torch.randn(2, 4, 6, 6)
    layer(x).backward(upstream)
    a, w = sign(x).requires_grad_(), sign(layer.weight).requires_grad_()
    F.conv2d(a, w, padding=1).backward(upstream)
    torch.testing.assert_close(x.grad, a.grad * (2 - 2 * x.detach().abs()).clamp(min=0))
    torch.testing.assert_close(layer.weight.grad, w.grad * (layer.weight.detach().abs() <= 1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pad_value": 2}, "pad_value must be -1, 0, 1 or None, got 2"),
        ({"pad_value": 0.5}, "pad_value must be -1, 0, 1 or None, got 0.5"),
        ({"padding_mode": "reflect"}, "padding_mode must be 'zeros'"),
        ({"input_quantizer": "sign(scale=mean)"}, "input_quantizer: scale='mean' is a scale of filters"),
        ({"weight_quantizer": "sing"}, "did you mean sign"),
    ],
)
def test_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        BinaryConv2d(3, 4, 3, **options)


def test_repr_names_the_padding():
    assert "padding=same, bias=False, pad_value=-1" in repr(BinaryConv2d(3, 4, 3, padding="same", pad_value=-1))
