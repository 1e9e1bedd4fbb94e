import pytest
import torch
from torch import nn

from models.counts import counts
from signbit.models import create_model
from signbit.nn import BinaryConv2d, BinaryLinear, ChannelNorm
from signbit.params import named_binary_parameters
from signbit.quantizers import TwoLevel


def test_counts_of_the_paper_layout():
    net = counts("binarynet")
    assert (net.parameters, net.binary_weights, net.real_parameters) == (14_029_716, 14_022_016, 7_700)
    assert (net.binary_macs, net.mixed_macs, net.float_macs) == (613_427_200, 3_538_944, 0)
    assert net.ops == 613_427_200 / 64
    assert round(net.mebibytes, 2) == 1.70


def test_counts_of_the_valid_variant():
    net = counts("binarynet_valid")
    assert (net.parameters, net.binary_weights, net.real_parameters) == (10_359_700, 10_352_000, 7_700)
    assert (net.binary_macs, net.mixed_macs, net.float_macs) == (510_961_664, 3_110_400, 0)
    assert net.ops == 510_961_664 / 64
    assert round(net.mebibytes, 2) == 1.26


def test_layers_of_the_paper_layout():
    assert list(counts("binarynet").layers.values()) == [
        (3_456, 3_538_944),
        (147_456, 150_994_944),
        (294_912, 75_497_472),
        (589_824, 150_994_944),
        (1_179_648, 75_497_472),
        (2_359_296, 150_994_944),
        (8_388_608, 8_388_608),
        (1_048_576, 1_048_576),
        (10_240, 10_240),
    ]


def test_layers_of_the_valid_variant():
    assert list(counts("binarynet_valid").layers.values()) == [
        (3_456, 3_456 * 30**2),
        (147_456, 147_456 * 30**2),
        (294_912, 294_912 * 15**2),
        (589_824, 589_824 * 15**2),
        (1_179_648, 1_179_648 * 7**2),
        (2_359_296, 2_359_296 * 7**2),
        (4_718_592, 4_718_592),
        (1_048_576, 1_048_576),
        (10_240, 10_240),
    ]


def test_every_product_is_binary_and_only_the_first_reads_reals():
    layers = [m for m in create_model("binarynet").modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert all(isinstance(layer, BinaryConv2d | BinaryLinear) for layer in layers)
    assert [layer.input_quantizer is None for layer in layers] == [True] + [False] * 8
    assert [layer.pad_value for layer in layers[:6]] == [0, 1, 1, 1, 1, 1]


def test_pool_comes_before_its_norm():
    stage = create_model("binarynet").get_submodule("stage2")
    assert [list(dict(block.named_children())) for block in stage] == [["conv", "norm"], ["conv", "pool", "norm"]]


def test_layer_norm_in_every_place_has_as_many_parameters():
    model = create_model("binarynet_valid", norm="layer")
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d | ChannelNorm)]
    assert [type(norm) for norm in norms] == [ChannelNorm] * 9
    assert sum(parameter.numel() for parameter in model.parameters()) == 10_359_700


def test_sizes_widths_and_padding_are_open():
    model = create_model("binarynet", num_classes=7, in_chans=1, size=20, widths=(8, 16), hidden=(32,), pad_value=0)
    assert model(torch.randn(2, 1, 20, 20)).shape == (2, 7)
    assert model.get_submodule("stage1.0.conv").pad_value == 0
    assert model.get_submodule("layer1.fc").weight.shape == (32, 16 * 5 * 5)


def test_real_activations_keep_binary_weights():
    model = create_model("binarynet", widths=(8, 16), hidden=(16,), size=8, quantizer=None)
    assert len(list(named_binary_parameters(model))) == 1 + 3 + 2
    assert sum(isinstance(module, nn.ReLU) for module in model.modules()) == 5


@pytest.mark.parametrize("stem", ["same", "sign", None])
def test_the_weights_on_pixels_may_have_another_quantizer(stem):
    options = {"widths": (8, 16), "hidden": (16,), "size": 8, "weight_quantizer": "twolevel(density=0.25)"}
    model = create_model("binarynet", stem_quantizer=stem, **options)
    first, second = model.get_submodule("stem.conv"), model.get_submodule("stage1.0.conv")
    assert isinstance(first, BinaryConv2d) == (stem is not None)
    assert type(second.weight_quantizer) is TwoLevel
    assert (type(getattr(first, "weight_quantizer", None)) is TwoLevel) == (stem == "same")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 7}, r"3 pools leave nothing of 7x7 images"),
        ({"norm": "group"}, r"norm must be one of batch, layer, got 'group'"),
        ({"num_classes": 0}, r"num_classes must be >= 1, got 0"),
        ({"pad_value": 2}, r"pad_value must be -1, 0, 1 or None, got 2"),
        ({"first_pading": 0}, r"unknown option 'first_pading'; did you mean first_padding"),
    ],
)
def test_mistakes_are_answered(options, message):
    with pytest.raises(ValueError, match=message):
        create_model("binarynet", **options)
