import pytest
import torch
from torch import nn

from models.counts import counts
from signbit.models import create_model
from signbit.nn import RPReLU, RSign


@pytest.mark.parametrize(
    ("name", "parameters", "binary", "real", "mebibytes"),
    [
        ("birealnet18", 11_689_512, 10_985_472, 704_040, 4.00),
        ("birealnet34", 21_797_672, 21_086_208, 711_464, 5.23),
        ("react_resnet18", 11_704_424, 10_985_472, 718_952, 4.05),
        ("react_resnet34", 21_827_432, 21_086_208, 741_224, 5.34),
    ],
)
def test_parameters(name, parameters, binary, real, mebibytes):
    net = counts(name)
    assert (net.parameters, net.binary_weights, net.real_parameters) == (parameters, binary, real)
    assert round(net.mebibytes, 2) == mebibytes


@pytest.mark.parametrize(
    ("name", "macs", "ops"),
    [
        ("birealnet18", 1_676_279_808, 1.640),
        ("birealnet34", 3_525_967_872, 1.929),
        ("react_resnet18", 1_676_279_808, 1.640),
        ("react_resnet34", 3_525_967_872, 1.929),
    ],
)
def test_operations(name, macs, ops):
    net = counts(name)
    assert (net.binary_macs, net.mixed_macs, net.float_macs) == (macs, 0, 137_793_536)
    assert net.ops == macs / 64 + 137_793_536
    assert round(net.ops / 1e8, 3) == ops


@pytest.mark.parametrize(("name", "depths"), [("birealnet18", (4, 4, 4, 4)), ("birealnet34", (6, 8, 12, 6))])
def test_layers(name, depths):
    layers = dict(counts(name).layers)
    shortcuts = [layers.pop(f"stage{stage}.0.shortcut.conv") for stage in (2, 3, 4)]
    same, half = 115_605_504, 57_802_752
    assert list(layers.values()) == [
        (9_408, 118_013_952),
        *[(36_864, same)] * depths[0],
        (73_728, half),
        *[(147_456, same)] * (depths[1] - 1),
        (294_912, half),
        *[(589_824, same)] * (depths[2] - 1),
        (1_179_648, half),
        *[(2_359_296, same)] * (depths[3] - 1),
        (512_000, 512_000),
    ]
    assert shortcuts == [(8_192, 6_422_528), (32_768, 6_422_528), (131_072, 6_422_528)]


def test_weights_have_the_scale_of_their_filter():
    conv = create_model("birealnet18").get_submodule("stage1.0.conv")
    torch.testing.assert_close(conv.output_scale(), conv.weight.abs().mean(dim=(1, 2, 3)))


def test_react_shifts_before_every_sign_and_bends_behind_every_block():
    model = create_model("react_resnet18")
    assert [sum(isinstance(m, kind) for m in model.modules()) for kind in (RSign, RPReLU, nn.PReLU)] == [16, 16, 0]


def test_binary_activations_with_real_weights_for_the_first_of_two_stages():
    first = create_model("react_resnet18", weight_quantizer=None)
    second = create_model("react_resnet18")
    assert first.state_dict().keys() == second.state_dict().keys()
    assert first(torch.randn(1, 3, 64, 64)).shape == (1, 1000)
