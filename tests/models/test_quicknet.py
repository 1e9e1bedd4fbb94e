import pytest
import torch
import torch.nn.functional as F
from torch import nn

from models.counts import counts, small
from signbit.models import create_model
from signbit.nn import BinaryConv2d


@pytest.mark.parametrize(
    ("name", "parameters", "binary", "real", "blur"),
    [
        ("quicknet_small", 12_652_504, 11_980_800, 674_872, 3_168),
        ("quicknet", 13_230_024, 12_533_760, 700_296, 4_032),
        ("quicknet_large", 23_338_184, 22_634_496, 707_720, 4_032),
    ],
)
def test_parameters(name, parameters, binary, real, blur):
    net = counts(name)
    assert (net.parameters, net.binary_weights) == (parameters, binary)
    assert net.real_parameters + blur == real
    assert sum(weights for name, (weights, _) in net.layers.items() if name.endswith("blur")) == blur


@pytest.mark.parametrize(
    ("name", "binary", "real", "ops"),
    [
        ("quicknet_small", 1_156_055_040, 15_941_120, 0.340),
        ("quicknet", 1_849_688_064, 29_651_712, 0.586),
        ("quicknet_large", 3_699_376_128, 29_651_712, 0.875),
    ],
)
def test_operations(name, binary, real, ops):
    net = counts(name)
    assert (net.binary_macs, net.mixed_macs, net.float_macs) == (binary, 0, real)
    assert net.ops == binary / 64 + real
    assert round(net.ops / 1e8, 3) == ops


@pytest.mark.parametrize(("name", "depths"), [("quicknet", (4, 4, 4, 4)), ("quicknet_large", (6, 8, 12, 6))])
def test_layers(name, depths):
    macs, point = 115_605_504, 6_422_528
    assert list(counts(name).layers.values()) == [
        *[(432, 5_419_008), (144, 451_584), (1_024, 3_211_264)],
        *[(36_864, macs)] * depths[0],
        *[(576, 451_584), (8_192, point)],
        *[(147_456, macs)] * depths[1],
        *[(1_152, 225_792), (32_768, point)],
        *[(589_824, macs)] * depths[2],
        *[(2_304, 112_896), (131_072, point)],
        *[(2_359_296, macs)] * depths[3],
        (512_000, 512_000),
    ]


def test_layers_of_small():
    assert list(counts("quicknet_small").layers.values())[:13] == [
        *[(216, 2_709_504), (72, 225_792), (256, 802_816)],
        *[(9_216, 28_901_376)] * 4,
        *[(288, 225_792), (2_048, 1_605_632)],
        *[(36_864, 28_901_376)] * 4,
    ]


def test_maps_at_full_width():
    with torch.device("meta"):
        info = create_model("quicknet_small", features_only=True).feature_info
    assert info.channels() == [32, 32, 64, 256, 512]
    assert info.reduction() == [4, 4, 8, 16, 32]


def test_block_bends_before_its_norm():
    torch.manual_seed(0)
    block = create_model("quicknet", **small("quicknet")).get_submodule("stage1.0").eval()
    norm, x = block.norm.norm, torch.randn(2, 16, 5, 5)
    nn.init.normal_(norm.weight)
    assert torch.equal(block(x), norm(F.relu(block.conv(x))) + x)
    assert block.conv.pad_value == 1


def test_transition_blurs_with_fixed_weights():
    torch.manual_seed(0)
    transition = create_model("quicknet", **small("quicknet")).get_submodule("stage2.0").eval()
    kernel = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16
    pooled = F.max_pool2d(F.relu(x := torch.randn(2, 16, 8, 8)), 2, 1)
    blurred = torch.stack([F.conv2d(pooled[:, i : i + 1], kernel[None, None], stride=2, padding=1) for i in range(16)])
    expected = transition.norm(transition.conv(blurred[:, :, 0].transpose(0, 1)))
    torch.testing.assert_close(transition(x), expected)
    assert not list(transition.blur.parameters())
    assert "blur.weight" in transition.state_dict()


def test_gradients_pass_up_to_five_quarters():
    model = create_model("quicknet", **small("quicknet"))
    convs = [m for m in model.modules() if isinstance(m, BinaryConv2d)]
    assert len(convs) == 4
    for conv in convs:
        assert [q.clip for q in (conv.weight_quantizer, conv.input_quantizer)] == [1.25, 1.25]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widths": (30,), "depths": (1,)}, r"the stem needs a first width that 4 divides, got 30"),
        ({"depths": (4, 4)}, r"need one number >= 1 for each stage"),
    ],
)
def test_mistakes_are_answered(options, message):
    with pytest.raises(ValueError, match=message):
        create_model("quicknet", **options)
