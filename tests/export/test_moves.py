import pytest
import torch
import torch.nn.functional as F
from torch import nn

from export.compare import IMAGE, assert_close, assert_equal, ops, scramble
from signbit import nn as binary
from signbit.export import ExportError, to_graph


class Function(nn.Module):
    """A one-bit convolution, then a function of its 8 channels, 10 x 9."""

    def __init__(self, function, *, bits: bool = False):
        super().__init__()
        self.conv = binary.BinaryConv2d(3, 8, 3, padding=1)
        self.sign = binary.Sign() if bits else nn.Identity()
        self.function = function

    def forward(self, x):
        return self.function(self.sign(self.conv(x)))


@pytest.mark.parametrize("bits", [False, True])
@pytest.mark.parametrize(
    "function",
    [
        lambda x: torch.cat(torch.split(x, [1, 5, 2], dim=1)[::-1], dim=1),
        lambda x: torch.cat(x.split(3, 1), 1),
        lambda x: torch.cat([x[:, 4:], x[:, :4]], dim=-3),
        lambda x: x[:, ::2, ::3, ::2],
        lambda x: x[..., ::2],
        lambda x: F.max_pool2d(x, (3, 2), stride=(2, 1), padding=1, dilation=1),
        lambda x: F.max_pool2d(x, 2, ceil_mode=True),
        lambda x: torch.flatten(x, 1),
        lambda x: x.reshape(x.shape[0], -1),
        lambda x: x.view(-1, 720),
    ],
)
def test_moves_change_no_value(function, bits):
    graph = assert_equal(scramble(Function(function, bits=bits)))
    assert "Affine" not in ops(graph)


@pytest.mark.parametrize("bits", [False, True])
def test_channels_of_zeros(bits):
    graph = assert_equal(scramble(Function(lambda x: F.pad(x, (0, 0, 0, 0, 1, 3)), bits=bits)))
    assert ops(graph)[-2:] == ["Affine", "Select"]


@pytest.mark.parametrize(
    "module",
    [
        nn.ChannelShuffle(4),
        nn.AdaptiveMaxPool2d((5, 3)),
        nn.AdaptiveAvgPool2d((None, 1)),
        nn.AvgPool2d(2, ceil_mode=True),
    ],
    ids=lambda m: type(m).__name__,
)
def test_modules_that_move_or_pool(module):
    assert_close(scramble(nn.Sequential(binary.BinaryConv2d(3, 8, 3, padding=1), module)))


@pytest.mark.parametrize("count_include_pad", [False, True])
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(3, 2, 1), ((2, 3), (1, 2), (1, 0)), (2, None, 0)])
def test_average_pools(kernel, stride, padding, count_include_pad):
    pool = nn.AvgPool2d(kernel, stride, padding, count_include_pad=count_include_pad)
    assert_close(scramble(nn.Sequential(binary.BinaryConv2d(3, 8, 3), nn.BatchNorm2d(8), pool)))
    assert_close(scramble(nn.Sequential(binary.BinaryConv2d(3, 8, 3), pool)))


def test_concatenation_of_different_kinds_is_real():
    graph = assert_equal(scramble(Function(lambda x: torch.cat([x, F.relu(x)], 1))))
    assert ops(graph)[-3:] == ["PReLU", "Affine", "Concat"]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x[:, :, 1:], "a slice of rows or columns packs over all of them"),
        (lambda x: x[:, 0], "indexing packs as slices"),
        (lambda x: x.view(-1, 9), "has no packed form; only to"),
        (lambda x: torch.flatten(x, 2), "start_dim=1, got 2"),
        (lambda x: torch.cat([x, x], 2), "joining packs along the channels"),
        (lambda x: x.chunk(2, 2)[0], "splitting packs along the channels"),
        (lambda x: F.pad(x, (1, 1)), "padding packs for channels with 0 only"),
        (lambda x: x.mean(1), "a mean packs over height and width"),
        (lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True), "padding counted in ceil_mode"),
        (lambda x: F.max_pool2d(x, 2, return_indices=True)[0], "no packed form"),
        (lambda x: x + x[:, :1], "only equal shapes"),
        (lambda x: x / x, "dividing by a value"),
        (lambda x: x * torch.rand(1, 1, 10, 9), "not one per channel"),
        (lambda x: x.dtype, "tensor attribute 'dtype'"),
        (lambda x: (x, x), "must return one tensor"),
        (lambda x: torch.sign(x), "the function 'sign' has no packed form; use signbit.nn.Sign"),
    ],
)
def test_what_does_not_pack_says_why(function, message):
    with pytest.raises(ExportError, match=message):
        to_graph(Function(function), image=IMAGE)
