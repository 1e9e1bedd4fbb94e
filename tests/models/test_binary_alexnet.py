import pytest
from torch import nn

from models.counts import counts, small
from signbit.models import create_model
from signbit.nn import BinaryConv2d, BinaryLinear


def test_counts_of_larqs_layout():
    net = counts("binary_alexnet")
    assert (net.parameters, net.binary_weights, net.real_parameters) == (61_848_720, 61_827_776, 20_944)
    assert (net.binary_macs, net.mixed_macs, net.float_macs) == (768_512_000, 72_855_552, 0)
    assert round(net.mebibytes, 2) == 7.45
    assert [layer[0] for layer in net.layers.values()] == [
        64 * 3 * 121,
        192 * 64 * 25,
        384 * 192 * 9,
        384 * 384 * 9,
        256 * 384 * 9,
        9216 * 4096,
        4096 * 4096,
        4096 * 1000,
    ]


def test_every_product_is_binary_and_only_the_first_reads_reals():
    model = create_model("binary_alexnet", **small("binary_alexnet"))
    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert all(isinstance(layer, BinaryConv2d | BinaryLinear) for layer in layers)
    assert [layer.input_quantizer is None for layer in layers] == [True] + [False] * 7


def test_the_pool_stands_before_the_norm():
    model = create_model("binary_alexnet", **small("binary_alexnet"))
    blocks = [model.get_submodule(name) for name in ("stem", "stage1.0", "stage2.0", "stage2.2")]
    assert [list(dict(block.named_children())) for block in blocks] == [
        ["conv", "pool", "norm"],
        ["conv", "pool", "norm"],
        ["conv", "norm"],
        ["conv", "pool", "norm"],
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [({"widths": (8, 8)}, r"AlexNet has 5 widths, got \(8, 8\)"), ({"size": 58}, "leave nothing of 58x58 images")],
)
def test_mistakes_are_answered(options, message):
    with pytest.raises(ValueError, match=message):
        create_model("binary_alexnet", **options)


def test_the_smallest_image():
    assert create_model("binary_alexnet", size=59, widths=(2,) * 5, hidden=(2,), num_classes=3) is not None
