import pytest
import torch
import torch.nn.functional as F
from torch import nn

from signbit.models import ResidualBlock, residual_network
from signbit.nn import BinaryConv2d
from signbit.quantizers import sign


def small(**options):
    defaults = {"num_classes": 5, "stem": "3x3", "widths": (8, 16), "depths": (2, 1), "shortcut": "conv"}
    return residual_network(**{**defaults, **options})


def test_block_adds_the_shortcut_before_what_comes_behind():
    torch.manual_seed(0)
    conv, norm = BinaryConv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4).eval()
    nn.init.normal_(norm.weight)
    block = ResidualBlock(conv=conv, norm=norm, shortcut=nn.Identity(), after=nn.Hardtanh())
    x = torch.randn(2, 4, 5, 5)
    dot = F.conv2d(F.pad(sign(x), (1, 1, 1, 1), value=1.0), sign(conv.weight))
    assert torch.equal(block(x), F.hardtanh(norm(dot) + x))


def test_float_twin_is_the_same_block_with_relu():
    torch.manual_seed(0)
    block = small(binary=False).get_submodule("stage1.0").eval()
    x = torch.randn(2, 8, 5, 5)
    assert torch.equal(block(x), block.norm(F.conv2d(F.relu(x), block.conv.weight, padding=1)) + x)
    assert type(block.conv) is nn.Conv2d


def test_any_image_size():
    model = small().eval()
    assert [model(torch.randn(1, 3, size, size)).shape for size in (8, 13, 32)] == [(1, 5)] * 3


def test_learned_shift_leaves_the_sign_to_its_module():
    block = small(shift=True).get_submodule("stage2.0")
    assert block.conv.input_quantizer is None
    assert block.conv.pad_value == 1
    with torch.no_grad():
        block.act.shift.fill_(10)
    assert torch.equal(block.act(torch.randn(2, 8, 4, 4)), torch.ones(2, 8, 4, 4))


@pytest.mark.parametrize("activation", ["none", "hardtanh", "relu", "prelu", "rprelu", "two-slope"])
@pytest.mark.parametrize("shortcut", ["conv", "binary", "slice", "average", "repeat"])
@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_axes_compose(activation, shortcut, norm):
    model = small(activation=activation, shortcut=shortcut, norm=norm, quantizer="ede", pad_value=-1)
    loss = model(torch.randn(2, 3, 8, 8)).square().sum()
    loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_thermometer_makes_the_stem_a_convolution_of_signs():
    torch.manual_seed(0)
    model, stem = small(stem_encoding="thermometer", pad_value=-1), ["encode", "conv", "norm"]
    assert list(dict(model.get_submodule("stem").named_children())) == stem
    conv = model.get_submodule("stem.conv")
    assert (type(conv), conv.in_channels, conv.pad_value) == (BinaryConv2d, 96, -1)
    assert sum(p.numel() for p in model.parameters()) - sum(p.numel() for p in small().parameters()) == 8 * 93 * 9
    model(torch.randn(2, 3, 8, 8)).square().sum().backward()
    assert conv.weight.grad.abs().sum() > 0


def test_float_twin_reads_the_same_code():
    twin = small(stem_encoding="thermometer", binary=False).get_submodule("stem").eval()
    x = torch.rand(2, 3, 5, 5) * 2 - 1
    assert torch.equal(twin(x), twin.norm(F.conv2d(F.relu(twin.encode(x)), twin.conv.weight, padding=1)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stem_encoding": "binary"}, r"stem_encoding must be thermometer or null \(a real stem\), got 'binary'"),
        ({"stem": "5x5"}, r"stem must be 3x3 or 7x7, got '5x5'"),
        ({"depths": (2,)}, r"widths \(8, 16\) and depths \(2,\) need one number >= 1 for each stage"),
        ({"depths": (2, 0)}, r"depths \(2, 0\) need one number >= 1"),
        ({"shortcut": "a"}, r"shortcut must be one of conv, binary, slice, average, repeat, got 'a'"),
        ({"activation": "tanh"}, r"activation must be one of none, hardtanh"),
        ({"widths": (16, 8), "shortcut": "slice"}, r"cannot narrow 16 channels to 8; use shortcut='conv'"),
        ({"quantizer": "sing"}, r"unknown quantizer 'sing'"),
    ],
)
def test_mistakes_are_answered(options, message):
    with pytest.raises(ValueError, match=message):
        small(**options)
